"""Records of the runs that made what is published."""

import hashlib
import io
import subprocess
import threading
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cm4ai_assets import software
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.settings import PROJECT
from cm4ai_assets.storage.makings import Input, Making, Makings
from cm4ai_assets.storage.store import Store

PATH = "tables/if_fields/release=2025-06-v2.1/condition=paclitaxel/data.parquet"
MAKING = Making(
    path=PATH,
    digest="a" * 64,
    asset="if_fields",
    release="2025-06-v2.1",
    condition="paclitaxel",
    run_id="8e3f",
    code_version="2",
    started=datetime(2026, 11, 26, 12, 0, 0, 5, tzinfo=UTC),
    ended=datetime(2026, 11, 26, 12, 1, tzinfo=UTC),
    software=software.running(),
    inputs=(Input("blobs/sha256/ab/abcd", "b" * 64), Input("tables/if_images/x/data.parquet", "c" * 64)),
)


@pytest.fixture
def makings(tmp_path: Path) -> Makings:
    return Makings(Store(str(tmp_path / "storage"), scratch=tmp_path))


def test_a_record_is_read_as_it_was_written(makings: Makings) -> None:
    makings.note(MAKING, software.environment())
    assert makings.of(PATH) == MAKING
    assert makings.environment(MAKING.software.environment) == software.environment()
    with pytest.raises(FileNotFoundError):
        makings.source(MAKING.software.source or "")
    makings.note(MAKING, software.environment(), software.source())
    assert makings.source(MAKING.software.source or "") == software.source()
    unknown = replace(MAKING, started=None, condition=None, code_version=None, inputs=())
    makings.note(unknown, software.environment())
    assert makings.of(PATH, "a" * 64) == unknown


def test_nobody_is_said_to_have_made_other_bytes(makings: Makings) -> None:
    assert makings.of(PATH) is None
    makings.note(MAKING, software.environment())
    assert makings.of(PATH, "d" * 64) is None


def test_a_record_that_was_altered_is_not_believed(makings: Makings, tmp_path: Path) -> None:
    makings.note(MAKING, software.environment())
    record = tmp_path / "storage" / "registry" / "makings" / f"{PATH}.json"
    record.write_text(record.read_text().replace("8e3f", "8e3e"))
    with pytest.raises(StoredBytesDamagedError, match="altered"):
        makings.of(PATH)


def test_the_environment_names_what_is_installed() -> None:
    running, lines = software.running(), software.environment().splitlines()
    assert any(line.startswith("polars==") for line in lines)
    assert lines == sorted(lines, key=str.lower)
    assert len(running.environment) == 64
    assert running.commit is None or len(running.commit) == 40


def test_the_software_is_looked_up_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, wait = [], threading.Event()

    def source() -> bytes:
        looked.append(threading.current_thread().name)
        wait.wait(10)
        return b"packed"

    monkeypatch.setattr(software, "source", source)
    software._running.cache_clear()
    try:
        software.look_ahead()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(software.running) for _ in range(4)]
            wait.set()
        assert {one.result().source for one in asked} == {hashlib.sha256(b"packed").hexdigest()}
        assert looked == ["software"]
    finally:
        software._running.cache_clear()


def test_the_source_is_the_package_as_it_stands_and_the_same_each_time() -> None:
    first = software.source()
    software.source.cache_clear()
    assert software.source() == first
    packed = zipfile.ZipFile(io.BytesIO(first))
    package = Path(software.__file__).parent
    names = {f"cm4ai_assets/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    assert names <= set(packed.namelist())
    assert packed.read("cm4ai_assets/software.py") == Path(software.__file__).read_bytes()
    assert not [name for name in packed.namelist() if name.endswith(".pyc")]
    assert software.running().source == hashlib.sha256(first).hexdigest()


def test_the_version_of_a_checkout_is_the_one_that_a_wheel_of_it_would_have(tmp_path: Path) -> None:
    scm = pytest.importorskip("setuptools_scm", reason="setuptools-scm is not installed (extra: dev)")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message", "one"]

    def versions() -> tuple[str, str]:
        built = scm.get_version(str(tmp_path), version_scheme="post-release", fallback_version="0.0.0")
        return software._version_of_checkout(tmp_path), built

    for words in (["git", "init", "--quiet", str(tmp_path)], commit, commit):
        subprocess.run(words, check=True)
    own, built = versions()
    assert own == built
    assert own.startswith("0.0.0.post2+g")
    subprocess.run([*git, "tag", "v1.2.3"], check=True)
    assert versions() == ("1.2.3", "1.2.3")
    subprocess.run(commit, check=True)
    subprocess.run([*git, "tag", "vorinostat"], check=True)  # no version
    own, built = versions()
    assert own == built
    assert own.startswith("1.2.3.post1+g")


def test_this_checkout_says_its_version_as_it_is_and_not_as_it_was_installed() -> None:
    commit = software.running().commit
    if commit is None:
        pytest.skip("this tree is no git checkout")
    assert f"+g{commit[:9]}" in software.package_version() or software.package_version().count("+") == 0
    config = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]
    assert config == {"version_scheme": "post-release", "fallback_version": software._NO_TAG}
