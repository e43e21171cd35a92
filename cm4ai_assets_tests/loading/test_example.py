"""The example finds what treatment does to the cells of the sandbox, under antibodies that it never saw."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.integration.mapping import bundled_mapping
from cm4ai_assets.integration.splits import split_rows
from cm4ai_assets.sandbox import write_if_zip
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.integration import SPLITS
from cm4ai_assets_tests.exports.releases import from_zips

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "treatment.py"


@pytest.fixture
def treatment() -> Iterator[ModuleType]:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    spec = importlib.util.spec_from_file_location("treatment", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["treatment"] = module  # its dataclass looks there
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)
    del sys.modules["treatment"]


@pytest.fixture
def painted(tmp_path: Path) -> Release:
    """Thirty fields a condition of ten antibodies, and their splits."""
    zips = {condition: tmp_path / f"{condition}.zip" for condition in Condition}
    for condition, path in zips.items():
        write_if_zip(path, condition=condition, fields=30)
    release = from_zips(tmp_path, zips, edge=64)
    fields, antibodies = (release.table(name).collect() for name in ("if_fields", "if_antibodies"))
    rows = SPLITS.place(split_rows(fields, antibodies, bundled_mapping()), release=release.key)
    with release.store.stage_table("splits", Partition(release.key), rows) as staged:
        release.store.publish_table(staged)
    return release


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_planted_effect_of_treatment_is_found_under_held_out_antibodies(
    treatment: ModuleType, painted: Release
) -> None:
    result = treatment.train(painted, epochs=25)
    assert (result.fields, result.antibodies) >= (25, 4)
    assert result.chance < 0.45
    assert result.accuracy > 0.7, result
