"""What is imported only where it is used: help and the code location load without heavy libraries."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import textwrap
from types import ModuleType

import pytest

from cm4ai_assets import cli, heavy
from cm4ai_assets.cli.commands import COMMANDS

HEAVY = frozenset({
    "PIL", "anndata", "cv2", "dask", "distributed", "h5py", "imagecodecs", "matplotlib", "mlcroissant", "numba",
    "numpy", "pandas", "pyarrow", "rich", "scipy", "simplejpeg", "starlette", "tensorstore", "torch", "zarr",
})  # fmt: skip
NOT_FOR_HELP = (HEAVY - {"rich"}) | {
    "dagster", "fsspec", "httpx2", "polars", "pydantic", "sqlalchemy",
}  # fmt: skip


def imported_by(code: str) -> list[str]:
    shown = f"import json, sys\n{code}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", shown], check=True, capture_output=True, text=True)
    modules: list[str] = json.loads(done.stdout.rsplit("\n", 2)[-2])
    return modules


def test_help_imports_no_command_and_nothing_slow() -> None:
    helped = imported_by("from cm4ai_assets import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass")
    assert not NOT_FOR_HELP & set(helped)
    assert not {f"cm4ai_assets.cli.{module}" for module in COMMANDS} & set(helped)


def test_the_code_location_loads_without_the_libraries_of_its_steps() -> None:
    loaded = imported_by("import cm4ai_assets.definitions")
    assert "dagster" in loaded
    assert not (HEAVY | {"alembic", "dagster._core.storage.event_log", "sqlalchemy"}) & set(loaded)


def test_python_looks_for_cycles_only_among_what_is_made_after_the_code_location() -> None:
    code = """
        import gc, json, weakref
        before, looks = gc.get_threshold(), []
        gc.callbacks.append(lambda phase, info: looks.append(phase))
        import cm4ai_assets.definitions
        gc.callbacks.clear()
        class Cycle: pass
        cycle = Cycle()
        cycle.itself, made = cycle, weakref.ref(cycle)
        del cycle
        gc.collect()
        as_before = gc.isenabled() and gc.get_threshold() == before
        print(json.dumps([len(looks) // 2, as_before, gc.get_freeze_count(), made() is None]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    looks, as_before, frozen, freed = json.loads(done.stdout)
    assert looks < 5, "before Python is asked to look for none there are two or three; at its own threshold 458"
    assert as_before
    assert frozen > 100_000
    assert freed


def test_who_looks_for_no_cycles_at_all_is_left_so() -> None:
    code = "import gc; gc.disable(); import cm4ai_assets.definitions; print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_a_command_ends_without_a_look_for_cycles() -> None:
    """And with its hooks called, what comes last among them."""
    code = """
        import atexit, gc, weakref
        from cm4ai_assets.cli import main
        class Kept: pass
        kept = Kept()
        weakref.finalize(kept, print, "put away")
        before = gc.get_freeze_count()  # some hundreds from Python 3.12 on
        atexit.register(lambda: print(gc.get_freeze_count() > before + 1000))
        main([])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stdout.split("\n")[:2] == ["True", "put away"]


def test_help_lists_the_commands_that_the_modules_add() -> None:
    for module, named in COMMANDS.items():
        commands = argparse.ArgumentParser().add_subparsers()
        importlib.import_module(f"cm4ai_assets.cli.{module}").add_to(commands)
        assert list(commands.choices) == list(named)
        assert {one.dest: one.help for one in commands._choices_actions} == named
    assert cli._parser(["--debug"]).format_help() == cli._parser().format_help()


def test_a_lazy_module_answers_as_the_library_does() -> None:
    for name in heavy.__all__:
        module = getattr(heavy, name)
        whole = importlib.import_module(module.__name__)
        assert type(module) is ModuleType, "reading an attribute takes four times as long from a class made from it"
        assert module is not whole
        one = next(attribute for attribute in dir(whole) if not attribute.startswith("_"))
        assert getattr(module, one) is getattr(whole, one)
        assert vars(module)[one] is getattr(whole, one)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = heavy.cv2.no_such_thing
