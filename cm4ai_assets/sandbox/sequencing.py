"""Sequencing statistics of the Perturb-seq channels.

Belongs here: synthetic numbers about sequencing. Does not belong here: proteomics (`proteomics`).
"""

from __future__ import annotations

import csv
import io

from cm4ai_assets.sandbox import seeds

_HEADER = (
    *("Sample", "Estimated Number of Cells", "Mean Reads per Cell", "Median Genes per Cell", "Number of Reads"),
    *("Valid Barcodes", "Sequencing Saturation", "Median UMI Counts per Cell"),
)


def cellranger_statistics() -> bytes:
    """One row per channel, 96 in all. The published columns are not known; these are of Cell Ranger's summary."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for group in ("ALPHA", "BETA", "GAMMA"):
        for chip in (1, 2):
            for channel in range(1, 17):
                writer.writerow(_row(f"KOLF2-{group}-Chip-{chip}-Channel-{channel}"))
    return text.getvalue().encode()


def _row(sample: str) -> tuple[str, ...]:
    rng = seeds.generator(sample)
    cells, reads = int(rng.integers(18_000, 38_000)), int(rng.integers(28_000, 64_000))
    return (
        sample,
        *(f"{n:,}" for n in (cells, reads, int(rng.integers(3_200, 6_100)), cells * reads)),
        *(f"{share:.1f}%" for share in (rng.uniform(94, 98), rng.uniform(35, 72))),
        f"{int(rng.integers(9_000, 24_000)):,}",
    )
