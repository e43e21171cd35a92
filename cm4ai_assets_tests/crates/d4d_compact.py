"""Makes `cm4ai_assets/crates/d4d.json` from the JSON schema that the data-sheets-schema project publishes.

python -m cm4ai_assets_tests.crates.d4d_compact data_sheets_schema.schema.json > cm4ai_assets/crates/d4d.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SOURCE = (
    "https://github.com/bridge2ai/data-sheets-schema (MIT), class Dataset and all it refers to; names and types only"
)
PATTERNS = {r"^10\.\d{4,}\/.+$": "doi", r"^\d{4}-\d{4}-\d{4}-\d{3}[0-9X]$": "orcid"}


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema["$defs"]
    classes: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}
    waiting = ["Dataset"]
    while waiting:
        name = waiting.pop()
        definition = definitions[name]
        if name in classes or name in enums:
            continue
        if "enum" in definition:
            enums[name] = definition["enum"]
            continue
        required = definition.get("required", [])
        assert definition["additionalProperties"] is False
        kinds = {slot: kind_of(stated) for slot, stated in definition["properties"].items()}
        classes[name] = {slot: kind + "!" * (slot in required) for slot, kind in kinds.items()}
        waiting += [kind.strip("[]") for kind in kinds.values() if kind.strip("[]") in definitions]
    return {
        "source": SOURCE,
        "version": schema["version"],
        "classes": dict(sorted(classes.items())),
        "enums": dict(sorted(enums.items())),
    }


def kind_of(stated: dict[str, Any]) -> str:
    if "$ref" in stated:
        return str(stated["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in stated:
        (one,) = [option for option in stated["anyOf"] if option != {"type": "null"}]
        return kind_of(one)
    if "items" in stated:
        return f"[{kind_of(stated['items'])}]"
    types = stated["type"] if isinstance(stated["type"], list) else [stated["type"]]
    (kind,) = [name for name in types if name != "null"]
    return PATTERNS.get(stated.get("pattern", ""), str(stated.get("format", kind)))


def as_text(description: dict[str, Any]) -> str:
    """One class or enumeration a line."""
    parts = [f'"source": {json.dumps(description["source"])}', f'"version": {json.dumps(description["version"])}']
    for group in ("classes", "enums"):
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in description[group].items())
        parts.append(f'"{group}": {{\n{lines}\n}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(as_text(compact(json.loads(Path(sys.argv[1]).read_text()))))
