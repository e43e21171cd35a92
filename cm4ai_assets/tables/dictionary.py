"""The data dictionary, written from the schemas: `python -m cm4ai_assets.tables.dictionary FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from cm4ai_assets.tables import ALL, Table

_HEAD = """# Data dictionary

Written by `make docs` from the schemas in `cm4ai_assets/tables/`; do not edit. Each file names in its own
metadata the dataset, version and licence that it was made from (`doi`, `version`, `license`). Every table stands in
`tables/{table}/[release={release}/[condition={condition}/]]data.parquet`; null means unknown, never zero or empty.
"""


def dictionary() -> str:
    """The whole document, in Markdown."""
    return "\n".join([_HEAD, *(_section(table) for table in ALL)])


def _section(table: Table) -> str:
    lines = [
        f"## {table.name}",
        "",
        table.description,
        "",
        f"Key: {', '.join(f'`{name}`' for name in table.key)}. Source: {table.source}.",
        "",
        "| column | type | null | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for column in table.columns:
        meaning = f"{column.description} Unit: {column.unit}." if column.unit else column.description
        if column.allowed:
            meaning += f" One of: {', '.join(f'`{value}`' for value in column.allowed)}."
        null = "yes" if column.nullable else ""
        lines.append(f"| `{column.name}` | {column.type_name} | {null} | {meaning.replace('|', '¦')} |")
    if table.rules:
        lines += [
            "",
            "Rules that hold for every row:",
            "",
            *(f"- `{rule.name}`: {rule.description}." for rule in table.rules),
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dictionary(), encoding="utf-8")
