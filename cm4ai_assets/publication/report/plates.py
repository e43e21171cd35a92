"""What a report shows of designs and effects: splits, plates, effects of treatments."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.drawing import PNG
from cm4ai_assets.effects.pictures import volcano
from cm4ai_assets.effects.summaries import (
    CAVEAT,
    CONFOUNDED,
    effects_by_measure,
    factors,
    outstanding_levels,
    strongest,
)
from cm4ai_assets.integration.pictures import sides_by
from cm4ai_assets.integration.summaries import schemes
from cm4ai_assets.publication.blocks import Figure, Note, Section, Text, table_of
from cm4ai_assets.publication.report.subject import Subject, absent
from cm4ai_assets.tables.effects import IF_EFFECTS, IF_PLATES
from cm4ai_assets.tables.integration import SPLITS

_ROWS = 15


def splits(subject: Subject) -> Section:
    """Which fields train, validate and test, by scheme."""
    rows = subject.frame(SPLITS.name)
    if rows is None or rows.is_empty():
        return absent(subject, "Splits", SPLITS.name)
    protein = rows.filter(scheme="protein")
    by_plate = Figure(sides_by(protein, "plate"), PNG, "Bars of 100 %: the sides of the scheme protein in each plate",
                      "The scheme protein by plate: fields on each side.")  # fmt: skip
    by_condition = Figure(sides_by(protein, "condition"), PNG,
                          "Bars of 100 %: the sides of the scheme protein in each condition",
                          "The scheme protein by condition: fields on each side.")  # fmt: skip
    reasons = protein["reason"].drop_nulls().value_counts(sort=True, name="fields").sort("fields", "reason")
    return Section(
        "Splits",
        (
            Text(
                "No gene, protein or antibody is on two sides of a scheme: what a model is tested on it has not seen. "
                f"Schemes of version {rows['scheme_version'][0]}; under one version a gene never changes sides."
            ),
            table_of(schemes(rows), "Fields on each side of each scheme", shown=40),
            by_condition,
            by_plate,
            *([table_of(reasons, "Why fields are on no side of the scheme protein")] if reasons.height else []),
        ),
    )


def plates(subject: Subject) -> Section:
    """What plates and positions explain."""
    rows = subject.frame(IF_PLATES.name)
    title = "Plates and positions"
    if rows is None:
        return absent(subject, title, IF_PLATES.name)
    out = outstanding_levels(rows)
    found = [table_of(out, "Plates and positions that stand out", shown=_ROWS)] if out.height else []
    none = [] if out.height else [Text("No plate or position stands out.")]
    return Section(title, (Note(CAVEAT), table_of(factors(rows), "What each factor explains", shown=40), *found, *none))


def effects(subject: Subject) -> Section:
    """What treatments change."""
    rows = subject.frame(IF_EFFECTS.name)
    title = "Effects of treatments"
    if rows is None:
        return absent(subject, title, IF_EFFECTS.name)
    figures = [
        Figure(
            volcano(rows.filter(condition=condition), f"{condition} against untreated"),
            PNG,
            f"A dot for each protein and measure: effect of {condition} across, p upwards",
            f"Effects of {condition} and how sure they are; names mark the strongest significant ones.",
        )
        for condition in rows["condition"].unique().sort()
    ]
    best = strongest(rows)
    surest = [table_of(best, "Significant effects, the surest first", shown=_ROWS)] if best.height else []
    none = [] if best.height else [Text("No effect is significant.")]
    summary = table_of(effects_by_measure(rows), "Effects tested, by treatment and measure", shown=40)
    untested = rows["untested"].drop_nulls().value_counts(sort=True, name="rows").sort("rows", "untested")
    why = [table_of(untested.select(pl.all()), "Why effects are not tested")] if untested.height else []
    return Section(title, (Note(CONFOUNDED), summary, *figures, *surest, *none, *why))
