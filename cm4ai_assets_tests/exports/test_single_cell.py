"""AnnData and MuData, read back by anndata and mudata."""

from __future__ import annotations

import errno
import importlib
import json
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import ConfigurationError, NoSpaceError, NotMaterializedError
from cm4ai_assets.exports.elution import replicates_of
from cm4ai_assets.exports.hdf5 import Matrix, append, needed, write_anndata, write_mudata
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.mudata import together
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.exports.single_cell import of_elution
from cm4ai_assets.lineage.published import NOT_LISTED, UNSURE
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.storage.disk import RESERVE
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.profiles import STATISTICS
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.images.published import publish

anndata = pytest.importorskip("anndata", reason="anndata is not installed (extra: dev)")
mudata = pytest.importorskip("mudata", reason="mudata is not installed (extra: dev)")

CONTROL, TREATED = "MDA-MB-468_untreated_1", "MDA-MB-468_vorinostat_2"
COHORT = "secms_MDA-MB-468_cancer_protein_group_quantity.h5mu"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _stated(release: Release, replicate: str) -> dict[tuple[str, int], float | None]:
    """Row and fraction to quantity, from the table."""
    rows = release.table("secms_profiles").filter(replicate_id=replicate).collect()
    names = [f"{group}#{n}" if n else group for group, n in rows.select("protein_group", "occurrence").iter_rows()]
    return dict(zip(zip(names, rows["fraction"], strict=True), rows["quantity"], strict=True))


def _found(adata: Any) -> dict[tuple[str, int], float | None]:
    return {
        (name, int(fraction)): None if np.isnan(value) else float(value)
        for name, values in zip(adata.obs_names, adata.X, strict=True)
        for fraction, value in zip(adata.var["fraction"], values, strict=True)
    }


def test_a_replicate_is_an_object_in_which_missing_is_not_zero(both: Release, tmp_path: Path) -> None:
    folder = export(both, "anndata", tmp_path / "out").folder
    assert {path.stem for path in (folder / "secms").iterdir()} == {CONTROL, TREATED}
    for replicate in (CONTROL, TREATED):
        adata = anndata.read_h5ad(folder / "secms" / f"{replicate}.h5ad")
        stated = _stated(both, replicate)
        assert _found(adata) == stated
        assert {None, 0.0} <= set(stated.values()) or replicate == TREATED
        assert adata.uns["cm4ai"]["release"] == both.key
    assert list(adata.var_names) == [f"F{number:02d}" for number in range(9, 15)]
    assert adata.obs.loc["P04637", "gene_symbols"] == "TP53"
    assert adata.var["run"].iloc[0] == "Biosep_MDAMB468_VRST_121224_F09_1_1_901.d"


