"""Published files as a read-only fsspec filesystem, so that any tool reads parts of them where they are.

    dataverse://dataverse.lib.virginia.edu/Images/x.zip?persistentId=doi:10.18130/V3/F3TD5R&version=2.1
    zip://paclitaxel/manifest.csv::dataverse://...      a member of a ZIP, by a few range requests

The form of the URL is that of pyDataverse's filesystem; `cm4ai+dataverse` is a second name that no other package takes.
Belongs here: names, sizes and ranges. Does not belong here: the calls (`dataverse`) and verified downloads (`acquire`);
parts of a file cannot be held against its digest, whole files fetched with `get` are.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from cm4ai_assets.archives.dataverse.acquire import by_range, fetch_file
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.lock import lock_frame, locked_files
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.names import safe_names
from cm4ai_assets.storage.windows import FIRST, WindowedBytes
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError
from cm4ai_assets.transfer.origins import is_loopback_http
from cm4ai_assets.transfer.pieces import Traffic

LATEST = frozenset({":latest", ":latest-published"})
# Files of which the last parts are kept; each keeps up to 32 MiB.
OPENED = 4


class DataverseFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of one version of one dataset.

    The API token is never an argument, since arguments end up in pickles and caches: the setting of the environment is
    used if it belongs to this host.

    Args:
        host: Host of the archive, with its port if that is not the usual one. Plain http only on this machine.
        persistent_id: The dataset, as in "doi:10.18130/V3/F3TD5R".
        version: A version such as "2.1"; by default the latest, found out once and pinned from then on.
        client: A client to use instead of an own one.
    """

    protocol = ("dataverse", "cm4ai+dataverse")
    root_marker = ""

    def __init__(
        self,
        host: str,
        persistent_id: str,
        version: str = ":latest-published",
        *,
        client: DataverseClient | None = None,
        **options: Any,  # noqa: ANN401 - what fsspec itself understands
    ) -> None:
        super().__init__(**options)
        self.host, self.persistent_id = host, persistent_id
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, WindowedBytes] = OrderedDict()
        self.traffic = Traffic()
        self._client = client or _client(host)
        self.version = self._newest() if version in LATEST else version

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.host, self.persistent_id, self.version)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        parts = urlsplit(path)
        inside = unquote(parts.path) if parts.scheme in cls.protocol else path
        return inside.strip("/")

    @classmethod
    def _get_kwargs_from_urls(cls, path: str) -> dict[str, str]:
        parts = urlsplit(path)
        if parts.scheme not in cls.protocol:
            return {}  # a path without its protocol: fsspec asks again where URLs are chained
        query = parse_qs(parts.query)
        found = {"host": parts.netloc, "persistent_id": "".join(query.get("persistentId", []))}
        if not all(found.values()) or parts.username:
            raise ProtocolError(
                f"{path!r} does not name a file of a Dataverse.",
                remedy="Write dataverse://host/directory/name?persistentId=doi:...&version=2.1",
            )
        return found | {"version": query["version"][0]} if "version" in query else found

    def unstrip_protocol(self, name: str) -> str:
        """The whole URL of a path, pinned to its version."""
        return f"dataverse://{self.host}/{name.strip('/')}?persistentId={self.persistent_id}&version={self.version}"

    def _newest(self) -> str:
        versions = self._client.versions(self.persistent_id)
        released = (version.number for version in versions if version.version_state != "DEACCESSIONED")
        number = next(released, None)
        if number is None:
            raise NotFoundError(f"{self.persistent_id} has no released version.")
        return number

    @cached_property
    def _listing(self) -> tuple[dict[str, LockedFile], dict[str, dict[str, Any]]]:
        """Path to file, and path to what `info` says of files and folders. A numbered version does not change."""
        version = self._client.version(self.persistent_id, self.version)
        created = {file.data_file.id: file.data_file.creation_date for file in version.files or ()}
        locked = locked_files(lock_frame(version, release=self.version))
        paths = safe_names([(file.file_id, file.directory, file.label) for file in locked])
        files = {paths[file.file_id]: file for file in locked}
        entries: dict[str, dict[str, Any]] = {"": _folder("")}
        for path, file in files.items():
            parents = path.split("/")[:-1]
            for depth in range(1, len(parents) + 1):
                folder = "/".join(parents[:depth])
                entries[folder] = _folder(folder)
            day = created[file.file_id]
            entries[path] = {
                "name": path,
                "size": file.size,
                "type": "file",
                "checksum": (file.digest_type, file.digest) if file.digest else None,
                "file_id": file.file_id,
                "access": file.access,
                "content_type": file.content_type,
                "created": datetime.combine(day, time(), UTC) if day else None,
            }
        return files, entries

    def _entries(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return self._listing[1]

    def _file(self, path: str) -> LockedFile:
        with self._lock:
            files = self._listing[0]
        try:
            return files[self._strip_protocol(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Name, size, type, published digest, file id, access state, content type and day of creation."""
        try:
            return dict(self._entries()[self._strip_protocol(path)])
        except KeyError:
            raise FileNotFoundError(path) from None

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's signature
        """What stands directly in a folder, or the file itself."""
        path = self._strip_protocol(path)
        entries = self._entries()
        if path not in entries:
            raise FileNotFoundError(path)
        if entries[path]["type"] == "file":
            names = [path]
        else:
            names = sorted(name for name in entries if name and name.rpartition("/")[0] == path)
        return [dict(entries[name]) for name in names] if detail else names

    def created(self, path: str) -> datetime | None:
        """When the file was uploaded."""
        created: datetime | None = self.info(path)["created"]
        return created

    def modified(self, path: str) -> datetime | None:
        """The same: bytes of a file never change, a replacement is another file."""
        return self.created(path)

    def ukey(self, path: str) -> str:
        """What stands for the bytes: the published digest, else the file id."""
        file = self._file(path)
        return f"{file.digest_type}:{file.digest}" if file.digest else f"{self.host}:{file.file_id}:{file.size}"

    def checksum(self, path: str) -> int:
        """See `ukey`; as a number, as fsspec has it."""
        return int.from_bytes(self.ukey(path).encode(), "big")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        """The bytes from `start` to before `end`, in one request; negative positions count from the end."""
        file = self._file(path)
        first, last, _step = slice(start, end).indices(_size(file))
        return self.read(file, first, last)

    def read(self, file: LockedFile, start: int, end: int) -> bytes:
        """A range of a file, asked for again while that helps; not counted as a download."""
        return by_range(file, self._client, self.traffic).read_at(start, max(0, end - start))

    def _windows(self, file: LockedFile) -> WindowedBytes:
        """A file with what was last read of it, which all who open it share: bytes of a published file never change.

        `zip://` makes a filesystem of its own for each URL, which reads the whole directory of the ZIP.
        """
        with self._lock:
            windows = self._opened.pop(file.file_id, None) or WindowedBytes(by_range(file, self._client, self.traffic))
            self._opened[file.file_id] = windows
            while len(self._opened) > OPENED:
                self._opened.popitem(last=False)
            return windows

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> _File:  # noqa: ANN401
        if mode != "rb":
            _refuse_to_write()
        file = self._file(path)
        cache = {"cache_type": "readahead" if block_size else "none", **_cache_options(options)}
        return _File(self, self._windows(file), self._strip_protocol(path), block_size or FIRST, **cache)

    def get_file(self, rpath: str, lpath: str, **_: object) -> None:
        """The whole file, resumed, verified against its published digest, and only then under its name."""
        path = self._strip_protocol(rpath)
        if self.isdir(path):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        Path(lpath).parent.mkdir(parents=True, exist_ok=True)
        fetch_file(self._file(path), self._client, Path(lpath), Settings.from_env().scratch)

    def _no_writing(self, *_: object, **__: object) -> NoReturn:
        _refuse_to_write()

    mkdir = makedirs = rmdir = rm = rm_file = _rm = touch = pipe = pipe_file = _no_writing
    put = put_file = cp_file = copy = mv = move = _no_writing


class _File(AbstractBufferedFile):  # type: ignore[misc]
    """A published file, open for reading by ranges. Reading ahead is left to `WindowedBytes`, which knows ZIPs."""

    def __init__(
        self,
        fs: DataverseFileSystem,
        windows: WindowedBytes,
        path: str,
        block_size: int,
        **cache: Any,  # noqa: ANN401
    ) -> None:
        self._bytes = windows
        super().__init__(fs, path, "rb", block_size, size=windows.size, **cache)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._bytes.read_at(start, min(end, self.size) - start)


def _client(host: str) -> DataverseClient:
    plain = f"http://{host}"
    url = plain if is_loopback_http(plain) else f"https://{host}"
    return DataverseClient.from_settings(Settings.from_env(), url)


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _size(file: LockedFile) -> int:
    if file.size is None:
        raise ProtocolError(
            f"The archive does not state the size of {file.path}.", remedy="It cannot be read in parts."
        )
    return file.size


def _cache_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("cache_type", "cache_options") if options.get(name) is not None}


def _refuse_to_write() -> NoReturn:
    raise NotImplementedError("Published files can only be read.")
