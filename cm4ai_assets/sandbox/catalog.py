"""What a built sandbox holds: datasets, versions and files, as `archive.json` keeps them.

Belongs here: the model that the builder writes and the server reads. Does not belong here: the answers of the protocol
made from it (`answers`), and the history itself (`history`).
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cm4ai_assets.errors import ConfigurationError

CATALOG = "archive.json"
# Part of the parameters of a build: a change of what is painted or published must not reuse an older sandbox.
FORMAT = 6


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Embargo(_Frozen):
    """A file that becomes public on a day."""

    available: date
    reason: str


class DataFile(_Frozen):
    """Published bytes under one file id. Names belong to versions, not to files."""

    id: int
    path: str
    size: int
    md5: str
    content_type: str
    created: date
    published: date
    restricted: bool = False
    embargo: Embargo | None = None


class Entry(_Frozen):
    """A file as one version lists it."""

    file_id: int
    label: str
    directory: str = ""
    description: str = ""


class Version(_Frozen):
    """A released version of a dataset."""

    id: int
    major: int
    minor: int
    created: datetime
    released: datetime
    description: str
    entries: tuple[Entry, ...]


class Dataset(_Frozen):
    """A dataset; its versions stand oldest first."""

    id: int
    authority: str
    identifier: str
    title: str
    published: date
    versions: tuple[Version, ...]

    @property
    def doi(self) -> str:
        """Its persistent id: `doi:10.5072/FK2/ABCDEF`."""
        return f"doi:{self.authority}/{self.identifier}"


class Catalog(_Frozen):
    """Everything a sandbox offers, and the parameters it was built with."""

    format: int
    fields: int
    seed: int
    alias: str
    collection: str
    datasets: tuple[Dataset, ...]
    files: tuple[DataFile, ...]

    @classmethod
    def load(cls, directory: Path) -> Catalog:
        """Read the catalog of a sandbox.

        Raises:
            ConfigurationError: The directory holds no sandbox.
        """
        try:
            return cls.model_validate_json((directory / CATALOG).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{directory} does not hold a sandbox archive ({type(error).__name__}).",
                remedy="Make one with `cm4ai sandbox build DIR`.",
            ) from error

    def save(self, directory: Path) -> None:
        """Write the catalog into a directory."""
        (directory / CATALOG).write_text(self.model_dump_json(indent=1) + "\n")
