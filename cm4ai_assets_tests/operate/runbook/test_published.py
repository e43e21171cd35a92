"""What the archive published is hostile, unreadable, unknown, or contradicts itself."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cm4ai_assets import open_release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.sandbox import Defect, DefectKind, write_if_zip
from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.operate.documented import blocks
from cm4ai_assets_tests.operate.runbook.archives import AFTER_NEXT, NEXT, file_in, is_zip, with_next
from cm4ai_assets_tests.operate.runbook.operating import CONDITION, MAKE, RELEASE, Operator


@pytest.mark.mends("zip-refused")
def test_zip_refused(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """A version with a hostile ZIP, and then one with a good ZIP."""
    hostile = tmp_path / "hostile.zip"
    write_if_zip(
        hostile, condition=Condition.PACLITAXEL, fields=8, defects=[Defect(DefectKind.PATH_TRAVERSAL, field=2)]
    )
    refused = with_next(sandbox, tmp_path / "refused", hostile.read_bytes(), keep=is_zip)
    operator.offers(refused)
    message = operator.fails()
    shown = operator.warns("if_archive", "zip_safe", f"{CONDITION}|{NEXT}")
    operator.section.sees(shown, "if_archive.zip_safe")
    assert ".jpg" in shown
    assert ".jpg" in message
    one = operator.incident("zip_safe")
    good = (sandbox / file_in(sandbox).path).read_bytes()
    operator.offers(with_next(refused, tmp_path / "mended", good, keep=is_zip))
    operator.follows(KEY=AFTER_NEXT)
    assert operator.evaluation("if_archive", "zip_safe", f"{CONDITION}|{AFTER_NEXT}").passed
    assert operator.states(AFTER_NEXT)[1] == "stored"
    assert not operator.is_over(one), "the version that was published like this stays as it is"


@pytest.mark.mends("unreadable-file")
def test_unreadable_file(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """Published tables without a protein group, and a version in which they are mended."""
    operator.makes = "secms_profiles"
    label = "cm4ai_mass-spec_MDA-MB-468.zip"
    good = (sandbox / file_in(sandbox, label, dataset=-2).path).read_bytes()
    bad = with_next(sandbox, tmp_path / "bad", without_groups(good), label=label, keep=is_zip)
    operator.offers(bad)
    message = operator.fails()
    operator.section.sees(message, "no row has a protein group")
    assert "line" in message
    operator.offers(with_next(bad, tmp_path / "mended", good, label=label, keep=is_zip))
    operator.follows(KEY=AFTER_NEXT)
    assert open_release(AFTER_NEXT).table("secms_profiles").collect().height


def without_groups(data: bytes) -> bytes:
    """A ZIP of tables, each with its columns and lines, and with nothing in them."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            text = source.read(member)
            if member.filename.endswith(".tsv"):
                header, *lines = text.splitlines()
                text = b"\n".join([header, *(b"\t" * header.count(b"\t") for _ in lines), b""])
            target.writestr(member.filename, text)
    return made.getvalue()


@pytest.mark.mends("unknown-kind")
def test_unknown_kind(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """A new treatment: the guide that the section names is followed on a copy of the package."""
    operator.makes = "release_files"
    data = (sandbox / file_in(sandbox).path).read_bytes()
    label = "cm4ai_ifimages_MDA-MB-468_cisplatin.zip"
    operator.offers(with_next(sandbox, tmp_path / "unknown", data, label=label, keep=is_zip))
    operator.succeeds(MAKE)
    shown = operator.warns("release_files", "files_recognised", NEXT)
    operator.section.sees(shown, "files_recognised")
    assert "Treatment 'cisplatin' is not known" in shown
    assert "conditions.py" in shown
    (patch,) = blocks(PROJECT / "docs" / "add-a-condition.md", "diff")
    copy = tmp_path / "own"
    shutil.copytree(PROJECT / "cm4ai_assets", copy / "cm4ai_assets", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", "--unsafe-paths", "-"], input=patch, text=True, cwd=copy, check=True)
    (command,) = operator.section.commands
    words = shlex.split(operator.words(operator.section.does(command)))[1:]
    done = subprocess.run(
        [sys.executable, "-m", "cm4ai_assets.cli", *words], cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert operator.evaluation("release_files", "files_recognised", NEXT).passed


@pytest.mark.mends("claims-contradict")
def test_claims_contradict(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """A datasheet of one's own stands beside those that were published; the next release states what is true."""
    operator.makes = "release_datasheet"
    operator.succeeds(MAKE)
    operator.section.sees(operator.warns("release_datasheet", "datasheet_license", RELEASE), "release_datasheet")
    one = operator.incident("datasheet_license")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{RELEASE}.yaml").write_text("id: own\ntitle: A better datasheet\n")
    operator.sets("CM4AI_DATASHEETS", str(tmp_path / "own"))
    operator.follows()
    rows = open_release(RELEASE).table("release_datasheet").collect()
    assert "A better datasheet" in rows.filter(source=f"added/{RELEASE}.yaml")["value"].to_list()
    assert not operator.is_over(one), "that of an old release stays"
    data = (sandbox / file_in(sandbox).path).read_bytes()
    operator.offers(with_next(sandbox, tmp_path / "next", data, keep=is_zip))
    operator.succeeds(MAKE)
    assert operator.evaluation("release_datasheet", "datasheet_license", NEXT).passed
