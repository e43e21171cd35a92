"""The words of Croissant 1.1: its context, its types, files and fields.

Belongs here: what any description in Croissant is written with. Does not belong here: what a release or an export says
(`publication.croissant`, `exports.huggingface`), and reading it (`reading`).

The context is the one that mlcroissant takes for official, with those terms of the specification's first appendix that
it leaves out, and PROV. https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"
RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"
PARQUET: Final = "application/x-parquet"  # the one name under which mlcroissant knows the format
NAME: Final = "croissant.json"

_BY_LANGUAGE: Final = {"@container": "@language"}
_TERMS: Final = (
    "annotation arrayShape citeAs column containedIn equivalentProperty excludes extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path readLines recordSet references "
    "regex repeated replace samplingRate sdVersion separator source subField transform unArchive value"
)
CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": _BY_LANGUAGE,
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": _BY_LANGUAGE,
    **{term: f"cr:{term}" for term in _TERMS.split()},
}

_TYPES: Final[Mapping[type[pl.DataType], str]] = {
    pl.String: "sc:Text", pl.Boolean: "sc:Boolean", pl.Date: "sc:Date", pl.Datetime: "sc:DateTime",
    pl.Float32: "cr:Float32", pl.Float64: "cr:Float64",
    pl.Int8: "cr:Int8", pl.Int16: "cr:Int16", pl.Int32: "cr:Int32", pl.Int64: "cr:Int64",
    pl.UInt8: "cr:UInt8", pl.UInt16: "cr:UInt16", pl.UInt32: "cr:UInt32", pl.UInt64: "cr:UInt64",
}  # fmt: skip


def rendered(document: Mapping[str, Any]) -> bytes:
    """A description as it is published: the same bytes for the same content."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def data_type(dtype: pl.DataType) -> str:
    """The type of Croissant for a value.

    Raises:
        KeyError: It has none for this.
    """
    return _TYPES[type(dtype)]


def file_object(name: str, *, url: str, size: int, sha256: str, encoding: str, **more: object) -> dict[str, Any]:
    """One file.

    Args:
        name: Its id, which is also its name.
        url: Where it stands, relative to the description.
        size: Bytes.
        sha256: Of its bytes; mlcroissant holds them against it before it reads.
        encoding: Media type.
        more: Further properties; those that are empty are left out.
    """
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": url,
        "contentSize": f"{size} B",
        "encodingFormat": encoding,
        "sha256": sha256,
        **{key: value for key, value in more.items() if value},
    }


def record_set(name: str, fields: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    """A set of records of the same fields; further properties stand before these."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        **{key: value for key, value in more.items() if value},
        "field": fields,
    }


def field(
    name: str, dtype: pl.DataType, source: Mapping[str, Any], *, column: str | None = None, **more: object
) -> dict[str, Any]:
    """A field that is a column of a Parquet file.

    A list is an array of one dimension; a list of structs is an array of subfields, each taken out of the struct by its
    name. mlcroissant gives texts as bytes.

    Args:
        name: Its id: name of the record set, a slash, name of the column.
        dtype: Type of the column.
        source: The file or the set of files, as a source says it.
        column: Name of the column, where it is not the last part of `name`.
        more: Further properties; those that are empty are left out.
    """
    taken = {**source, "extract": {"column": column or name.rpartition("/")[2]}}
    known = {key: value for key, value in more.items() if value}
    stated = {"@type": "cr:Field", "@id": name, "name": name.rpartition("/")[2], **known}
    if not isinstance(dtype, pl.List):
        return {**stated, "dataType": data_type(dtype), "source": taken}
    array = {**stated, "isArray": True, "arrayShape": "-1"}
    if not isinstance(dtype.inner, pl.Struct):
        return {**array, "dataType": data_type(_plain(dtype.inner)), "source": taken}
    return {**array, "subField": [_subfield(name, taken, one) for one in dtype.inner.fields]}


def _subfield(parent: str, taken: Mapping[str, Any], one: pl.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{parent}/{one.name}",
        "name": one.name,
        "dataType": data_type(_plain(one.dtype)),
        "source": {**taken, "transform": {"jsonPath": one.name}},
    }


def _plain(dtype: object) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[return-value]
