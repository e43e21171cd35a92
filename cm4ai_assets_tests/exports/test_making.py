"""What holds for every format: nothing half written, gone on with, refused, kept inside its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import ConfigurationError, NoSpaceError, NotMaterializedError, SelectionError, UnsafePathError
from cm4ai_assets.exports.folder import RECORD, ExportFolder
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made, make
from cm4ai_assets.exports.parts import Part, Plan, Tick, of_bytes
from cm4ai_assets.exports.provenance import Origin
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.storage.layout import Partition, table_path
from cm4ai_assets_tests.exports.releases import copied, with_splits
from cm4ai_assets_tests.images.published import publish

ORIGIN = Origin("2026-06-v2.0", "doi:10.5072/FK2/X", "2.0", "A title", "A citation", "CC0 1.0")
PLAN = Plan(
    identity={"format": "test", "release": "2026-06-v2.0"}, parts=[], sources=[], credits=[], how_to_read="Read it."
)


def _recorded(folder: Path) -> bool:
    return bool(json.loads((folder / RECORD).read_text())["complete"])


class Counted:
    """Parts that count how often they are written."""

    def __init__(self, names: list[str], *, fails_at: str | None = None) -> None:
        self.written: list[str] = []
        self.fails_at = fails_at
        self.parts = [Part(name, self._writer(name), ticks=1) for name in names]

    def _writer(self, name: str) -> Callable[[Path, Tick], None]:
        def write(path: Path, tick: Tick) -> None:
            path.write_bytes(b"half")
            tick()
            if name == self.fails_at:
                raise KeyboardInterrupt
            path.write_bytes(b"whole")
            self.written.append(name)

        return write


def test_an_interrupted_export_is_gone_on_with(tmp_path: Path) -> None:
    names = [f"part-{number}" for number in range(40)]
    first = Counted(names, fails_at="part-7")
    with pytest.raises(KeyboardInterrupt):
        make(replace(PLAN, parts=first.parts), tmp_path / "out", ORIGIN)
    standing = {path.name for path in (tmp_path / "out").iterdir()} - {RECORD}
    assert standing == set(first.written)
    assert "part-7" not in standing
    assert len(standing) < len(names)
    assert all((tmp_path / "out" / name).read_bytes() == b"whole" for name in standing)
    assert not _recorded(tmp_path / "out")
    again = Counted(names)
    shown: list[tuple[int, int, str]] = []
    made = make(replace(PLAN, parts=again.parts), tmp_path / "out", ORIGIN, lambda *state: shown.append(state))
    assert set(again.written) == set(names) - standing
    assert (made.parts, made.kept) == (40, len(standing))
    assert shown[0] == (len(standing), 40, "fields")
    assert shown[-1] == (40, 40, "fields")
    assert _recorded(tmp_path / "out")
    once_more = Counted(names)
    once_more.parts[0] = replace(once_more.parts[0], size=len(b"whole"))
    assert make(replace(PLAN, parts=once_more.parts), tmp_path / "out", ORIGIN).kept == 40
    assert once_more.written == []


@pytest.mark.parametrize("lost", ["part-1", "closing"])
def test_an_export_that_lost_a_part_is_not_complete_until_it_is_whole_again(tmp_path: Path, lost: str) -> None:
    def plan(*, fails_at: str | None = None) -> Plan:
        parts = Counted(["part-0", "part-1", "closing"], fails_at=fails_at).parts
        return replace(PLAN, parts=parts[:2], closing=parts[2:])

    make(plan(), tmp_path, ORIGIN)
    (tmp_path / lost).unlink()
    with pytest.raises(KeyboardInterrupt):
        make(plan(fails_at=lost), tmp_path, ORIGIN)
    assert not _recorded(tmp_path)
    assert make(plan(), tmp_path, ORIGIN).kept == 2 - (lost == "part-1")
    assert _recorded(tmp_path)


def test_an_export_that_lost_a_part_and_has_no_room_for_it_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise NoSpaceError("There is no room.")

    plan = replace(PLAN, parts=Counted(["part"]).parts)
    make(plan, tmp_path, ORIGIN)
    (tmp_path / "part").unlink()
    monkeypatch.setattr("cm4ai_assets.exports.making.require_space", full)
    with pytest.raises(NoSpaceError):
        make(plan, tmp_path, ORIGIN)
    assert not _recorded(tmp_path)


_KILLED = """
import os, signal, sys
from pathlib import Path
from cm4ai_assets.exports.making import make
from cm4ai_assets.exports.parts import Part, of_bytes
from cm4ai_assets_tests.exports.test_making import ORIGIN, PLAN
from dataclasses import replace

