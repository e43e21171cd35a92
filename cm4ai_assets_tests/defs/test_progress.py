"""What long work says of itself."""

from __future__ import annotations

import pytest

from cm4ai_assets.defs.progress import DownloadLog
from cm4ai_assets.transfer.download import Progress


class Said(list[str]):
    def info(self, text: str) -> None:
        self.append(text)


@pytest.mark.parametrize(
    ("done", "total", "rate", "words"),
    [
        (3_240, 3_240, 812.4, "3.24 kB of 3.24 kB (100%), 812 bytes/s"),
        (4_862_000_000, 4_862_000_000, 25e6, "4.86 GB of 4.86 GB (100%), 25.00 MB/s"),
        (0, 0, 0.0, "0 bytes of 0 bytes (100%), 0 bytes/s"),
    ],
)
def test_a_download_says_how_far_it_is_in_units_that_fit(done: int, total: int, rate: float, words: str) -> None:
    said = Said()
    DownloadLog(said)(Progress(done, total, rate))  # type: ignore[arg-type]
    assert said == [words]
