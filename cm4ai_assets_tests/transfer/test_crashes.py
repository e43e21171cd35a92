"""kill -9 at any step, and several processes at once: what is stored is whole, and nothing is fetched twice.

CM4AI_CRASH_LOOPS=1000 makes the loop of random kills as long as one likes, and dies before each step, not each sixth.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from cm4ai_assets_tests.transfer.bench import DATA, FILE, SIZE, locked, md5, sha256
from cm4ai_assets_tests.transfer.crashes import Job, processes, run, started
from cm4ai_assets_tests.transfer.server import Exchange, Server, whole

LOOPS = int(os.environ.get("CM4AI_CRASH_LOOPS", "12"))
STRIDE = 1 if "CM4AI_CRASH_LOOPS" in os.environ else 6
MOST_STEPS = 200
CONTEXT = processes()


def assert_sound(root: Path) -> None:
    """Whatever stands under a final name is all of it, and no index entry promises more than there is."""
    for path in (root / "storage/blobs/sha256").glob("??/*"):
        if not path.name.startswith("."):
            assert sha256(path.read_bytes()) == path.name
    for path in (root / "storage/blobs/index").glob("*/??/*.json"):
        if not path.name.startswith("."):
            entry = json.loads(path.read_text())
            blob = root / "storage/blobs/sha256" / entry["sha256"][:2] / entry["sha256"]
            assert blob.stat().st_size == entry["size"]


def assert_done(root: Path) -> None:
    assert_sound(root)
    blob = root / "storage/blobs/sha256" / sha256(DATA)[:2] / sha256(DATA)
    assert blob.read_bytes() == DATA
    assert (root / "storage/blobs/index/md5" / md5(DATA)[:2] / f"{md5(DATA)}.json").exists()
    assert not list((root / "scratch").glob("*.part"))
    assert not list((root / "scratch").glob("*.json"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("no_links", [False, True], ids=["linked", "copied"])
def test_51_death_before_every_single_step(archive: Server, tmp_path: Path, *, no_links: bool) -> None:
    archive.on(FILE, whole(DATA))
    deaths = 0
    first = random.randint(1, STRIDE)
    print(f"first step {first}")  # noqa: T201 - shown where the test fails
    for step in range(first, MOST_STEPS, STRIDE):
        root = tmp_path / str(step)
        archive.log.clear()
        process = started(CONTEXT, Job(archive.url, locked(), root, dies_before=step, no_links=no_links))
        process.join(20)
        assert_sound(root)
        if process.exitcode == 0:
            break
        assert process.exitcode == -9
        deaths += 1
        had = {path.stat().st_size for path in root.glob("scratch/*.part")}
        asked = len(archive.log)
        run(Job(archive.url, locked(), root))
        assert_done(root)
        # What had arrived is not asked for again, and it is one download to the archive however often it was begun.
        assert len(archive.log) == asked + (0 if SIZE in had or (asked and not had) else 1)
        assert len([seen for seen in archive.log if "gbrecs" not in seen.query]) <= 1
    assert 20 < deaths * STRIDE < MOST_STEPS - STRIDE


@pytest.mark.timeout(60 + LOOPS)
def test_51_kills_at_random_moments(archive: Server, tmp_path: Path) -> None:
    def slowly(exchange: Exchange) -> None:
        start = exchange.seen.range_start or 0
        stated = {"Content_Range": f"bytes {start}-{SIZE - 1}/{SIZE}"} if start else {}
        exchange.head(206 if start else 200, Content_Length=str(SIZE - start), Content_Type="application/zip", **stated)
        for at in range(start, SIZE, 15_000):
            exchange.write(DATA[at : at + 15_000])
            time.sleep(0.005)

    archive.on(FILE, slowly)
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    moments = random.Random(seed)
    root = tmp_path / "0"
    kept = 0
    for loop in range(LOOPS):
        process = started(CONTEXT, Job(archive.url, locked(), root))
        process.join(moments.uniform(0.01, 0.15))
        process.kill()
        process.join()
        assert_sound(root)
        left = [path.stat().st_size for path in (*root.glob("scratch/*.part"), *root.glob("storage/blobs/sha256/??/*"))]
        assert max(left, default=0) >= kept
        kept = max(left, default=0)
        if process.exitcode == 0:
            assert_done(root)
            root, kept = tmp_path / str(loop + 1), 0
            archive.log.clear()
        assert len([seen for seen in archive.log if "gbrecs" not in seen.query]) <= 1
    run(Job(archive.url, locked(), root))
    assert_done(root)


def test_51_processes_that_want_one_file_make_one_download(archive: Server, tmp_path: Path) -> None:
    def held(exchange: Exchange) -> None:
        time.sleep(0.3)
        whole(DATA)(exchange)

    archive.on(FILE, held)
    jobs = [started(CONTEXT, Job(archive.url, locked(), tmp_path)) for _ in range(4)]
    for job in jobs:
        job.join(20)
    assert [job.exitcode for job in jobs] == [0] * 4
    assert len(archive.log) == 1
    assert_done(tmp_path)


def test_51_if_the_one_that_fetches_dies_the_next_goes_on(archive: Server, tmp_path: Path) -> None:
    def half_and_stop(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(SIZE), Content_Type="application/zip")
        exchange.write(DATA[:150_000])
        time.sleep(0.3)

    archive.on(FILE, half_and_stop, whole(DATA))
    first = started(CONTEXT, Job(archive.url, locked(), tmp_path))
    part = tmp_path / "scratch" / f"md5-{md5(DATA)}.part"
    while not part.exists() or part.stat().st_size < 100_000:
        time.sleep(0.01)
    second = started(CONTEXT, Job(archive.url, locked(), tmp_path))
    time.sleep(0.05)
    first.kill()
    second.join(20)
    assert second.exitcode == 0
    assert_done(tmp_path)
    assert [seen.range_start is None for seen in archive.log] == [True, False]
