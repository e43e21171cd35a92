"""The sandbox's description of a dataset as JSON-LD, in the shape of Dataverse 6.8.

Belongs here: what `GET /datasets/export` answers. Does not belong here: the other answers (`answers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def json_ld(title: str, version: Mapping[str, Any]) -> dict[str, Any]:
    """The latest version of a dataset, as the API gives it, in the words of schema.org."""
    address = f"https://doi.org/{version['datasetPersistentId'].removeprefix('doi:')}"
    published = version["publicationDate"]
    return {
        "@context": "http://schema.org",
        "@type": "Dataset",
        "@id": address,
        "identifier": address,
        "name": title,
        "creator": [{"@type": "Person", "name": "Painter S"}],
        "datePublished": published,
        "dateModified": version["releaseTime"][:10],
        "version": str(version["versionNumber"]),
        "citation": [{"@type": "CreativeWork", "name": f"Painter S, {published[:4]}, {title}, {address}"}],
        "license": version["license"]["uri"],
        "conditionsOfAccess": "Synthetic data: for tests of software only.",
        "distribution": [
            {
                "@type": "DataDownload",
                "name": file["label"],
                "encodingFormat": file["dataFile"]["contentType"],
                "contentSize": file["dataFile"]["filesize"],
            }
            for file in version["files"]
        ],
    }
