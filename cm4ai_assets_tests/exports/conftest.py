"""The releases that all formats export, made once for each test process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets_tests.exports.releases import (
    painted,
    with_secms,
    with_secms_and_perturbseq,
    with_splits,
)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Two conditions of five fields, one of them a control. Only to be read."""
    return painted(tmp_path_factory.mktemp("exports"), (Condition.UNTREATED, Condition.PACLITAXEL))


@pytest.fixture(scope="session")
def divided(images: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The same with splits. Only to be read."""
    return with_splits(images, tmp_path_factory.mktemp("divided"))


@pytest.fixture(scope="session")
def secms(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Elution profiles of two conditions. Only to be read."""
    return with_secms(tmp_path_factory.mktemp("secms"))


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Elution profiles and a Perturb-seq screen. Only to be read."""
    return with_secms_and_perturbseq(tmp_path_factory.mktemp("both"))


@pytest.fixture
def exported(images: Release, tmp_path: Path) -> Callable[..., Made]:
    """Exports the images in a format to `tmp_path / "out"`, or to the folder that is named."""

    def run(format_name: str, *, folder: str = "out", **choices: Any) -> Made:
        return export(images, format_name, tmp_path / folder, **choices)

    return run
