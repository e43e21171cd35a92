"""Schema entities: the columns of a table as its file has them, with the meaning and unit that the table declares.

Belongs here: from an Arrow schema or a store's arrays to an entity. Does not belong here: which file has which
(`entities`).

RO-Crate allows no object within an entity, FAIRSCAPE wants one. So the columns stand there as a JSON literal, which is
a value and no object; the form for FAIRSCAPE has the object itself (`forms`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cm4ai_assets.heavy import pa
from cm4ai_assets.publication.crate.facts import StoredArray
from cm4ai_assets.publication.crate.ids import schema_id
from cm4ai_assets.publication.crate.terms import EVI_SCHEMA, Entity
from cm4ai_assets.tables import Column, Table
from cm4ai_assets.tables.terms import term_of

NOT_DESCRIBED = "Not described: the file was written by another version of this software."


def of_table(table: Table, schema: pa.Schema) -> Entity:
    """The schema of a table's file: `properties` has each column in the file's order, with its Arrow type."""
    declared = {column.name: column for column in table.columns}
    columns = {field.name: _column(n, field, declared.get(field.name)) for n, field in enumerate(schema)}
    required = [name for name in columns if name in declared and not declared[name].nullable]
    return _entity(table.name, f"Columns of {table.name}. {table.description}", columns, required, "tabular")


def of_store(name: str, arrays: Sequence[StoredArray]) -> Entity:
    """The schema of a store: `properties` has each array with its axes, shape and type."""
    described = {one.name: _array(n, one) for n, one in enumerate(arrays)}
    return _entity(name, f"Arrays of the store of {name}.", described, sorted(described), "ndarray")


def _entity(name: str, text: str, properties: Mapping[str, Any], required: list[str], kind: str) -> Entity:
    said = json.dumps([properties, required], sort_keys=True).encode()
    return {
        "@id": schema_id(name, hashlib.sha256(said).hexdigest()),
        "@type": EVI_SCHEMA,
        "name": f"Schema of {name}",
        "description": text,
        "EVI:schemaType": kind,
        "additionalProperties": False,
        "required": required,
        "properties": {"@type": "@json", "@value": properties},
    }


def _column(index: int, field: pa.Field, declared: Column | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": _json_type(field.type),
        "index": index,
        "description": declared.description if declared else NOT_DESCRIBED,
        "arrow-type": str(field.type),
    }
    if declared is None:
        return said
    allowed = list(declared.allowed) if declared.allowed else None
    more = {"unit": declared.unit, "allowed": allowed, "value-url": term_of(field.name)}
    return {**said, "nullable": declared.nullable, **{key: value for key, value in more.items() if value}}


def _array(index: int, one: StoredArray) -> dict[str, Any]:
    axes = [f"{axis} {length}" for axis, length in zip(one.axes, one.shape, strict=True)]
    text = f"{one.dtype}, axes {', '.join(axes)}."
    return {
        "type": "array", "index": index, "description": text, "dtype": one.dtype, "shape": list(one.shape),
        "axes": list(one.axes),
    }  # fmt: skip


def _json_type(kind: pa.DataType) -> str:
    """The nearest type of JSON Schema; what has none is a string there."""
    known = {
        "boolean": pa.types.is_boolean, "integer": pa.types.is_integer, "number": pa.types.is_floating,
        "array": pa.types.is_list, "object": pa.types.is_struct,
    }  # fmt: skip
    return next((name for name, fits in known.items() if fits(kind)), "string")
