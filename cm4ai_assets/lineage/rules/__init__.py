"""The rule of each table: which rows, members and published files its rows were made of, as exactly as columns say.

Belongs here: one module a subject, as in `tables`, each with its `RULES`. A table without a rule has no way to its
origin: `cm4ai_assets_tests.lineage.test_trace` fails on it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cm4ai_assets.lineage.chain import Rule
from cm4ai_assets.lineage.rules import effects, images, integration, metadata, perturbseq, proteomics, release

RULES: Mapping[str, Rule] = {
    **release.RULES,
    **metadata.RULES,
    **images.RULES,
    **proteomics.RULES,
    **perturbseq.RULES,
    **integration.RULES,
    **effects.RULES,
}

__all__ = ["RULES"]
