"""What the UI shows: column schemas, links, pictures, texts, all in Dagster's metadata types.

Belongs here: turning our descriptions into Dagster metadata, and the border that texts of archives cross on their way
to a page. Does not belong here: drawing the pictures (`images.pictures`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TypeVar

import dagster as dg
import polars as pl

from cm4ai_assets.causes import runbook
from cm4ai_assets.plain import for_markdown, for_terminal, size_in_words
from cm4ai_assets.runbook import address, anchor_in
from cm4ai_assets.tables import Table

ROWS_SHOWN = 20
CELL_WIDTH = 300
RUNBOOK = "runbook"

Shown = TypeVar("Shown")


def described(text: str) -> str:
    """The description of a check's evaluation or of an observation.

    Dagster's UI shows these as Markdown: of a picture's mark in one the browser asked the address it named (1.13.27).
    """
    return for_markdown(text)


def texts(metadata: Mapping[str, Shown]) -> dict[str, Shown | str]:
    """Metadata whose plain texts act on nothing. Dagster shows them as they are; control characters still turn names.

    Lines stay lines.
    """
    return {name: _lines(value) if isinstance(value, str) else value for name, value in metadata.items()}


def _lines(text: str) -> str:
    return "\n".join(for_terminal(line) for line in text.split("\n"))


def failure(message: str, *, metadata: Mapping[str, str] | None = None, about_it: str = "") -> dg.Failure:
    """A step's failure that a retry would not help. The message reaches the run's page and the console.

    `about_it` is the section that says what to do (`runbook.SECTIONS`).
    """
    shown: dict[str, str | dg.UrlMetadataValue] = {
        **texts(metadata or {}),
        **(about(about_it) if about_it else {}),
    }
    return dg.Failure(for_terminal(message), metadata=shown, allow_retries=False)


def about(anchor: str) -> dict[str, dg.UrlMetadataValue]:
    """A link to the section of the runbook, beside what failed; on the UI's own address, one click away."""
    return {RUNBOOK: dg.MetadataValue.url(address(anchor))}


def section_about(event: dg.DagsterEvent) -> str:
    """The anchor of the runbook's section about a step's failure, by what the step or the error's words say."""
    failed = event.step_failure_data if event.is_step_failure else None
    said = failed.user_failure_data if failed else None
    link = said.metadata.get(RUNBOOK) if said else None
    error = failed.error if failed else None
    return anchor_in(str(link.value)) if link else runbook(error.to_string()) if error else ""


def with_what_to_do(description: str, anchor: str) -> str:
    """A check's description with a link to the section of the runbook about it."""
    return f"{description} [What to do when it does not pass]({address(anchor)})."


def column_schema(table: Table) -> dg.TableSchema:
    """The Columns tab of an asset, before it was ever materialized."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type_name,
                description=f"{column.description} [{column.unit}]" if column.unit else column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=table.key == (column.name,),
                    other=[f"one of {', '.join(column.allowed)}"] if column.allowed else [],
                ),
            )
            for column in table.columns
        ]
    )


def counts_in_one_text(metadata: Mapping[str, Shown]) -> dict[str, Shown | str]:
    """A partitioned check's metadata with its numbers in one text: `{"counts": "files 24, unknown 2"}`.

    Dagster plots a number as one line over all partitions of a check, in which releases and conditions are mixed.
    """
    numbers = {name: value for name, value in metadata.items() if isinstance(value, int | float)}
    text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in numbers.items())
    others = {name: value for name, value in metadata.items() if name not in numbers}
    return {"counts": text, **others} if text else {**others}


def picture(data: bytes, *, alt: str, mime: str) -> dg.MarkdownMetadataValue:
    """A picture that stands in the metadata itself. Keep it below some 30 kB: it is stored in the event log.

    Dagster's UI shows Markdown of more than 1,000 characters behind a link, [Show Markdown]; so it does every picture.
    """
    return dg.MetadataValue.md(_image(data, alt=alt, mime=mime))


def _image(data: bytes, *, alt: str, mime: str) -> str:
    return f"![{for_markdown(alt)}](data:{mime};base64,{base64.b64encode(data).decode()})"


def pictures_beside(shown: Sequence[tuple[str, bytes]], *, mime: str) -> dg.MarkdownMetadataValue:
    """Pictures in one row of a table, each below its caption. Each counts against the limit of `picture`."""
    captions = " | ".join(_cell(caption) for caption, _ in shown)
    images = " | ".join(_image(data, alt=caption, mime=mime) for caption, data in shown)
    return dg.MetadataValue.md(f"| {captions} |\n|{' --- |' * len(shown)}\n| {images} |")


def rows(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Rows of a frame as a table, cut to what a page can show, and saying so."""
    if frame.is_empty():
        return dg.MetadataValue.md("none")
    shown = frame.head(ROWS_SHOWN)
    header = [for_markdown(name) for name in shown.columns]
    lines = [" | ".join(["", *header, ""]).strip(), " | ".join(["", *(["---"] * shown.width), ""]).strip()]
    sizes = [name.removeprefix("previous_") == "size" for name in shown.columns]
    for row in shown.iter_rows():
        cells = (
            _cell(size_in_words(one) if is_size and one is not None else one)
            for one, is_size in zip(row, sizes, strict=True)
        )
        lines.append(" | ".join(["", *cells, ""]).strip())
    if frame.height > shown.height:
        lines += ["", f"{frame.height - shown.height:,} more rows are not shown."]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    """A value as text that cannot break the table or become markup: names in archives are hostile text."""
    if isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, (list, pl.Series)):
        text = ", ".join(map(str, value))
    else:
        text = "" if value is None else str(value)
    text = text if len(text) <= CELL_WIDTH else f"{text[: CELL_WIDTH - 1]}…"
    return for_markdown(text)