def dies(path, tick):
    path.write_bytes(b"half")
    while not (Path(sys.argv[1]) / "first.txt").exists():
        pass
    os.kill(os.getpid(), signal.SIGKILL)

make(replace(PLAN, parts=[of_bytes("first.txt", b"whole"), Part("second.txt", dies)]), Path(sys.argv[1]), ORIGIN)
"""


def test_a_killed_export_is_gone_on_with(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "first.txt").read_bytes() == b"whole"
    assert not (tmp_path / "second.txt").exists()
    parts = [of_bytes("first.txt", b"whole"), of_bytes("second.txt", b"whole")]
    assert make(replace(PLAN, parts=parts), tmp_path, ORIGIN).kept == 1
    assert {path.name for path in tmp_path.iterdir()} == {"first.txt", "second.txt", "README.md", RECORD}


def test_what_a_killed_process_left_is_swept_and_what_was_cut_is_made_again(tmp_path: Path) -> None:
    (tmp_path / ".cm4ai-partial-00").mkdir()
    (tmp_path / ".cm4ai-partial-00" / "x").write_bytes(b"half")
    parts = [of_bytes("a.txt", b"content"), of_bytes("b.txt", b"other"), of_bytes("c/d.txt", b"deep")]
    make(replace(PLAN, parts=parts), tmp_path, ORIGIN)
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.txt", "c", "README.md", RECORD}
    (tmp_path / "a.txt").write_bytes(b"cont")
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c" / "d.txt").write_bytes(b"")
    assert make(replace(PLAN, parts=parts), tmp_path, ORIGIN).kept == 0
    assert [(tmp_path / part.name).read_bytes() for part in parts] == [b"content", b"other", b"deep"]


def test_a_folder_part_of_which_a_power_cut_left_nothing_is_made_again(tmp_path: Path) -> None:
    def write(path: Path, _: Tick) -> None:
        path.mkdir()
        (path / "inside").write_bytes(b"whole")

    plan = replace(PLAN, parts=[Part("folder", write)])
    make(plan, tmp_path, ORIGIN)
    assert make(plan, tmp_path, ORIGIN).kept == 1
    (tmp_path / "folder" / "inside").write_bytes(b"")
    assert make(plan, tmp_path, ORIGIN).kept == 0
    assert (tmp_path / "folder" / "inside").read_bytes() == b"whole"


@pytest.mark.parametrize("lost", ["emptied", "removed", "removed with its folder"])
def test_a_folder_part_that_lacks_a_file_however_deep_is_made_again(tmp_path: Path, lost: str) -> None:
    def write(path: Path, _: Tick) -> None:
        (path / "a" / "b").mkdir(parents=True)
        for name in ("a/b/c", "a/d"):
            (path / name).write_bytes(b"whole")

    plan = replace(PLAN, parts=[Part("folder", write, files=("a/b/c", "a/d"))])
    make(plan, tmp_path, ORIGIN)
    assert make(plan, tmp_path, ORIGIN).kept == 1
    deep = tmp_path / "folder" / "a" / "b" / "c"
    if lost == "emptied":
        deep.write_bytes(b"")
    else:
        deep.unlink()
    if lost == "removed with its folder":
        deep.parent.rmdir()
    assert make(plan, tmp_path, ORIGIN).kept == 0
    assert deep.read_bytes() == b"whole"


def test_an_empty_file_or_folder_deep_in_a_part_counts_where_its_files_are_not_named(tmp_path: Path) -> None:
    def write(path: Path, _: Tick) -> None:
        (path / "a" / "b").mkdir(parents=True)
        (path / "a" / "b" / "c").write_bytes(b"whole")
        (path / "d").write_bytes(b"whole")

    plan = replace(PLAN, parts=[Part("folder", write)])
    make(plan, tmp_path, ORIGIN)
    assert make(plan, tmp_path, ORIGIN).kept == 1
    (tmp_path / "folder" / "a" / "b" / "c").write_bytes(b"")
    assert make(plan, tmp_path, ORIGIN).kept == 0
    (tmp_path / "folder" / "a" / "b" / "c").unlink()
    assert make(plan, tmp_path, ORIGIN).kept == 0


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"holds something that is no export \(thesis\.txt\)\. Nothing was"):
        make(PLAN, tmp_path, ORIGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigurationError, match="is a file"):
        make(PLAN, tmp_path / "thesis.txt", ORIGIN)
    (tmp_path / "thesis.txt").rename(tmp_path / RECORD)
    with pytest.raises(ConfigurationError, match="no export"):
        make(PLAN, tmp_path, ORIGIN)


def test_a_folder_that_another_process_writes_to_is_left_alone(tmp_path: Path) -> None:
    with ExportFolder(tmp_path, PLAN.identity), pytest.raises(ConfigurationError, match="Another process writes"):
        make(PLAN, tmp_path, ORIGIN)
    make(PLAN, tmp_path, ORIGIN)


@pytest.mark.parametrize("moment", ["unlink", "release"])
def test_a_folder_that_one_process_leaves_is_held_by_one_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    first, second, third = (ExportFolder(tmp_path, PLAN.identity) for _ in range(3))
    owner = Path if moment == "unlink" else filelock.BaseFileLock
    leave = getattr(owner, moment)

    def enter_after(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(owner, moment, leave)
        leave(*args, **kwargs)
        second.__enter__()  # as another process would between the two steps of leaving, or after them

    first.__enter__()
    monkeypatch.setattr(owner, moment, enter_after)
    first.__exit__()
    with pytest.raises(ConfigurationError, match="Another process writes"):
        third.__enter__()
    second.__exit__()


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "CON.txt", "a\\b", "x/\x00", "C:x"])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError):
        make(replace(PLAN, parts=[of_bytes(name, b"hostile")]), tmp_path / "out", ORIGIN)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [RECORD]


def test_another_selection_is_refused_and_says_what_differs(exported: Callable[..., Made]) -> None:
    folder = exported("webdataset", selection=Selection(conditions=(Condition.UNTREATED,))).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for choices in ({}, {"selection": Selection(conditions=(Condition.PACLITAXEL,))}, {"pixels": "npy"}):
        with pytest.raises(ConfigurationError, match=r"holds another export: (selection|pixels) is .*, not "):
            exported("webdataset", **choices)
    with pytest.raises(ConfigurationError, match='format is "webdataset", not "cell-maps"'):
        exported("cell-maps")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    origin = replace(ORIGIN, title="<script>\x1b[31m", citation="[x](javascript:1)\n# Heading", license="a|b`c`")
    make(PLAN, tmp_path, origin)
    text = (tmp_path / "README.md").read_text()
    assert "\x1b" not in text
    assert "<script>" not in text.replace("\\<", "")
    assert "\n# Heading" not in text
    assert r"\[x\](javascript:1)" in text


@pytest.mark.parametrize("form", ["webdataset", "huggingface"])
@pytest.mark.parametrize("conditions", [(), (Condition.UNTREATED,)], ids=["all", "what came later"])
def test_what_is_divided_by_splits_is_not_by_those_of_before(
    images: Release, tmp_path: Path, form: str, conditions: tuple[Condition, ...]
) -> None:
    release = with_splits(images, tmp_path, without="untreated")
    with pytest.raises(NotMaterializedError, match=r"older than its fields: \d+ fields of untreated are not in them"):
        export(release, form, tmp_path / "out", selection=Selection(conditions=conditions))
    assert not (tmp_path / "out").exists()
    export(release, form, tmp_path / "out", selection=Selection(conditions=(Condition.PACLITAXEL,)))


@pytest.mark.parametrize(
    ("table", "form", "pixels"),
    [
        ("if_quality", "ome-zarr", None),
        ("if_quality", "webdataset", None),
        ("if_images", "cell-maps", None),
        ("if_images", "huggingface", "jpeg"),
        ("if_tensors", "cell-maps", None),
        ("if_tensors", "webdataset", "jpeg"),
        ("if_tensors", "webdataset", "png"),
    ],
)
def test_a_condition_that_lacks_a_table_is_named_and_nothing_is_written(
    images: Release, tmp_path: Path, table: str, form: str, pixels: str | None
) -> None:
    release = copied(images, tmp_path)
    release.store.remove(table_path(tables.table(table), Partition(release.key, "paclitaxel")))
    error = rf"{table} of paclitaxel of .* is not materialized\. Run `cm4ai materialize .* --condition paclitaxel"
    for conditions in ((), (Condition.PACLITAXEL,)):
        with pytest.raises(NotMaterializedError, match=error):
            export(release, form, tmp_path / "out", selection=Selection(conditions=conditions), pixels=pixels)
    assert not (tmp_path / "out").exists()
    untreated = Selection(conditions=(Condition.UNTREATED,))
    assert export(release, form, tmp_path / "out", selection=untreated, pixels=pixels).parts > 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that exports ask room for, one after the other."""
    found: list[int] = []
    monkeypatch.setattr("cm4ai_assets.exports.making.require_space", lambda needs, **_: found.extend(needs.values()))
    return found


