"""Tables of an h5ad: every encoding that anndata has published, against anndata; and what a bad file is called."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError, NotH5adError
from cm4ai_assets.sandbox.h5ad import Layout, Place, h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment
from cm4ai_assets.transfer.errors import NotFoundError

SMALL = Experiment(cells=60, genes=30, targets=10)


@pytest.fixture(scope="module")
def small() -> bytes:
    return h5ad(SMALL)


def opened(data: bytes) -> H5ad:
    return H5ad(io.BytesIO(data), label="cells.h5ad")


def altered(data: bytes, change: Callable[[h5py.File], None]) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def written(obs: pd.DataFrame, path: Path) -> bytes:
    anndata.AnnData(X=np.zeros((len(obs), 2), np.float32), obs=obs).write_h5ad(path)
    return path.read_bytes()


class Counting(io.BytesIO):
    """Keeps which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ranges: list[tuple[int, int]] = []

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.ranges.append((start, start + len(data)))
        return data


@pytest.mark.parametrize("layout", ["csc", "csr", "dense"])
@pytest.mark.parametrize("place", ["X", "layers/counts"])
def test_the_sandbox_writes_what_anndata_reads(layout: Layout, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    path.write_bytes(h5ad(SMALL, layout=layout, counts=place))
    read = anndata.read_h5ad(path)
    matrix = read.X if place == "X" else read.layers["counts"]
    dense = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    np.testing.assert_array_equal(dense, np.concatenate(list(SMALL.by_cells())))
    np.testing.assert_array_equal(dense.sum(axis=1), read.obs["n_UMI_counts"])
    with H5ad(path) as file:
        _same(file.obs.read(), read.obs)
        assert file.obs.index().to_list() == list(read.obs_names)
        assert file.var.index().to_list() == list(read.var_names)


def _same(found: pl.DataFrame, wanted: pd.DataFrame) -> None:
    assert found.columns == list(wanted.columns)
    for name in found.columns:
        expected = [None if pd.isna(value) else value for value in wanted[name].astype(object)]
        got = [None if isinstance(v, float) and np.isnan(v) else v for v in found[name].to_list()]
        assert got == expected, name


def test_the_same_experiment_gives_the_same_bytes() -> None:
    assert h5ad(SMALL) == h5ad(Experiment(cells=60, genes=30, targets=10))
    assert h5ad(SMALL) != h5ad(Experiment(cells=60, genes=30, targets=10, seed=1))


@pytest.fixture
def plain_text() -> Iterator[None]:
    """anndata 0.12 cannot write the text type that pandas 3 infers."""
    with pd.option_context("future.infer_string", False):
        yield


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
@pytest.mark.usefixtures("plain_text")
def test_encodings_are_read_as_anndata_reads_them(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {
            "text": ["a", "", "ü|b", "None"],
            "category": pd.Categorical(["x", None, "y", "x"], categories=["y", "x", "unused"]),
            "of numbers": pd.Categorical([3, 1, 1, None]),
            "nullable integer": pd.array([1, None, -3, 2**40], dtype="Int64"),
            "nullable boolean": pd.array([True, None, False, True], dtype="boolean"),
            "boolean": [True, False, True, False],
            "float": np.array([0.5, np.nan, -1, 2], np.float32),
            "unsigned": np.array([1, 2, 3, 255], np.uint8),
        },
        index=pd.Index(["c1", "c2", "c3", "c4"], name="cell"),
    )
    data = written(obs, tmp_path / "all.h5ad")
    with opened(data) as file:
        _same(file.obs.read(), obs)
        assert (file.obs.index_name, file.obs.index().to_list()) == ("cell", ["c1", "c2", "c3", "c4"])
        assert file.obs.read(["category", "text"], 1, 3).to_dict(as_series=False) == {
            "category": [None, "y"],
            "text": ["", "ü|b"],
        }
        assert list(file.obs.stretches(3)) == [(0, 3), (3, 4)]


def test_nullable_text_is_read(small: bytes) -> None:
    def nullable(obs: h5py.Group) -> None:
        group = obs.create_group("channel")
        group.attrs.update({"encoding-type": "nullable-string-array", "encoding-version": "0.1.0"})
        group.create_dataset("values", data=["a"] * 59 + [""], dtype=h5py.string_dtype())
        group.create_dataset("mask", data=np.arange(60) == 59)

    with opened(altered(small, _replaced("channel", nullable))) as file:
        assert file.obs.column("channel").encoding == "text with a mask"
        assert file.obs.read(["channel"], 58)["channel"].to_list() == ["a", None]


def _legacy(file: h5py.File) -> None:
    """What anndata 0.7 wrote: codes with a reference to `__categories`, and no version of the file itself."""
    obs = file["obs"]
    group = obs["gene_target"]
    codes, names = group["codes"][:], group["categories"][:]
    codes[0] = -1
    del obs["gene_target"]
    values = obs.require_group("__categories").create_dataset("gene_target", data=names, dtype=h5py.string_dtype())
    values.attrs["ordered"] = False
    obs.create_dataset("gene_target", data=codes).attrs["categories"] = values.ref
    obs.attrs["encoding-version"] = "0.1.0"
    obs.create_dataset("fixed", data=np.array([b"ab"] * len(codes), "S8"))
    obs.create_dataset("big endian", data=np.arange(len(codes), dtype=">i4"))
    obs.attrs["column-order"] = [*obs.attrs["column-order"], "fixed", "big endian"]


@pytest.mark.filterwarnings("ignore::anndata._warnings.OldFormatWarning")
def test_older_categories_and_fixed_text_are_read(small: bytes, tmp_path: Path) -> None:
    data = altered(small, _legacy)
    with opened(small) as file:
        before = file.obs.read(["gene_target"])["gene_target"].to_list()
    with opened(data) as file:
        found = file.obs.read()
        assert found["gene_target"].to_list() == [None, *before[1:]]
        assert found["fixed"].unique().to_list() == ["ab"]
        assert found["big endian"].to_list() == list(range(60))
        assert "__categories" not in found.columns
    (tmp_path / "legacy.h5ad").write_bytes(data)
    assert (
        found["gene_target"].to_list()[1:] == list(anndata.read_h5ad(tmp_path / "legacy.h5ad").obs["gene_target"])[1:]
    )


def test_a_table_that_lists_no_columns_has_those_that_stand_in_it(small: bytes) -> None:
    def unlisted(file: h5py.File) -> None:
        _legacy(file)
        del file["obs"].attrs["column-order"]

    with opened(small) as file, opened(altered(small, unlisted)) as other:
        assert set(other.obs.names) == {*file.obs.names, "fixed", "big endian"}


def test_codes_are_those_of_the_values(small: bytes) -> None:
    with opened(small) as file:
        for name in ("gene_target", "channel", "n_gRNA"):
            codes = file.obs.codes(name)
            assert codes.numbers.dtype == np.int32
            values = file.obs.read([name])[name].cast(pl.String)
            assert codes.categories.gather(codes.numbers).to_list() == values.to_list()


def test_the_matrix_is_never_read() -> None:
    data = h5ad(Experiment(cells=600, genes=200, targets=40))
    counting = Counting(data)
    with H5ad(counting) as file:
        matrix = file.file["X/data"].id
        begin, size = matrix.get_offset(), matrix.get_storage_size()
        file.obs.read()
        file.var.read()
    assert size > len(data) // 4
    inside = [max(0, min(stop, begin + size) - max(start, begin)) for start, stop in counting.ranges]
    assert sum(inside) <= 4096  # HDF5 reads headers with what may be their end


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_says_so(small: bytes, share: float) -> None:
    with pytest.raises(H5adDamagedError, match=r"cells\.h5ad is shorter than it says"):
        opened(small[: int(len(small) * share)])


@pytest.mark.parametrize("data", [b"", b"<html>Sign in</html>" * 100, b"PK\x03\x04" + bytes(2000)])
def test_another_kind_of_file_says_so(data: bytes) -> None:
    with pytest.raises(NotH5adError, match=r"cells\.h5ad is no HDF5 file"):
        opened(data)


def test_hdf5_that_is_no_h5ad_says_so(small: bytes) -> None:
    with pytest.raises(NotH5adError, match="has no table obs"):
        opened(altered(small, lambda file: file.pop("obs")))


def _set(path: str, values: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        attributes = dict(file[path].attrs)
        del file[path]
        file.create_dataset(path, data=values).attrs.update(attributes)

    return change


def _codes(values: object) -> Callable[[h5py.File], None]:
    return _set("obs/channel/codes", values)


def _replaced(name: str, make: Callable[[h5py.Group], None]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["obs"][name]
        make(file["obs"])

    return change


def _external(obs: h5py.Group) -> None:
    obs["channel"] = h5py.ExternalLink("/etc/passwd", "/")


def _outside(obs: h5py.Group) -> None:
    obs.create_dataset("channel", (60,), "i1", external=[("/etc/passwd", 0, 60)])


def _plain(values: object) -> Callable[[h5py.File], None]:
    return _replaced("channel", lambda obs: obs.create_dataset("channel", data=values))


BAD_COLUMNS = {
    "codes beyond the categories": (_codes(np.full(60, 100, np.int8)), H5adDamagedError, "not there"),
    "codes below -1": (_codes(np.full(60, -2, np.int8)), H5adDamagedError, "not there"),
    "a category twice": (_set("obs/channel/categories", [b"A"] * 90), H5adDamagedError, "a category twice"),
    "fewer rows": (_codes(np.zeros(59, np.int8)), H5adDamagedError, "59 rows, the index 60"),
    "codes that are no numbers": (_codes(np.zeros(60)), H5adEncodingError, "no list of whole numbers"),
    "two dimensions": (_plain(np.zeros((60, 2))), H5adEncodingError, "2 dimensions"),
    "complex numbers": (_plain(np.zeros(60, np.complex64)), H5adEncodingError, "complex64"),
    "no UTF-8": (_plain(np.array([b"\xff"] * 60, "S1")), H5adDamagedError, "not UTF-8"),
    "an unknown group": (
        _replaced("channel", lambda o: o.create_group("channel")),
        H5adEncodingError,
        "without a type",
    ),
    "a link to another file": (_replaced("channel", _external), H5adEncodingError, "not followed"),
    "values in another file": (_replaced("channel", _outside), H5adEncodingError, "another file"),
    "no such column": (_replaced("channel", lambda o: None), H5adEncodingError, "has no column channel"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_a_bad_column_is_a_clear_error_and_spoils_no_other(small: bytes, case: str) -> None:
    change, kind, text = BAD_COLUMNS[case]
    with opened(altered(small, change)) as file:
        assert file.obs.read(["gene_target"]).height == 60
        with pytest.raises(kind, match=text):
            file.obs.read(["channel"])


def test_damaged_compressed_bytes_are_damage() -> None:
    buffer = io.BytesIO(h5ad(SMALL))
    with h5py.File(buffer, "r+") as file:
        del file["obs/n_gRNA"]
        values = file["obs"].create_dataset("n_gRNA", data=np.arange(60), compression="gzip")
        at = values.id.get_chunk_info(0).byte_offset
    data = bytearray(buffer.getvalue())
    data[at : at + 20] = bytes(20)
    with opened(bytes(data)) as file, pytest.raises(H5adDamagedError, match="cannot be read"), file.reading():
        file.obs.read(["n_gRNA"])


class Refusing(io.BytesIO):
    """Answers so many reads, and none after."""

    answers: float = math.inf
    kept: Exception | None = None

    def read(self, size: int | None = -1) -> bytes:
        self.answers -= 1
        if self.answers < 0:
            raise NotFoundError("The archive answered 404.")
        return super().read(size)


def test_a_failure_of_the_source_comes_out_as_it_is(small: bytes) -> None:
    source = Refusing(small)
    with H5ad(source) as file:
        source.answers = 1
        with pytest.raises(NotFoundError, match="404"), file.reading():
            file.obs.read()


def refuse_to_open(data: bytes) -> None:
    for answers in range(8):
        source = Refusing(data)
        source.answers = answers
        with pytest.raises(NotFoundError, match="404") as raised:
            H5ad(source)
        source.kept = raised.value


def test_a_source_that_refuses_to_open_does_not_end_the_process(small: bytes, tmp_path: Path) -> None:
    """Seen as a segmentation fault where what was raised lived to the end of the process."""
    (tmp_path / "cells.h5ad").write_bytes(small)
    program = "import sys, pathlib; from cm4ai_assets_tests.perturbseq.test_h5ad import refuse_to_open as refuse; "
    program += "refuse(pathlib.Path(sys.argv[1]).read_bytes())"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "cells.h5ad")], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
