"""Building a sandbox: the history turned into files and a catalog, all of it or nothing.

Belongs here: the order of work and where bytes are put. Does not belong here: what is published (`history`) and how
bytes are made (`content`, `ifzip`).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox import content, datasheet, history, plates
from cm4ai_assets.sandbox.catalog import CATALOG, FORMAT, Catalog, DataFile, Dataset, Embargo, Entry, Version
from cm4ai_assets.sandbox.ifzip import paint_condition

DATASHEETS = "datasheets"  # the folder of datasheets for an operator to add
_CHUNK = 1 << 20


def build(directory: Path, *, fields: int = 24, seed: int = 1, progress: Callable[[str], None] | None = None) -> None:
    """Make `directory` a sandbox: `archive.json`, the published bytes under `files/`, and `datasheets/` to be added.

    The same parameters give the same bytes. A sandbox with these parameters is left as it is; another one is replaced.

    Raises:
        ConfigurationError: The directory holds something else, or there cannot be so many fields.
    """
    tell = progress or (lambda _: None)
    plates.fields_of(Condition.UNTREATED, fields, seed)  # refuses what cannot be, before anything is touched
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} is a file.", remedy="Name a directory for the sandbox.")
    if directory.exists() and any(directory.iterdir()):
        if not (directory / CATALOG).is_file():
            raise ConfigurationError(
                f"{directory} is not empty and is not a sandbox.", remedy="Name another directory, or empty this one."
            )
        if _is_built(directory, fields, seed):
            tell(f"{directory} holds this sandbox already.")
            return
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        _fill(scratch, fields, seed, tell)
        scratch.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    versions = sum(len(dataset.versions) for dataset in history.DATASETS)
    tell(f"{directory} holds {len(history.DATASETS)} datasets in {versions} versions.")


def _is_built(directory: Path, fields: int, seed: int) -> bool:
    try:
        found = Catalog.load(directory)
    except ConfigurationError:
        return False
    return (found.format, found.fields, found.seed) == (FORMAT, fields, seed)


def _fill(directory: Path, fields: int, seed: int, tell: Callable[[str], None]) -> None:
    store = _Store(directory)
    for condition in CONDITIONS:
        tell(f"Painting {fields} fields of {condition}.")
        _cut_zips(store, condition, fields, seed)
    datasets = tuple(_dataset(store, dataset) for dataset in history.DATASETS)
    files = tuple(store.files[number] for number in sorted(store.files))
    _add_datasheet(directory, datasets, files)
    Catalog(
        format=FORMAT,
        fields=fields,
        seed=seed,
        alias=history.ALIAS,
        collection=history.COLLECTION,
        datasets=datasets,
        files=files,
    ).save(directory)


def _add_datasheet(directory: Path, datasets: tuple[Dataset, ...], files: tuple[DataFile, ...]) -> None:
    """The datasheet that no archive carries, in a folder for `CM4AI_DATASHEETS`."""
    described = next(one for one in datasets if one.title == history.dataset_title(datasheet.MONTH))
    (directory / DATASHEETS).mkdir()
    (directory / DATASHEETS / f"{datasheet.RELEASE}.yaml").write_bytes(datasheet.datasheet(described, files))


class _Store:
    """The bytes of a sandbox, each content once, whatever its ids and names."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: dict[int, DataFile] = {}
        self._contents: dict[str, tuple[str, int, str]] = {}
        (directory / "files").mkdir(parents=True)

    def put(self, name: str, source: Path) -> None:
        """Take over a file as the content of that name."""
        md5, size = hashlib.md5(usedforsecurity=False), 0
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                md5.update(chunk)
                size += len(chunk)
        path = f"files/{md5.hexdigest()}"
        source.rename(self.directory / path)
        self._contents[name] = (path, size, md5.hexdigest())

    def publish(self, file: history.File, version: history.Version) -> None:
        """Give the content of a file its id; the first version that has the file dates it."""
        if file.id in self.files:
            return
        if file.content not in self._contents:
            scratch = self.directory / ".content"
            scratch.write_bytes(content.make(file.content))
            self.put(file.content, scratch)
        path, size, md5 = self._contents[file.content]
        self.files[file.id] = DataFile(
            id=file.id,
            path=path,
            size=size,
            md5=md5,
            content_type=file.content_type,
            created=version.released.date() - timedelta(days=2),
            published=version.released.date(),
            restricted=file.restricted,
            embargo=Embargo(available=file.embargo, reason="pre-publication embargo") if file.embargo else None,
        )


def _cut_zips(store: _Store, condition: Condition, fields: int, seed: int) -> None:
    """Paint a condition once, and put the images into every ZIP that the history knows."""
    with paint_condition(condition, fields=fields, seed=seed, scratch=store.directory, composites=True) as painted:
        for name, cut in history.CUTS.items():
            scratch = store.directory / ".content"
            painted.write(scratch, cut)
            store.put(f"if:{condition}:{name}", scratch)


def _dataset(store: _Store, dataset: history.Dataset) -> Dataset:
    versions = []
    for number, version in enumerate(dataset.versions):
        for file in version.files:
            store.publish(file, version)
        versions.append(
            Version(
                id=dataset.id + 1000 + number,
                major=version.major,
                minor=version.minor,
                created=version.released - timedelta(hours=1),
                released=version.released,
                description=f"Synthetic dataset in the shape of {version.description}. Nothing in it was measured.",
                entries=tuple(Entry(file_id=f.id, label=f.label, directory=f.directory, description=f.description)
                              for f in version.files),
            )
        )  # fmt: skip
    return Dataset(
        id=dataset.id,
        authority=history.AUTHORITY,
        identifier=f"FK2/{dataset.suffix}",
        title=dataset.title,
        published=dataset.versions[0].released.date(),
        versions=tuple(versions),
    )
