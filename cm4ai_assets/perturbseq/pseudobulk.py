"""Profiles of perturbed genes as a scientist opens them: a lazy array with the names of its rows and columns.

Belongs here: reading a published store by name, and the AnnData of it. Does not belong here: making one (`profiles`),
and the store itself (`storage.profiles`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import fsspec
import polars as pl

from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.profiles import (
    GENES_FILE,
    STATISTICS,
    ProfilesRecord,
    open_statistic,
    read_axis,
    require_complete,
)

if TYPE_CHECKING:
    import anndata
    import pandas as pd
    import zarr

DEFAULT = "log_mean"


class Pseudobulk:
    """Profiles of targets over genes, read only and lazy: nothing is read before it is indexed.

    Args:
        fs: Filesystem of the store.
        path: The store on it.
        rows: The rows of `perturb_targets`.

    Raises:
        TensorStoreError: The store has lost a part.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, path: str, rows: pl.DataFrame) -> None:
        self._fs, self._path = fs, path
        self.record: ProfilesRecord = require_complete(fs, path)
        self._rows = rows.filter(pl.col("tensor_index").is_not_null()).sort("tensor_index")

    @property
    def shape(self) -> tuple[int, int]:
        """Targets and genes."""
        return self.record.shape

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Names of the rows; the controls are one of them."""
        return tuple(self._rows["target"])

    @cached_property
    def cells(self) -> npt.NDArray[np.int64]:
        """Cells of each target."""
        return self._rows["n_cells"].to_numpy()

    @cached_property
    def gene_table(self) -> pl.DataFrame:
        """The columns: `gene_index`, `gene` (symbol), `gene_id` (Ensembl, null where the file has none)."""
        return read_axis(self._fs, self._path, GENES_FILE)

    @cached_property
    def genes(self) -> tuple[str, ...]:
        """Symbols of the columns. A symbol may stand twice; `gene_table` has the ids."""
        return tuple(self.gene_table["gene"])

    def statistic(self, name: str = DEFAULT) -> zarr.Array[Any]:
        """One statistic: float32, axes target, gene; numpy's basic indexing.

        `mean` and `variance` of counts, `log_mean` and `log_variance` of log1p(counts per 10,000), and `detected`, the
        share of cells with a count. Variances divide by n - 1 and are NaN for a single cell.

        Raises:
            TensorStoreError: There is no such statistic.
        """
        return open_statistic(self._fs, self._path, name)

    def __getitem__(self, selection: Any) -> npt.NDArray[np.float32]:  # noqa: ANN401 - numpy's basic indexing
        return np.asarray(self.statistic()[selection], dtype=np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def of(self, target: str, statistic: str = DEFAULT) -> npt.NDArray[np.float32]:
        """The profile of one target: float32, one value a gene.

        Raises:
            NotMaterializedError: It has no profile.
        """
        if target not in self.targets:
            raise NotMaterializedError(
                f"{target} has no profile.",
                remedy="The table perturb_targets has every target, with cells and without.",
            )
        row = self.targets.index(target)
        return np.asarray(self.statistic(statistic)[row], dtype=np.float32)

    def outline(self) -> anndata.AnnData:
        """`anndata()` without a single value: the rows of the table, the genes, and where the counts are from.

        Raises:
            ImportError: anndata is not installed (extra: anndata).
        """
        return self._anndata()

    def _anndata(self, **values: Any) -> anndata.AnnData:  # noqa: ANN401 - those of AnnData
        try:
            import anndata  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ImportError("anndata is not installed: pip install 'cm4ai_assets[anndata]'.") from error
        return anndata.AnnData(
            obs=for_anndata(self._rows.drop("target"), self.targets),
            var=for_anndata(self.gene_table.select("gene_id"), self.genes),
            uns={"counts_in": self.record.counts_in, "depths_from": self.record.depths_from},
            **values,
        )

    def anndata(self) -> anndata.AnnData:
        """All of it in memory: X is `log_mean`, the other statistics are layers; obs are the rows of `perturb_targets`.

        Lists of the table become text, joined by `|`, so that the object can be written to a file.

        Raises:
            ImportError: anndata is not installed (extra: anndata).
        """
        layers = {name: np.asarray(self.statistic(name)[:]) for name in STATISTICS if name != DEFAULT}
        return self._anndata(X=self[:], layers=layers)


def for_anndata(frame: pl.DataFrame, index: Sequence[str]) -> pd.DataFrame:
    """A frame as anndata can write it: texts as categories over objects, which any version of pandas and it knows.

    Lists become text, joined by `|`.
    """
    import pandas as pd  # noqa: PLC0415 - comes with anndata

    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    frame = frame.with_columns(pl.col(lists).cast(pl.List(pl.String)).list.join("|"))

    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    columns: dict[str, Any] = {name: frame[name].to_numpy() for name in frame.columns if name not in texts}
    for name in texts:
        categories = pd.Index(frame[name].drop_nulls().unique().sort().to_list(), dtype=object)
        columns[name] = pd.Categorical(frame[name].to_list(), categories=categories)
    return pd.DataFrame(columns, index=pd.Index(list(index), dtype=object))[frame.columns]
