"""Drafts by themselves; what a gate does to a run is tested in `test_gate`."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.defs.publishing import Gate, LongDraft, Metadata, gate_of
from cm4ai_assets.findings import Finding
from cm4ai_assets.tables.screen import PERTURB_CELLS


def test_what_is_known_of_a_long_table_is_asked_for_once() -> None:
    asked = []

    def of_all() -> tuple[list[Gate], Metadata]:
        asked.append(1)
        return [Gate("cells_kept", passed=True, description="all")], {"cells": 3}

    draft = LongDraft(PERTURB_CELLS, [], of_all)
    assert asked == []  # not before the rows are written
    assert ([gate.check for gate in draft.gates], draft.metadata, asked) == (["cells_kept"], {"cells": 3}, [1])


def test_a_finding_becomes_a_gate_with_its_rows() -> None:
    found = Finding("kept", passed=False, summary="1 is lost", rows=pl.DataFrame({"line": [7]}), counts={"lost": 1})
    gate = gate_of(found)
    assert (gate.check, gate.passed, gate.description, gate.metadata["lost"]) == ("kept", False, "1 is lost", 1)
    assert "| 7 |" in str(gate.metadata["offending"].value)  # type: ignore[union-attr]
    assert set(gate_of(Finding("kept", passed=True, summary="all")).metadata) == set()