def test_perturbseq_is_written_in_blocks_and_is_what_the_store_holds(
    both: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm4ai_assets.exports.single_cell.BLOCK", 5)
    adata = anndata.read_h5ad(export(both, "anndata", tmp_path / "out").folder / "perturb_targets.h5ad")
    expected = both.profiles().anndata()
    assert np.array_equal(adata.X, expected.X)
    layers = set(adata.layers) - {None}  # which is X, since anndata 0.13
    assert layers == set(STATISTICS) - {"log_mean"}
    for name in layers:
        assert np.array_equal(adata.layers[name], expected.layers[name], equal_nan=True)
    assert list(adata.obs_names) == list(both.profiles().targets)
    assert list(adata.var_names) == list(both.profiles().genes)
    assert adata.obs["n_cells"].tolist() == both.profiles().cells.tolist()
    assert adata.uns["cm4ai"]["digest"] == both.profiles().record.digest


def test_modalities_are_replicates_that_share_their_protein_groups(both: Release, tmp_path: Path) -> None:
    folder = export(both, "mudata", tmp_path / "out").folder
    mdata = mudata.read_h5mu(folder / COHORT)
    assert set(mdata.mod) == {CONTROL, TREATED}
    assert set(mdata.obs_names) == set(mdata.mod[CONTROL].obs_names) | set(mdata.mod[TREATED].obs_names)
    assert mdata.n_vars == 12
    for replicate in mdata.mod:
        assert _found(mdata.mod[replicate]) == _stated(both, replicate)
    rna = mudata.read_h5mu(folder / "perturb_targets.h5mu").mod["rna"]
    assert np.array_equal(rna.X, both.profiles()[:])
    assert rna.layers["variance"].shape == both.profiles().shape


def test_each_source_and_licence_is_named(both: Release, tmp_path: Path) -> None:
    record = json.loads((export(both, "anndata", tmp_path / "out").folder / "cm4ai-export.json").read_text())
    assert {source.get("license") for source in record["sources"]} >= {"CC BY 4.0"}
    assert "CC BY 4.0" in record["license"]
    assert [source["label"] for source in record["sources"] if "label" in source] == ["cells.h5ad"]


MD5, SHA256 = "7" * 32, "5" * 64
_FILE = {
    "doi": "10.25452/figshare.plus.27261219", "article_id": 27261219, "article_version": 2, "file_id": 65250261,
    "label": "cells.h5ad", "size": 1, "md5": MD5, "supplied_md5": None, "url": None, "license": "CC BY 4.0",
    "access": "public", "embargo_until": None, "role": "cells", "sha256": None, "named_by": "crate", "notes": "",
}  # fmt: skip


def _of_article(release: Release, folder: Path, *, identity: str, **file: object) -> Release:
    """The same release with an article of one file, and a matrix that was read with an identity."""
    article = copied(release, folder)
    targets = release.table("perturb_targets").drop("release").with_columns(source_identity=pl.lit(identity))
    publish(article.store, "perturb_targets", targets.collect().to_dicts(), None)
    publish(article.store, "figshare_files", [{**_FILE, **file}], None)
    return article


@pytest.mark.parametrize(
    ("identity", "sha256", "note"),
    [
        (f"md5 {MD5} local 1 1", None, None),
        ("sha256 " + SHA256, SHA256, UNSURE),
        ("md5 " + "8" * 32 + " range 65250261 1", None, None),
    ],
    ids=["digest", "not stored any more", "file id"],
)
def test_perturbseq_is_led_back_to_a_file_of_the_article_which_is_cited(
    both: Release, tmp_path: Path, identity: str, sha256: str | None, note: str | None
) -> None:
    release = _of_article(both, tmp_path / "listed", identity=identity)
    folder = export(release, "anndata", tmp_path / "out").folder
    record = json.loads((folder / "cm4ai-export.json").read_text())
    (found,) = [source for source in record["sources"] if source.get("label") == "cells.h5ad"]
    assert (found["archive"], found["dataset"], found["dataset_version"], found["file_id"], found["license"]) == (
        "figshare", _FILE["doi"], "2", 65250261, "CC BY 4.0",
    )  # fmt: skip
    assert (found["identity"], found["sha256"], found.get("note")) == (identity, sha256, note)
    assert identity in record["identity"]["sources"]
    assert "None" not in record["identity"]["sources"]
    assert record["articles"] == [_FILE["doi"]]
    assert f"- Cite as well: https://doi.org/{_FILE['doi']}" in (folder / "README.md").read_text().splitlines()
    ends = trace_thing(release.store, str(folder / "perturb_targets.h5ad")).files
    assert [(file.dataset, file.file_id) for file in ends] == [(_FILE["doi"], "65250261")]


def test_a_matrix_of_the_operators_own_is_not_said_to_be_of_the_article(both: Release, tmp_path: Path) -> None:
    release = _of_article(both, tmp_path / "listed", identity="local cells.h5ad 1 1", label="other.h5ad")
    folder = export(release, "anndata", tmp_path / "out").folder
    record = json.loads((folder / "cm4ai-export.json").read_text())
    (found,) = [source for source in record["sources"] if source.get("label") == "cells.h5ad"]
    assert (found["kind"], found["note"], found["identity"]) == ("file", NOT_LISTED, "local cells.h5ad 1 1")
    assert "dataset" not in found
    assert record["articles"] == []
    assert "Cite as well" not in (folder / "README.md").read_text()


def test_chosen_conditions_leave_out_what_has_none(both: Release, secms: Release, tmp_path: Path) -> None:
    only = Selection(conditions=(Condition.UNTREATED,))
    folder = export(both, "anndata", tmp_path / "one", selection=only).folder
    assert {path.name for path in folder.rglob("*.h5ad")} == {f"{CONTROL}.h5ad"}
    with pytest.raises(NotMaterializedError):
        export(both, "mudata", tmp_path / "two", selection=Selection(conditions=(Condition.PACLITAXEL,)))
    folder = export(secms, "anndata", tmp_path / "three").folder
    assert {path.parent.name for path in folder.rglob("*.h5ad")} == {"secms"}


def test_a_release_with_neither_says_so(images: Release, tmp_path: Path) -> None:
    for name in ("anndata", "mudata"):
        with pytest.raises(NotMaterializedError, match="secms_proteins"):
            export(images, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_absent_is_named_with_its_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"no_such is not installed\. Run `pip install 'cm4ai_assets\[no_such"):
        needed("no_such")


def test_blocks_that_do_not_fill_a_matrix_are_an_error(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5ad", "w"):
        pass
    short = Matrix("X", (3, 2), "float32", lambda: iter([np.zeros((2, 2), np.float32)]))
    with pytest.raises(ValueError, match="has 3 rows, and 2 came"):
        append(tmp_path / "x.h5ad", {"/": [short]})


_FULL = """
import errno, resource, sys
from pathlib import Path
import anndata, numpy as np, pandas as pd
from cm4ai_assets.exports.hdf5 import Matrix, append, write_anndata, write_mudata
from cm4ai_assets.exports.mudata import together

random, folder = np.random.default_rng(1), Path(sys.argv[1])
index = pd.Index([str(number) for number in range(256)], dtype=object)
outline = anndata.AnnData(obs=pd.DataFrame(index=index), var=pd.DataFrame(index=index))
whole = anndata.AnnData(random.random((256, 256)), obs=outline.obs, var=outline.var)
write_anndata(folder / "outline.h5ad", outline)
blocks = Matrix("X", (256, 256), "float64", lambda: iter(np.split(random.random((256, 256)), 8)))
writing = {
    "append": lambda: append(folder / "outline.h5ad", {"/": [blocks]}),
    "anndata": lambda: write_anndata(folder / "whole.h5ad", whole),
    "mudata": lambda: write_mudata(folder / "whole.h5mu", mdata),
}
with together({"one": whole}) as mdata:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for name, write in writing.items():
    try:
        write()
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    """The system refuses what goes beyond a size, as it does where nothing is left; HDF5 alone crashes then."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["append EFBIG", "anndata EFBIG", "mudata EFBIG"]


def _differing(mine: h5py.File, theirs: h5py.File) -> set[str]:
    """The names under which two files have something else, or other attributes."""

    def held(file: h5py.File) -> dict[str, object]:
        found: dict[str, object] = {}
        file.visititems(lambda name, one: found.update({name: (_bytes(one), sorted(map(str, one.attrs.items())))}))
        return found

    one, other = held(mine), held(theirs)
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


def _bytes(one: h5py.Group | h5py.Dataset) -> object:
    return None if isinstance(one, h5py.Group) else (str(one.dtype), np.asarray(one[()]).tolist().__repr__())


@pytest.mark.slow
def test_files_are_what_the_libraries_write(both: Release, tmp_path: Path) -> None:
    (one, *_) = replicates_of(both, [Condition.UNTREATED])
    adata = of_elution(one, one.read())
    adata.write_h5ad(tmp_path / "theirs.h5ad")
    write_anndata(tmp_path / "mine.h5ad", adata)
    with together({"one": adata}) as mdata:
        mdata.write(tmp_path / "theirs.h5mu")
        write_mudata(tmp_path / "mine.h5mu", mdata)
    for ending, differing in (("h5ad", set()), ("h5mu", {"mod/one"})):  # the library names itself there
        with h5py.File(tmp_path / f"mine.{ending}") as mine, h5py.File(tmp_path / f"theirs.{ending}") as theirs:
            assert _differing(mine, theirs) == differing
            assert {name for name in theirs.attrs if mine.attrs[name] != theirs.attrs[name]} <= {
                "encoder", "encoder-version",
            }  # fmt: skip
    assert (tmp_path / "mine.h5mu").read_bytes().startswith(b"MuData (format-version=")


@pytest.mark.parametrize(("form", "room"), [("anndata", 5 * 4), ("mudata", 5 * 4), ("secms-matrix", 0)])
def test_a_disk_that_cannot_hold_an_export_is_refused_before_anything_is_written(
    both: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, room: int
) -> None:
    targets, genes = both.profiles().shape
    values = both.table("secms_profiles").collect().height
    free = RESERVE + targets * genes * room + values * 8
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))  # type: ignore[attr-defined]
    with pytest.raises(NoSpaceError, match="bytes are to be written"):
        export(both, form, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"cm4ai-export.json"}