def test_room_is_asked_for_what_is_written_and_for_little_more(exported: Callable[..., Made], asked: list[int]) -> None:
    folder = exported("webdataset", pixels="npy").folder  # as numbers, pixels take the same bytes in any image
    written = sum(path.stat().st_size for path in folder.glob("*.tar"))
    assert written <= asked[0] <= 1.1 * written


@pytest.mark.parametrize(
    ("form", "pixels", "share"),
    [
        ("webdataset", "png", 1 / 16),
        ("webdataset", "npy", 1 / 16),
        ("huggingface", "png", 1 / 16),
        ("ome-zarr", None, 1 / 16),
        ("webdataset", "jpeg", 1),
        ("huggingface", "jpeg", 1),
    ],
)
def test_room_goes_by_the_pixels_of_a_field_and_that_of_published_images_does_not(
    images: Release, tmp_path: Path, asked: list[int], *, form: str, pixels: str | None, share: float
) -> None:
    release = copied(images, tmp_path)
    for condition in images.conditions:  # the same images, said to be four times as long
        (row,) = images.table("if_tensors").filter(pl.col("condition") == condition).collect().rows(named=True)
        kept = {name: value for name, value in row.items() if name not in {"release", "condition"}}
        publish(release.store, "if_tensors", [{**kept, "edge": 4 * row["edge"]}], str(condition))
    for one, name in ((images, "small"), (release, "large")):
        export(one, form, tmp_path / name, pixels=pixels)
    small, large = asked
    assert small == pytest.approx(share * large, rel=0.2)


def test_what_is_asked_for_wrongly_writes_nothing(
    images: Release, tmp_path: Path, exported: Callable[..., Made]
) -> None:
    with pytest.raises(ConfigurationError, match=r"'imagenet' is no format\. One of cell-maps, webdataset"):
        exported("imagenet")
    with pytest.raises(ConfigurationError, match=r"cell-maps does not hold pixels as npy\. Leave out --pixels"):
        exported("cell-maps", pixels="npy")
    with pytest.raises(SelectionError, match="No antibody is against the gene 'NOGENE'"):
        exported("webdataset", selection=Selection(genes=("NOGENE",)))
    with pytest.raises(NotMaterializedError, match="vorinostat"):
        exported("webdataset", selection=Selection(conditions=(Condition.VORINOSTAT,)))
    with pytest.raises(NotMaterializedError, match="splits"):
        exported("webdataset", selection=Selection(split="train"))
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    with pytest.raises(NotMaterializedError):
        export(Release("2030-01-v1.0", images.store), "webdataset", tmp_path / "out")
