"""What the pass keeps of each field that it has done: nothing, so that memory does not follow the archive."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.pixels import Image, _Collector
from cm4ai_assets.images.quality import statistics
from cm4ai_assets.images.quality_table import ROWS_PER_GROUP, QualityWriter
from cm4ai_assets.storage.members import Member

LIMIT = 200  # bytes a field: what Parquet notes of a row group
FIELDS = ROWS_PER_GROUP // len(PLANES)  # as many as make a row group: none waits in memory


class _Store:
    """Takes fields and forgets them; a real one syncs a shard to disk for each sixteen, which takes its time."""

    n_fields = 0

    def append(self, chunks: list[bytes]) -> None:
        assert len(chunks) == len(PLANES)
        self.n_fields += 1


def test_what_is_kept_does_not_follow_the_number_of_fields(tmp_path: Path) -> None:
    store, rows = _Store(), QualityWriter(tmp_path / "quality.parquet")
    collector = _Collector(store, rows)  # type: ignore[arg-type]
    quality = statistics(np.full(256, 16, np.uint32), 0.5, full_level=255)
    held = []
    tracemalloc.start()
    try:
        for number in range(3 * FIELDS):
            members = [Member(place, f"{number}-{place}.jpg", 0, 0, 0, 9, 9, 0, 9, 0) for place in range(len(PLANES))]
            images = [Image([bytes(9)], quality, "red", f"{4 * number + place:064x}") for place in range(len(PLANES))]
            collector.add(f"F{number}", members, images)
            if (number + 1) % FIELDS == 0:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        rows.close()
    assert collector.fields == store.n_fields == 3 * FIELDS
    assert (held[-1] - held[0]) / (2 * FIELDS) <= LIMIT
