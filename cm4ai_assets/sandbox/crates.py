"""RO-Crates in the shapes that the releases carry, with the claims that are wrong in the real ones.

Belongs here: crate JSON. Does not belong here: HTML made from it (`pages`), or which crate stands in which release
(`history`). Shapes: data reference, sections 1.6 and 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cm4ai_assets.conditions import Condition
from cm4ai_assets.sandbox.plates import NEGATIVE, Field

Entity = dict[str, Any]

CONTEXT = {"@vocab": "https://schema.org/", "EVI": "https://w3id.org/EVI#"}
ARK = "https://fairscape.net/api/ark:59853"
ARK_2025 = "ark:59852"
LICENSE = "https://creativecommons.org/licenses/by-nc-sa/4.0/deed.en"
PUBLIC_DOMAIN = "https://creativecommons.org/publicdomain/zero/1.0/"
# What the IF crates still claim about their own ZIP: the checksum and size of March 2025, whatever the release.
_STALE = {
    Condition.PACLITAXEL: ("9422486c80bc9e1d35b2fbbc72a5f043", "2.6 GB"),
    Condition.UNTREATED: ("0b4d129f5fbc3bb7f7ea564cd032cef7", "3.2 GB"),
    Condition.VORINOSTAT: ("ac577109a41a9806978461157b777d52", "2.8 GB"),
}
_STAINS = {
    "blue": ("stain-dapi", "B2AI"),
    "red": ("stain-tubulin-antibody", "B2AI"),
    "yellow": ("stain-calreticulin-antibody", "CM4AI"),
    "green": ("", "CM4AI"),  # stained with the antibody of the well
}


def crate(root: Entity, entities: Iterable[Entity], *, draft: bool = False) -> bytes:
    """The JSON of a crate: descriptor, root, and the rest, as FAIRSCAPE writes it."""
    profile = "https://w3id.org/ro/crate/1.2-DRAFT" if draft else "https://w3id.org/ro/crate/1.2"
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": profile},
        "about": {"@id": root["@id"]},
    }
    return json.dumps({"@context": CONTEXT, "@graph": [descriptor, root, *entities]}, indent=1).encode()


def treatment_id(condition: Condition) -> str:
    """Untreated cells are called `treatment-control` in the crates."""
    return f"{ARK}/treatment-{'control' if condition is Condition.UNTREATED else condition}"


def image_root(condition: Condition, part_of: Iterable[str], parts: list[Entity]) -> Entity:
    """The root entity of an IF crate. Its checksum and size are those of another ZIP, as published."""
    checksum, size = _STALE[condition]
    treated = "" if condition is Condition.UNTREATED else f" treated with {condition}"
    return {
        "@id": f"{ARK}/rocrate-{condition}-if-data-release",
        "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"],
        "name": f"{condition.capitalize()} IF Images",
        "description": "Synthetic images in the shape of the spatial localization of proteins of interest in cells of "
        f"the breast cancer cell line MDA-MB-468{treated} as imaged by immunofluorescence-based staining.",
        "keywords": ["AI", "breast cancer", "cell maps", "CM4AI", "MDA-MB-468", str(condition), "protein localization"],
        # The trailing commas are published ones.
        "isPartOf": [
            {"@id": f"{ARK}/rocrate-cell-maps-for-artificial-intelligence-{p}-data-release,"} for p in part_of
        ],
        "version": "0.1.0",
        "datePublished": "02/28/2025",
        "license": LICENSE,
        "author": ["Sandbox Painter"],
        "MD5": checksum,
        "contentSize": size,
        "hasPart": [{"@id": entity["@id"]} for entity in parts],
        "contactEmail": "sandbox@example.org",
    }


def image_crate(condition: Condition, fields: Iterable[Field], part_of: Iterable[str]) -> bytes:
    """The `ro-crate-metadata.json` inside an IF ZIP: images, antibodies, stains. Composites are not listed."""
    fields = tuple(fields)
    antibodies = {field.antibody.label: field.antibody for field in fields if field.antibody.label != NEGATIVE}
    entities: list[Entity] = [
        {
            "@id": f"{ARK}/dataset-{condition}-manifest",
            "@type": "EVI:Dataset",
            "name": f"{condition} imaging manifest",
            "format": "csv",
            "contentUrl": "file:///manifest.csv",
            "evi:Schema": {"@id": f"{ARK}/schema-imaging-manifest"},
        },
        {"@id": f"{ARK}/cell-line-MDA-MB-468", "@type": "BioChemEntity", "name": "MDA-MB-468 Cell Line"},
        {"@id": treatment_id(condition), "@type": "BioChemEntity", "name": str(condition)},
        *({"@id": f"{ARK}/{stain}", "@type": "BioChemEntity", "name": stain} for stain, _ in _STAINS.values() if stain),
    ]
    for label, antibody in sorted(antibodies.items()):
        known = {
            "HPA Antibody ID": label,
            "ENSEMBL": ";".join(sorted(gene.ensembl for gene in antibody.genes)),
            "Uniprot": ";".join(gene.uniprot for gene in antibody.genes),
        }
        entities.append(
            {
                "@id": f"{ARK}/b2ai-antibody-{label}",
                "@type": "BioChemEntity",
                "name": label,
                "identifier": [
                    {"@type": "PropertyValue", "name": name, "value": value} for name, value in known.items()
                ],
            }
        )
    entities += [_image(condition, field, colour) for field in fields for colour in _STAINS]
    return crate(image_root(condition, part_of, entities), entities)


def _image(condition: Condition, field: Field, colour: str) -> Entity:
    stain, prefix = _STAINS[colour]
    return {
        "@id": f"{ARK}/{field.stem}_{colour}",
        "@type": "EVI:Dataset",
        "name": f"{prefix} IF Image {field.stem} {colour}",
        "description": f"Synthetic image of MDA-MB-468 cells stained with {stain or 'a variable antibody'}.",
        "author": "Sandbox Painter",
        "format": "image/jpeg",
        "contentUrl": f"file:///{colour}/{field.stem}_{colour}.jpg",
        "usedCellLine": {"@id": f"{ARK}/cell-line-MDA-MB-468"},
        "usedStain": {"@id": f"{ARK}/{stain or f'b2ai-antibody-{field.antibody.label}'}"},
        "usedTreatment": {"@id": treatment_id(condition)},
    }
