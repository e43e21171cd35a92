"""A synthetic Perturb-seq experiment in the published shapes: guide library, h5ad of counts, controls' whitelist.

Belongs here: guides, and cells with their planted effects. Does not belong here: how a file is laid out on disk
(`h5ad`), where it stands in an article or a release (`content`), and sequencing statistics (`sequencing`).

What is planted: each guide lowers its target to a share of its level that is the guide's own; each target moves a few
responders; a batch shifts depth; some cells carry several guides. Counts of a cell and a gene depend on the seed and on
the tile in which they stand, so that every layout of a file holds the same matrix.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.sandbox import plates, seeds

GUIDES_PER_TARGET: Final = 3
LIBRARY_HEADER: Final = (
    "name", "read", "pattern", "sequence", "feature_type", "target_gene_id", "target_gene_name", "id",
)  # fmt: skip
CONTROL: Final = "Non-Targeting"
CHANNELS: Final = tuple(
    f"{batch}-Chip-{chip}-Channel-{channel}" for batch in ("ALPHA", "BETA", "GAMMA") for chip in (1, 2)
    for channel in range(1, 17)
    if (batch, chip, channel) not in {
        ("ALPHA", 2, 3), ("ALPHA", 2, 14), ("BETA", 1, 1), ("GAMMA", 2, 7), ("GAMMA", 2, 8), ("GAMMA", 2, 14),
    }
)  # fmt: skip
"""The 90 channels of which counts are published: six of 96 are absent."""

_CELLS_OF_TILE, _GENES_OF_TILE = 4096, 64
_MULTIPLE, _CONTROLS = 0.03, 0.15
_CONTROL_GUIDES: Final = 12


@dataclass(frozen=True)
class Guide:
    """One guide: its name as in the library, its sequence of 20 bases, and the gene that it is against."""

    name: str
    sequence: str
    gene: str
    gene_id: str

    @property
    def reindexed(self) -> str:
        """The name as cells carry it: the number after an underscore."""
        return "_".join(self.name.rsplit("-", 1))


# Numbers of genes that are those of the plates; those with a hyphen are not.
_SHARED = dict(zip((n for n in range(21, 21 + 2 * len(plates.KNOWN)) if n % 10), plates.KNOWN, strict=False))


@dataclass(frozen=True)
class Experiment:
    """Cells, genes and targets of a synthetic experiment; the same arguments give the same experiment.

    Args:
        cells: Cells.
        genes: Genes of the matrix; the first `targets` of them are perturbed.
        targets: Genes that guides are against.
        seed: Another seed, another experiment.
        depth: Mean counts of a gene in a cell.
    """

    cells: int = 600
    genes: int = 200
    targets: int = 40
    seed: int = 0
    depth: float = 2.0

    def generator(self, *parts: object) -> np.random.Generator:
        """Random numbers for a purpose."""
        return seeds.generator("perturbseq", self.seed, self.genes, self.targets, *parts)

    @cached_property
    def symbols(self) -> list[str]:
        """Symbols of the genes: some with a hyphen, as HLA-A has, and some that antibodies are against, too."""
        invented = [f"SYN{n:05d}" if n % 10 else f"SY-N{n:05d}" for n in range(1, self.genes + 1)]
        return [_SHARED[n].symbol if n in _SHARED else symbol for n, symbol in enumerate(invented, start=1)]

    @cached_property
    def gene_ids(self) -> list[str]:
        """Ensembl ids of the genes."""
        invented = [f"ENSG{900_000_000 + n:011d}" for n in range(1, self.genes + 1)]
        return [_SHARED[n].ensembl if n in _SHARED else gene for n, gene in enumerate(invented, start=1)]

    @cached_property
    def guides(self) -> list[Guide]:
        """Three guides a target in the order of the genes, then the controls."""
        genes = [
            (s, i, n) for s, i in zip(self.symbols[: self.targets], self.gene_ids, strict=False) for n in (1, 2, 3)
        ]
        controls = [(CONTROL, CONTROL, n) for n in range(1, _CONTROL_GUIDES + 1)]
        return [
            Guide(f"{gene}-{number}", _sequence(self.seed, gene, number), gene, gene_id)
            for gene, gene_id, number in (*genes, *controls)
        ]

    @cached_property
    def guide_of_cell(self) -> npt.NDArray[np.int64]:
        """Which guide each cell carries: its place in `guides`."""
        rng = self.generator("guides", self.cells)
        perturbing = self.targets * GUIDES_PER_TARGET
        controls = rng.integers(perturbing, perturbing + _CONTROL_GUIDES, self.cells)
        return np.where(rng.random(self.cells) < _CONTROLS, controls, rng.integers(0, perturbing, self.cells))

    @cached_property
    def second_guide_of_cell(self) -> npt.NDArray[np.int64]:
        """A second guide, or -1."""
        rng = self.generator("second", self.cells)
        other = (self.guide_of_cell + rng.integers(1, len(self.guides), self.cells)) % len(self.guides)
        return np.where(rng.random(self.cells) < _MULTIPLE, other, -1)

    @cached_property
    def channel_of_cell(self) -> npt.NDArray[np.int64]:
        """Which of `CHANNELS` each cell was in."""
        return self.generator("channels", self.cells).integers(0, len(CHANNELS), self.cells)

    @cached_property
    def remaining(self) -> npt.NDArray[np.float64]:
        """Share of a target's level that each guide leaves: 0.1 to 0.5; 1 for controls."""
        left = self.generator("remaining").uniform(0.1, 0.5, len(self.guides))
        left[self.targets * GUIDES_PER_TARGET :] = 1.0
        return left

    @cached_property
    def effects(self) -> npt.NDArray[np.float32]:
        """Factor on each gene's level by guide, shape (guides, genes): the target itself, and five responders."""
        rng = self.generator("effects")
        factors = np.ones((len(self.guides), self.genes), np.float32)
        for target in range(self.targets):
            responders = rng.choice(np.arange(self.targets, self.genes), min(5, self.genes - self.targets), False)
            change = rng.choice([0.4, 2.5], len(responders))
            for guide in range(target * GUIDES_PER_TARGET, (target + 1) * GUIDES_PER_TARGET):
                factors[guide, responders] = change
                factors[guide, target] = self.remaining[guide]
        return factors

    @cached_property
    def _levels(self) -> npt.NDArray[np.float64]:
        """Mean level of each gene; targets are well expressed, so that a knock-down can be seen."""
        levels = self.generator("levels").lognormal(-1.0, 1.2, self.genes)
        levels *= self.depth / levels.mean()
        levels[: self.targets] = np.maximum(levels[: self.targets], self.depth)
        return levels

    @cached_property
    def _depths(self) -> npt.NDArray[np.float64]:
        """Depth of each cell: log-normal, and a factor of its batch."""
        batches = [name.partition("-")[0] for name in CHANNELS]
        factor = {"ALPHA": 1.0, "BETA": 0.8, "GAMMA": 1.25}
        by_channel = np.array([factor[batch] for batch in batches])
        depths = self.generator("depths", self.cells).lognormal(0, 0.3, self.cells)
        return np.asarray(depths * by_channel[self.channel_of_cell])

    def tile(self, row: int, column: int) -> npt.NDArray[np.float32]:
        """Counts of a tile of cells and genes. Tiles are drawn one by one, whatever the order."""
        cells = slice(row * _CELLS_OF_TILE, min((row + 1) * _CELLS_OF_TILE, self.cells))
        genes = slice(column * _GENES_OF_TILE, min((column + 1) * _GENES_OF_TILE, self.genes))
        factors = self.effects[:, genes][self.guide_of_cell[cells]]
        second = self.second_guide_of_cell[cells]
        factors = np.where((second >= 0)[:, None], factors * self.effects[:, genes][second], factors)
        means = factors * self._levels[genes] * self._depths[cells, None]
        return self.generator("tile", self.cells, row, column).poisson(means).astype(np.float32)

    def by_genes(self) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks of all cells and some genes, in the order of the genes."""
        rows, columns = -(-self.cells // _CELLS_OF_TILE), -(-self.genes // _GENES_OF_TILE)
        for column in range(columns):
            yield np.concatenate([self.tile(row, column) for row in range(rows)])

    def by_cells(self) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks of some cells and all genes, in the order of the cells."""
        rows, columns = -(-self.cells // _CELLS_OF_TILE), -(-self.genes // _GENES_OF_TILE)
        for row in range(rows):
            yield np.concatenate([self.tile(row, column) for column in range(columns)], axis=1)


def _sequence(seed: int, gene: str, number: int) -> str:
    return "".join(seeds.generator("guide", seed, gene, number).choice(list("ACGT"), 20))


def guide_library(experiment: Experiment) -> bytes:
    """The feature reference as csv, in the header and the order of the published one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LIBRARY_HEADER)
    for guide in experiment.guides:
        name, kind = guide.name, "CRISPR Guide Capture"
        target = (guide.gene_id, guide.gene)
        writer.writerow((name, "R2", "(BC)GTTTTAGAGCTAGAAATAGC", guide.sequence, kind, *target, name))
    return text.getvalue().encode()


def control_whitelist(experiment: Experiment) -> bytes:
    """Names of the controls that are used, one a line, as cells carry them."""
    controls = [guide.reindexed for guide in experiment.guides if guide.gene == CONTROL]
    return "".join(f"{name}\n" for name in controls[::2]).encode()
