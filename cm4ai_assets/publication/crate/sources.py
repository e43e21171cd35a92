"""What things were made of, as entities: published files, what else is delivered here, and what no longer is.

Belongs here: from the inputs of a run and the files behind a table to entities that can be referred to. Does not belong
here: what is delivered, in the crate that describes it (`entities`).

None of them is a part of the crate that refers to it: to RO-Crate each is a `CreativeWork`, to FAIRSCAPE a Dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import DATAVERSE, PublishedFile
from cm4ai_assets.publication.crate.facts import Facts
from cm4ai_assets.publication.crate.ids import content_id, dataset_page, folder_id, licence_id, published_id
from cm4ai_assets.publication.crate.parties import publisher_entity
from cm4ai_assets.publication.crate.terms import EVI_DATASET, UNKNOWN, Entity, ref, refs
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.makings import Input
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.credit import NOT_STATED

_TYPES = ["CreativeWork", EVI_DATASET]
_FORMATS = {
    "bib": "application/x-bibtex", "cff": "application/yaml", "csv": "text/csv", "h5ad": "application/x-hdf5",
    "html": "text/html", "jpg": "image/jpeg", "json": "application/json", "jsonld": "application/ld+json",
    "parquet": "application/vnd.apache.parquet", "svg": "image/svg+xml", "tsv": "text/tab-separated-values",
    "txt": "text/plain", "yaml": "application/yaml", "zip": "application/zip",
}  # fmt: skip
UNKNOWN_FORMAT = "application/octet-stream"


def format_of(path: str) -> str:
    """The media type that a name means; any bytes, if none."""
    return _FORMATS.get(path.rsplit("/", 1)[-1].rpartition(".")[2].lower(), UNKNOWN_FORMAT)


def entity_id(one: Delivered) -> str:
    """The id of what is delivered: of the file of a table, of the folder of anything else."""
    named = content_id if one.kind is Kind.TABLE else folder_id
    return named(one.path, one.digest)


def title_of(one: Delivered) -> str:
    """What a person calls it: `if_fields of untreated`, `store of if_tensors of untreated`."""
    kind = {Kind.TABLE: "", Kind.DOCUMENT: "document "}.get(one.kind, "store of ")
    return f"{kind}{one.name}" + (f" of {one.partition.condition}" if one.partition.condition else "")


class Sources:
    """Finds the entities behind what is delivered."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._published = {file.sha256: file for files in facts.published.values() for file in files if file.sha256}
        self._delivered = {(_place(one), one.digest): one for one in facts.delivery}

    def of(self, one: Delivered) -> list[Entity]:
        """What it was made of, as far as is known: inputs of its run, published files; for the lock the dataset."""
        found = list(self._inputs(one)) + [published_entity(self._facts, f) for f in self._facts.published[one.path]]
        if one.name == RELEASE_FILES.name:
            found.append(dataset_entity(self._facts))
        return list({entity["@id"]: entity for entity in found}.values())

    def _inputs(self, one: Delivered) -> Iterator[Entity]:
        for given in one.making.inputs if one.making else ():
            known = self._delivered.get((given.path, given.digest))
            if known is not None:
                yield self._here(known)
            elif given.digest in self._published:
                yield published_entity(self._facts, self._published[given.digest])
            else:
                yield self._gone(given)

    def _here(self, one: Delivered) -> Entity:
        text = f"Delivered here, and described in the crate of the group {one.group}."
        return {**self._said(entity_id(one), title_of(one), text, one.path), **_digest_of(one)}

    def _gone(self, given: Input) -> Entity:
        text = (
            "What stood there when it was read. It is not delivered in this form, and where it came from is not known."
        )
        said = self._said(content_id(given.path, given.digest), given.path.rsplit("/", 1)[-1], text, given.path)
        return {**said, "sha256": given.digest}

    def _said(self, entity: str, name: str, text: str, path: str) -> Entity:
        return {
            "@id": entity, "@type": _TYPES, "name": name, "description": text, "author": authors(self._facts),
            "datePublished": UNKNOWN, "keywords": [], "format": format_of(path), "version": UNKNOWN,
        }  # fmt: skip


def _place(one: Delivered) -> str:
    """Its path as records of runs have it: of a document that of all its versions."""
    return one.path.rsplit("/", 1)[0] if one.kind is Kind.DOCUMENT else one.path


def _digest_of(one: Delivered) -> Entity:
    return {"sha256": one.digest} if one.kind is Kind.TABLE else {"cm4ai:listingSha256": one.digest}


def authors(facts: Facts) -> str:
    """Who made what is derived here possible, in words: the people stand in the release's crate."""
    return f"The authors of {facts.stated.origin.doi}"


def dataset_entity(facts: Facts) -> Entity:
    """The published dataset that everything was derived from."""
    origin, publisher = facts.stated.origin, publisher_entity(facts)
    return {
        "@id": dataset_page(DATAVERSE, origin.doi),
        "@type": _TYPES,
        "name": origin.title or origin.doi,
        "description": facts.stated.description or f"The published dataset {origin.doi}.",
        "identifier": origin.doi,
        "version": origin.version,
        "datePublished": facts.stated.released.isoformat() if facts.stated.released else UNKNOWN,
        "author": authors(facts),
        "keywords": list(facts.stated.keywords),
        "format": "dataset",
        "creditText": origin.citation,
        **({"publisher": ref(publisher["@id"])} if publisher else {}),
    }


def published_entity(facts: Facts, file: PublishedFile) -> Entity:
    """A file as its archive publishes it, with its published digest, and that of the bytes that were read."""
    own = file.archive == DATAVERSE and facts.stated.released is not None
    return {
        "@id": published_id(file),
        "@type": _TYPES,
        "name": file.path,
        "description": f"A published file of {file.dataset}, access {file.access}. `sha256` is that of the bytes that "
        "were read here.",
        "author": f"The authors of {file.dataset}",
        "datePublished": str(facts.stated.released) if own else UNKNOWN,
        "keywords": [file.archive],
        "version": file.version or UNKNOWN,
        "format": format_of(file.path),
        "isPartOf": refs([dataset_page(file.archive, file.dataset)]),
        "conditionsOfAccess": file.access,
        "license": ref(licence_id(file.license or NOT_STATED)),
        **_if_any(
            identifier=file.file_id,
            contentSize=None if file.size is None else str(file.size),
            sha256=file.sha256,
            contentUrl=file.url,
        ),
        **_published_digest(file),
    }


def container_entity(facts: Facts, file: PublishedFile) -> Entity:
    """The published dataset that a file is part of."""
    page = dataset_page(file.archive, file.dataset)
    if page == dataset_page(DATAVERSE, facts.stated.origin.doi):
        return dataset_entity(facts)
    return {
        "@id": page, "@type": _TYPES, "name": file.dataset, "identifier": file.dataset,
        "description": f"A dataset published at {file.archive}, which the release names.",
        "author": f"The authors of {file.dataset}", "datePublished": UNKNOWN, "keywords": [file.archive],
        "version": file.version or UNKNOWN, "format": "dataset",
    }  # fmt: skip


def _published_digest(file: PublishedFile) -> Entity:
    if file.digest is None or file.digest_type is None:
        return {}
    if file.digest_type == "MD5":
        return {"md5": file.digest}
    return {"cm4ai:digestType": file.digest_type, "cm4ai:digest": file.digest}


def _if_any(**values: str | None) -> Entity:
    return {key: value for key, value in values.items() if value is not None}
