"""The examples in docstrings hold: what a reader copies from them works."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import cm4ai_assets

# A `__main__` starts its program when it is imported.
NEEDS_TORCH = f"{cm4ai_assets.__name__}.loading.dataset"
MODULES = [
    cm4ai_assets.__name__,
    *(
        module.name
        for module in pkgutil.walk_packages(cm4ai_assets.__path__, f"{cm4ai_assets.__name__}.")
        if not module.name.endswith("__main__")
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    if name.startswith(NEEDS_TORCH):
        pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found_everywhere() -> None:
    found = sum(len(test.examples) for name in MODULES if not name.startswith(NEEDS_TORCH) for test in _tests(name))
    assert found > len(("credit", "plain", "names", "iris", "conditions"))


def _tests(name: str) -> list[doctest.DocTest]:
    return doctest.DocTestFinder().find(importlib.import_module(name), name)