def test_a_disk_that_fills_up_is_said_and_leaves_no_half_of_a_matrix(
    secms: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.suffix != ".tsv":
            return write(path, data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoSpaceError, match="is full"):
        export(secms, "secms-matrix", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"cm4ai-export.json"}


def _is_pulled() -> object:
    """The option of mudata that says whether columns are pulled up from the modalities."""
    if hasattr(mudata, "settings"):
        return mudata.settings.pull_on_update
    return importlib.import_module("mudata._core.config").OPTIONS["pull_on_update"]


def test_an_option_of_the_whole_process_is_as_it_was_after_threads_that_need_another() -> None:
    override = mudata.settings.override if hasattr(mudata, "settings") else mudata.set_options
    with override(pull_on_update=True):
        _two_threads_write_together()
        assert _is_pulled() is True


def _two_threads_write_together() -> None:
    inside = list[object]()
    within = threading.Semaphore(0)

    def one(wait: float) -> None:
        with together({}):
            within.release()
            time.sleep(wait)
            inside.append(_is_pulled())

    first, second = (threading.Thread(target=one, args=(wait,)) for wait in (0.2, 0.4))
    first.start()
    within.acquire()
    second.start()
    first.join()
    second.join()
    assert inside == [False, False]


def _altered(release: Release, folder: Path, profiles: pl.DataFrame) -> Release:
    """One replicate of a release with other profiles."""
    store = Store(str(folder / "storage"), scratch=folder / "scratch")
    proteins = release.table("secms_proteins").filter(replicate_id=CONTROL).collect()
    for name, frame in (("secms_profiles", profiles), ("secms_proteins", proteins)):
        with store.stage_table(name, Partition(release.key, "untreated"), frame) as staged:
            store.publish_table(staged)
    return Release(release.key, store)


def test_a_fraction_without_a_row_is_missing_and_not_zero(both: Release, tmp_path: Path) -> None:
    """As in long tables, which have rows for what was found alone."""
    profiles = both.table("secms_profiles").filter(replicate_id=CONTROL).collect()
    absent = (pl.col("protein_group") == "P13796;P13797") & (pl.col("fraction") == 9)
    release = _altered(both, tmp_path, profiles.filter(~absent))
    adata = anndata.read_h5ad(export(release, "anndata", tmp_path / "out").folder / "secms" / f"{CONTROL}.h5ad")
    assert _found(adata) == _stated(both, CONTROL) | {("P13796;P13797", 9): None}


def test_interpolated_values_are_marked(tmp_path: Path, both: Release) -> None:
    profiles = both.table("secms_profiles").filter(replicate_id=CONTROL).collect()
    assert profiles["interpolated"].null_count() == profiles.height
    folder = export(both, "anndata", tmp_path / "out").folder
    assert not anndata.read_h5ad(folder / "secms" / f"{CONTROL}.h5ad").layers
    marked = profiles.with_columns(interpolated=pl.col("fraction") == 8)
    folder = export(_altered(both, tmp_path, marked), "anndata", tmp_path / "marked").folder
    layer = anndata.read_h5ad(folder / "secms" / f"{CONTROL}.h5ad").layers["interpolated"]
    assert layer[:, 1].all()
    assert not np.delete(layer, 1, axis=1).any()
