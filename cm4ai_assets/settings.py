"""Settings, read from the environment when asked for (never at import).

Belongs here: every environment variable this project reads, its default and its meaning. `.env.example` lists the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from cm4ai_assets.errors import ConfigurationError

PACKAGE = Path(__file__).resolve().parent
"""The folder of this package, with the files that Dagster reads: dagster.yaml and workspace.yaml."""

PROJECT = PACKAGE.parent
"""The checkout that this package is imported from. An installed package has none, and writes nothing beside itself."""

DATAVERSE_URL = "https://dataverse.lib.virginia.edu"
COLLECTION = "CM4AI"
GB = 10**9
_MOST_GIGABYTES = 100_000
_MOST_RUNS = 1000
_SHORTEST_TOKEN, _SHORTEST_PIECE = 8, 4
_LONGEST_POLL = 10_800  # a collection that nobody has looked at for six hours counts as stale
MASSIVE_URL = "https://massive.ucsd.edu"
DATACITE_URL = "https://api.datacite.org"
FIGSHARE_URL = "https://api.figshare.com"
ENA_URL = "https://www.ebi.ac.uk"
NCBI_URL = "https://eutils.ncbi.nlm.nih.gov"

THREADS = "threads"
"""The executor that is no cluster: work on images and counts is done by threads of the process that asks for it."""

SERVICES = ("dataverse", "massive", "datacite", "figshare", "ena", "ncbi")
"""The services whose base URL is a setting: field `{service}_url`, variable `CM4AI_{SERVICE}_URL`."""


def service_variables(url: str) -> dict[str, str]:
    """The variables that make one server stand in for every service, as the sandbox does."""
    return {f"CM4AI_{service.upper()}_URL": url for service in SERVICES}


@dataclass(frozen=True)
class Settings:
    """Where the archive is, where data is kept, and how work is run."""

    dataverse_url: str = DATAVERSE_URL
    collection: str = COLLECTION
    storage: str = field(default_factory=lambda: _default_storage(os.environ))
    scratch: Path = field(default_factory=lambda: cache_folder(os.environ))
    dataverse_token: str | None = field(default=None, repr=False)
    executor: str = THREADS
    tensor_size: int = 1024
    poll_seconds: int = 300
    scrub_bytes: int = 10 * GB
    massive_url: str = MASSIVE_URL
    datacite_url: str = DATACITE_URL
    figshare_url: str = FIGSHARE_URL
    ena_url: str = ENA_URL
    ncbi_url: str = NCBI_URL
    h5ad: Path | None = None
    perturbseq_bytes: int = GB
    ui_port: int = 3000
    ui_hosts: tuple[str, ...] = ()
    datasheets: str | None = None
    database: str | None = field(default=None, repr=False)
    broker: str | None = field(default=None, repr=False)
    runs: int | None = None
    alerts: tuple[str, ...] = field(default=(), repr=False)
    ui_url: str = "http://127.0.0.1:3000"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no log, message or page: tokens, passwords, and the addresses that messages go to."""
        services = [url for url in (self.database, self.broker) if url]
        passwords = [unquote(urlsplit(url).password or "") for url in services]
        passwords += [unquote(urlsplit(url).password or "") for url in self.alerts]
        tokens = [piece for url in self.alerts for piece in secret_pieces(url) if _may_be_token(piece)]
        sent_to = [*self.alerts, *tokens]
        return tuple(filter(None, [self.dataverse_token, *services, *passwords, *sent_to]))

    @classmethod
    def served_by(cls, url: str, **others: Any) -> Settings:  # noqa: ANN401 - the other fields
        """Settings where one server stands in for every service, as the sandbox does."""
        everywhere: dict[str, Any] = {f"{service}_url": url for service in SERVICES}
        return cls(**everywhere, **others)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment asks for.

        Raises:
            ConfigurationError: A value cannot be used; the message names the variable.
        """
        env = environment() if environ is None else environ
        return cls(
            dataverse_url=_url("CM4AI_DATAVERSE_URL", env.get("CM4AI_DATAVERSE_URL") or DATAVERSE_URL),
            collection=env.get("CM4AI_COLLECTION") or COLLECTION,
            storage=env.get("CM4AI_STORAGE") or _default_storage(env),
            scratch=Path(env["CM4AI_SCRATCH"]).expanduser() if env.get("CM4AI_SCRATCH") else cache_folder(env),
            dataverse_token=env.get("DATAVERSE_API_TOKEN") or None,
            executor=_executor(env.get("CM4AI_EXECUTOR") or THREADS),
            tensor_size=_tensor_size(env.get("CM4AI_TENSOR_SIZE") or "1024"),
            poll_seconds=_poll_seconds(env.get("CM4AI_POLL_SECONDS") or "300"),
            scrub_bytes=_gigabytes(
                "CM4AI_SCRUB_GB", env.get("CM4AI_SCRUB_GB") or "10", usual="10", zero="reads nothing again"
            ),
            massive_url=_url("CM4AI_MASSIVE_URL", env.get("CM4AI_MASSIVE_URL") or MASSIVE_URL),
            datacite_url=_url("CM4AI_DATACITE_URL", env.get("CM4AI_DATACITE_URL") or DATACITE_URL),
            figshare_url=_url("CM4AI_FIGSHARE_URL", env.get("CM4AI_FIGSHARE_URL") or FIGSHARE_URL),
            ena_url=_url("CM4AI_ENA_URL", env.get("CM4AI_ENA_URL") or ENA_URL),
            ncbi_url=_url("CM4AI_NCBI_URL", env.get("CM4AI_NCBI_URL") or NCBI_URL),
            h5ad=Path(env["CM4AI_H5AD"]).expanduser() if env.get("CM4AI_H5AD") else None,
            perturbseq_bytes=_gigabytes(
                "CM4AI_PERTURBSEQ_GB", env.get("CM4AI_PERTURBSEQ_GB") or "1", usual="1", zero="fetches nothing"
            ),
            ui_port=_port(env.get("CM4AI_UI_PORT") or "3000"),
            ui_hosts=_hosts(env.get("CM4AI_UI_HOSTS") or ""),
            datasheets=env.get("CM4AI_DATASHEETS") or None,
            database=_database(env["CM4AI_DATABASE"]) if env.get("CM4AI_DATABASE") else None,
            broker=_broker(env) if env.get("CM4AI_BROKER") else None,
            runs=_runs(env["CM4AI_RUNS"]) if env.get("CM4AI_RUNS") else None,
            alerts=_alerts(env.get("CM4AI_ALERTS") or ""),
            ui_url=_ui_url(env),
        )


@cache
def is_checkout(project: Path = PROJECT) -> bool:
    """Whether that folder is a checkout of this project, and not one that packages were installed into."""
    try:
        return 'root_module = "cm4ai_assets"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False


def data_folder(env: Mapping[str, str], project: Path = PROJECT) -> Path:
    """The folder of what no setting places: `storage`, `.dagster_home`, `.demo`, and the file `.env`.

    That is the checkout. An installed package has a folder of the user's in its place: `$XDG_DATA_HOME/cm4ai_assets`,
    which is ~/.local/share/cm4ai_assets where that variable is not set.
    """
    return project if is_checkout(project) else _of_user(env, "XDG_DATA_HOME", ".local/share")


def cache_folder(env: Mapping[str, str]) -> Path:
    """The folder of what can be made or fetched again: `$XDG_CACHE_HOME/cm4ai_assets`, else below ~/.cache."""
    return _of_user(env, "XDG_CACHE_HOME", ".cache")


def environment(folder: Path | None = None) -> Mapping[str, str]:
    """The variables of this process, over those of the file `.env` in `data_folder`: what is exported wins.

    The one place where `.env` is read. Dagster's own commands put it over what is exported; `ui` has them not find it.

    Args:
        folder: In place of `data_folder`.
    """
    path = (folder or data_folder(os.environ)) / ".env"
    file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return {**file, **os.environ}


def _of_user(env: Mapping[str, str], variable: str, below: str) -> Path:
    """This package's folder in one of the user's, by the XDG Base Directory Specification: absolute, or not heeded."""
    base = Path(env.get(variable) or "")
    if not base.is_absolute():
        base = Path(env.get("HOME") or "~").expanduser() / below
    return base / "cm4ai_assets"


def _default_storage(env: Mapping[str, str]) -> str:
    return str(data_folder(env) / "storage")


def _url(name: str, value: str, *, example: str = DATAVERSE_URL) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{name}={value!r} is not the base URL of a server.", remedy=f"Set it to something like {example}."
        )
    return value.rstrip("/")


def _database(value: str) -> str:
    """The URL as libpq reads it. It may hold a password, so no message repeats it."""
    parts = urlsplit(value)
    if parts.scheme not in {"postgresql", "postgres", "postgresql+psycopg2"} or not parts.path.strip("/"):
        raise ConfigurationError(
            "CM4AI_DATABASE is not the URL of a PostgreSQL database.",
            remedy="Set it to postgresql://user:password@host:5432/database, or leave it out.",
        )
    return parts._replace(scheme="postgresql").geturl()


def _broker(env: Mapping[str, str]) -> str:
    """The URL as redis-py reads it. It may hold a password, so no message repeats it."""
    parts = urlsplit(env["CM4AI_BROKER"])
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or not re.fullmatch(r"/?\d*", parts.path):
        raise ConfigurationError(
            "CM4AI_BROKER is not the URL of a Redis server.",
            remedy="Set it to redis://:password@host:6379/0, or leave it out; in a password @ is %40, / is %2F.",
        )
    if not env.get("CM4AI_DATABASE"):
        raise ConfigurationError(
            "CM4AI_BROKER is set, and CM4AI_DATABASE is not: workers on other machines share the records of runs.",
            remedy="Set CM4AI_DATABASE to a PostgreSQL database, or leave CM4AI_BROKER out.",
        )
    return parts.geturl()


def _runs(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= _MOST_RUNS:
        raise ConfigurationError(
            f"CM4AI_RUNS={value!r} is not a number of runs from 1 to {_MOST_RUNS}.",
            remedy="Set it to how many runs may work at once on all machines together, or leave it out: 2.",
        )
    return int(value)


def _executor(value: str) -> str:
    if value == THREADS:
        return value
    parts = urlsplit(value)
    if parts.username or parts.password:
        raise ConfigurationError(
            "CM4AI_EXECUTOR holds a user or password, which a Dask scheduler does not know.",
            remedy="Set it to something like tls://host:8786; certificates are a setting of Dask's own.",
        )
    if parts.scheme not in {"tcp", "tls"} or not re.fullmatch(
        r"([\w.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}", parts.netloc + parts.path
    ):
        raise ConfigurationError(
            f"CM4AI_EXECUTOR={value!r} is neither `threads` nor the address of a Dask scheduler.",
            remedy="Set it to something like tcp://host:8786 or tls://host:8786, or leave it out.",
        )
    if find_spec("distributed") is None:
        raise ConfigurationError(
            f"CM4AI_EXECUTOR={value!r} needs Dask, which is not installed.",
            remedy="Run pip install 'cm4ai_assets[dask]', or leave it out.",
        )
    return value


def _tensor_size(value: str) -> int:
    if value not in {"256", "512", "1024", "2048"}:
        raise ConfigurationError(
            f"CM4AI_TENSOR_SIZE={value!r} is not an edge length.", remedy="Set it to 256, 512, 1024 or 2048."
        )
    return int(value)


def _poll_seconds(value: str) -> int:
    if not value.isdecimal() or int(value) > _LONGEST_POLL:
        raise ConfigurationError(
            f"CM4AI_POLL_SECONDS={value!r} is not a number of seconds up to {_LONGEST_POLL}.",
            remedy="Set it to 300, or leave it out. To look at the archive no more, switch the release sensor off.",
        )
    return int(value)


def _port(value: str) -> int:
    if not value.isdecimal() or int(value) > 65_535:  # noqa: PLR2004 - the largest port there is
        raise ConfigurationError(f"CM4AI_UI_PORT={value!r} is not a port.", remedy="Set it to 3000, or leave it out.")
    return int(value)


def _ui_url(env: Mapping[str, str]) -> str:
    """The address under which people open the UI: that of `make ui`, where no proxy stands in front of it."""
    own = f"http://127.0.0.1:{_port(env.get('CM4AI_UI_PORT') or '3000')}"
    return _url("CM4AI_UI_URL", env.get("CM4AI_UI_URL") or own, example="https://cm4ai.example.org")


def _alerts(value: str) -> tuple[str, ...]:
    """Where messages go, as Apprise's URLs. They hold passwords and tokens, so no message repeats them.

    Apart as Apprise takes them apart: commas, semicolons and blanks separate where another URL begins.
    """
    urls = tuple(url for url in re.split(r"[\s,;]+(?=[A-Za-z0-9]{1,32}://)", value.strip(" \t\r\n,;")) if url)
    if not all(re.fullmatch(r"[A-Za-z0-9]+://[^\s/]\S*", url) for url in urls):
        raise ConfigurationError(
            "CM4AI_ALERTS is not a list of Apprise's URLs.",
            remedy="Set it to something like mailtos://user:password@example.org, separate several by blanks, and see "
            "docs/alerts.md; in a password @ is %40, / is %2F.",
        )
    if urls and find_spec("apprise") is None:
        raise ConfigurationError(
            "CM4AI_ALERTS needs Apprise, which is not installed.",
            remedy="Run pip install 'cm4ai_assets[alerts]', or leave it out.",
        )
    return urls


def secret_pieces(url: str) -> list[str]:
    """The parts of an Apprise URL that may be a secret, as written and decoded: all but scheme, host and port.

    Many services have their token where others have the host: what has no dot is a piece too.
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    host = place.partition(":")[0]
    values = [value.partition("=")[2] for value in parts.query.split("&")]
    said = [*user.split(":"), *parts.path.split("/"), *values, *([] if "." in host or host == "localhost" else [host])]
    every = [form for piece in said for form in (piece, unquote(piece))]
    return list(dict.fromkeys(piece for piece in every if len(piece) >= _SHORTEST_PIECE))


def _may_be_token(piece: str) -> bool:
    """Long, and no word: names of chats and people may stand in other texts."""
    return len(piece) >= _SHORTEST_TOKEN and bool(re.search(r"\d", piece)) and bool(re.search(r"[A-Za-z]", piece))


def _hosts(value: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) for name in names):
        raise ConfigurationError(
            f"CM4AI_UI_HOSTS={value!r} is not a list of host names.",
            remedy="Set it to the names under which a proxy serves the UI, such as cm4ai.example.org; no port, no https://.",
        )
    return names


def _gigabytes(name: str, value: str, *, usual: str, zero: str) -> int:
    if not value.isdecimal() or int(value) > _MOST_GIGABYTES:
        raise ConfigurationError(
            f"{name}={value!r} is not a number of gigabytes up to {_MOST_GIGABYTES}.",
            remedy=f"Set it to {usual}, or leave it out; 0 {zero}.",
        )
    return int(value) * GB
