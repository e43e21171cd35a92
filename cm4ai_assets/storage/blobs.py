"""The content-addressed store: published bytes, each digest once, whatever its names.

    {root}/blobs/sha256/ab/abcd...              the bytes, by our own digest; read-only where the filesystem knows that
    {root}/blobs/blocks/ab/abcd...              the digests of its blocks, by which any part is verified (`blocks`)
    {root}/blobs/index/...                      which bytes a published digest means (`blob_index`)

Belongs here: publishing bytes so that a name only ever means all of them, and finding them again without asking
anybody. Does not belong here: fetching (`download`), and deciding what is fetched (`acquire`).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import fsspec

from cm4ai_assets.errors import ArchiveError, DigestMismatchError, NotMaterializedError, SizeMismatchError
from cm4ai_assets.storage.blob_index import Blob, BlobIndex
from cm4ai_assets.storage.blocks import (
    BLOCK_SIZE,
    BlockDigests,
    VerifiedBytes,
    altered,
)
from cm4ai_assets.storage.bytes import ByteFile, LocalBytes, RemoteBytes
from cm4ai_assets.storage.digests import BLOCK, digest_blocks
from cm4ai_assets.storage.disk import (
    fsync_file,
    fsync_folder,
    make_folder,
    require_space,
    typed_disk_errors,
)
from cm4ai_assets.storage.layout import verified_path
from cm4ai_assets.storage.placing import file_size, files_at, is_local, place_bytes, place_file
from cm4ai_assets.storage.verified_dates import VerifiedDates
from cm4ai_assets.threads import cores, in_order

_DIGEST = re.compile("[0-9a-f]{64}")
_LEFTOVER_AGE = 24 * 3600.0
_REQUEST = 8 * BLOCK  # bytes asked for at once where each question is a request
_READERS = min(4, cores())  # threads that hold a blob against its blocks; four keep any disk busy


class BlobStore:
    """Published bytes by content, on any fsspec filesystem.

    Args:
        fs: The filesystem.
        root: The folder on it under which `blobs` stands; no scheme.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs, self._root = fs, root.rstrip("/")
        self._is_local = is_local(fs)
        self._dates = VerifiedDates(fs, self._root)
        self.index = BlobIndex(fs, self._root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fs.protocol!r}, {self._root!r})"

    def path(self, sha256: str) -> str:
        """Where the bytes are, relative to the root."""
        return f"blobs/sha256/{sha256[:2]}/{sha256}"

    def has(self, sha256: str) -> bool:
        """Whether the bytes are stored."""
        return self._size(sha256) is not None

    def find(self, digest_type: str, digest: str) -> Blob | None:
        """The stored bytes that a published digest means; None if they are not stored."""
        digest = digest.lower()
        if digest_type == "SHA-256" and (size := self._size(digest)) is not None:
            return Blob(digest, size)
        blob = self.index.meant_by(digest_type, digest)
        # The index is a claim about the store, not the store.
        return blob if blob and self._size(blob.sha256) == blob.size else None

    def add(self, source: Path, sha256: str, digests: Mapping[str, str], *, blocks: BlockDigests | None = None) -> Blob:
        """Store verified bytes and index them under every digest known of them; done already, it does nothing again.

        The bytes appear under their name whole or not at all, before any index entry names them. `source` is left where
        it is: if this process dies here, it is still there to go on from.

        Args:
            source: A local file with exactly these bytes.
            sha256: Their digest.
            digests: Digest type ("MD5", "SHA-256", ...) to digest.
            blocks: Those of its blocks, where they were computed in the pass that verified it; else it is read again.
        """
        size = source.stat().st_size
        stored = self._size(sha256)
        if stored is None:
            blocks = blocks if blocks and blocks.sha256 == sha256 else _whole(source, sha256)
            if self._is_local:
                self._publish_locally(source, sha256, size)
            else:
                self._upload(source, sha256, size)
            self._write_blocks(blocks)
            self._dates.note(self.path(sha256))
        elif stored != size:
            raise SizeMismatchError(
                f"{self.path(sha256)} is stored with {stored:,} bytes, not {size:,}.",
                remedy="It was damaged after it was stored: run `cm4ai verify`.",
            )
        blob = Blob(sha256, size)
        for digest_type, digest in {"SHA-256": sha256, **digests}.items():
            self.index.note(digest_type, digest, blob)
        return blob

    def require_room(self, size: int, *, beside: Path) -> None:
        """See that `size` more bytes can be stored, unless they only get a second name on the filesystem of `beside`.

        Raises:
            NoSpaceError: They cannot.
        """
        if self._is_local:
            folder = Path(self._full("blobs"))
            existing = next(place for place in (folder, *folder.parents) if place.exists())
            if not beside.exists() or existing.stat().st_dev != beside.stat().st_dev:
                require_space({folder: size})

    def open(self, sha256: str) -> VerifiedBytes:
        """The bytes, to be read at any position and verified as they are read; close it after use.

        Bytes without a usable record of their blocks are read as a whole first, which makes the record.

        Raises:
            NotMaterializedError: They are not stored.
            StoredBytesDamagedError: They have another size or digest than they had.
        """
        inner = self._unverified(sha256)
        try:
            return VerifiedBytes(inner, self._blocks(sha256, inner.size))
        except BaseException:
            inner.close()
            raise

    def open_stream(self, sha256: str) -> io.BufferedReader:
        """The bytes as a file to be read from its beginning, verified as it is read; close it after use."""
        source = self.open(sha256)
        return io.BufferedReader(ByteFile(source, close=source.close), buffer_size=BLOCK)

    def _unverified(self, sha256: str) -> LocalBytes | RemoteBytes:
        full = self._full(self.path(sha256))
        if self._is_local:
            return LocalBytes(Path(full), name=sha256)
        return RemoteBytes(self._fs, full, name=sha256)

    def _blocks(self, sha256: str, size: int) -> BlockDigests:
        """The digests of the stored blocks, from their record or by reading everything once."""
        if 0 < size <= BLOCK_SIZE:
            return BlockDigests.of_one_block(sha256, size)
        recorded = self.recorded_blocks(sha256) or self._read_whole(sha256)
        if recorded.size != size:
            raise altered(sha256, sha256, f"({size:,} in all)")
        return recorded

    def verified_on(self, sha256: str) -> datetime | None:
        """When all of the bytes were last held against their digest; None if that is not known."""
        return self._dates.last(self.path(sha256))

    def needs_record(self, size: int) -> bool:
        """A blob of this size has a record of its blocks."""
        return size > BLOCK_SIZE

    def recorded_blocks(self, sha256: str) -> BlockDigests | None:
        """The record of the digests of a blob's blocks; None if there is none that can be used."""
        try:
            return BlockDigests.from_bytes(self._fs.cat_file(self._full(_blocks_path(sha256))), sha256)
        except FileNotFoundError:
            return None

    def _write_blocks(self, blocks: BlockDigests) -> None:
        if self.needs_record(blocks.size):
            self._write(_blocks_path(blocks.sha256), blocks.to_bytes())

    def link(self, sha256: str, target: Path) -> None:
        """Give the bytes another name, as a local file: a hard link where that is possible, else a copy.

        Raises:
            NotMaterializedError: They are not stored.
        """
        source = Path(self._full(self.path(sha256)))
        if self._is_local and target.exists() and source.exists() and target.samefile(source):
            return
        partial = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.new")
        with typed_disk_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if not (self._is_local and _linked(source, partial)):
                    self._copy_out(sha256, partial)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            fsync_folder(target.parent)

    def _copy_out(self, sha256: str, target: Path) -> None:
        with self.open(sha256) as source, target.open("wb") as file:
            require_space({target.parent: source.size})
            for at in range(0, source.size, _REQUEST):
                file.write(source.read_at(at, min(_REQUEST, source.size - at)))
            file.flush()
            os.fsync(file.fileno())

    def hold(self, sha256: str) -> None:
        """Read all of the bytes, and hold every block against its record, as whatever reads a part of them does.

        It takes a quarter of the time of `verify`, which asks for the name of the whole and not the record: BLAKE3 is
        faster than SHA-256, and several threads read.

        Raises:
            StoredBytesDamagedError: A block is not what it was.
            NotMaterializedError: They are not stored.
        """
        with self.open(sha256) as source:

            def read(at: int) -> None:
                source.read_at(at, min(_REQUEST, source.size - at))

            places = ((at,) for at in range(0, source.size, _REQUEST))
            deque(in_order(read, places, workers=_READERS, window=2 * _READERS), maxlen=0)
        self._dates.note(self.path(sha256))

    def verify(self, sha256: str) -> Blob:
        """Read the bytes again, see that they still have their digest, and record their blocks where that is missing.

        Raises:
            StoredBytesDamagedError: They have not.
            NotMaterializedError: They are not stored.
        """
        recorded = self.recorded_blocks(sha256)
        if recorded is None or self._digest(sha256) != sha256:
            recorded = self._read_whole(sha256)
        self._dates.note(self.path(sha256))
        return Blob(sha256, recorded.size)

    def _digest(self, sha256: str) -> str | None:
        """The digest that the bytes have now; None if they are not stored."""
        with (
            suppress(FileNotFoundError),
            self._fs.open(self._full(self.path(sha256)), "rb", block_size=_REQUEST) as file,
        ):
            return hashlib.file_digest(file, "sha256").hexdigest()
        return None

    def all(self) -> list[str]:
        """The digest of every stored blob, sorted."""
        return sorted(self._sizes())

    def without_digest(self) -> list[str]:
        """The stored blobs that are known by their first use alone, because no digest of them is published; sorted."""
        return sorted(self.index.ever_first_used() & set(self._sizes()))

    def index_problems(self) -> list[str]:
        """Entries of the index that are not what was written, each in a sentence; see `BlobIndex.problems`."""
        sizes = self._sizes()
        return self.index.problems(sorted(sizes), sizes.get)

    def _sizes(self) -> dict[str, int]:
        """Digest and size of every stored blob, by one listing."""
        found = {path.rsplit("/", 1)[-1]: size for path, size in files_at(self._fs, self._full("blobs/sha256")).items()}
        return {name: size for name, size in found.items() if _DIGEST.fullmatch(name)}

    def _read_whole(self, sha256: str) -> BlockDigests:
        try:
            with self._fs.open(self._full(self.path(sha256)), "rb", block_size=_REQUEST) as file:
                blocks = digest_blocks(file.read)
        except FileNotFoundError:
            raise NotMaterializedError(
                f"{self.path(sha256)} is not stored.", remedy="Materialize the asset that fetches it."
            ) from None
        if blocks.sha256 != sha256:
            raise altered(sha256, sha256, f"({blocks.size:,} in all)")
        with suppress(OSError, ArchiveError):  # storage that is only read, or full: it is read as a whole next time too
            if self.recorded_blocks(sha256) != blocks:
                self._write_blocks(blocks)
        return blocks

    def withdraw(self, sha256: str) -> None:
        """Take bytes out of the store that are damaged, or that nobody needs. They are fetched again when next needed.

        The index still says what they have to be.
        """
        self._fs.rm_file(self._full(self.path(sha256)))
        for record in (_blocks_path(sha256), verified_path(self.path(sha256))):
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._full(record))

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _size(self, sha256: str) -> int | None:
        return file_size(self._fs, self._full(self.path(sha256)))

    def _publish_locally(self, source: Path, sha256: str, size: int) -> None:
        target = Path(self._full(self.path(sha256)))
        with typed_disk_errors(target.parent):
            make_folder(target.parent)
            fsync_file(source)
            source.chmod(0o444)
            if not _linked(source, target):
                self._copied(source, target, sha256, size)
            fsync_folder(target.parent)

    def _copied(self, source: Path, target: Path, sha256: str, size: int) -> None:
        """The bytes copied beside their place, held against their digest on the way, and renamed into it."""
        require_space({target.parent: size})
        self._sweep(target.parent)
        partial = target.with_name(f".{sha256}.{secrets.token_hex(4)}.new")
        try:
            digest = hashlib.sha256()
            with source.open("rb", buffering=0) as reading, partial.open("wb", buffering=0) as writing:
                while block := reading.read(BLOCK):
                    digest.update(block)
                    writing.write(block)
                os.fsync(writing.fileno())
            if digest.hexdigest() != sha256:
                raise DigestMismatchError(
                    f"{source} changed while it was stored.", remedy="Nothing was stored. Try again."
                )
            partial.chmod(0o444)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _sweep(self, folder: Path) -> None:
        """Remove what processes that were killed left of copies."""
        for partial in folder.glob(".*.new"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > _LEFTOVER_AGE:
                    partial.unlink()

    def _upload(self, source: Path, sha256: str, size: int) -> None:
        target = self._full(self.path(sha256))
        place_file(self._fs, source, target, sha256=sha256)
        if self._size(sha256) != size:
            raise SizeMismatchError(
                f"{self.path(sha256)} was stored with {self._size(sha256)} bytes, not {size:,}.",
                remedy="The storage is not reliable, or the upload was cut. Try again.",
            )

    def _write(self, path: str, data: bytes) -> None:
        place_bytes(self._fs, data, self._full(path))


def _linked(source: Path, target: Path) -> bool:
    """Make a second name for the same bytes, on the same filesystem; False where that is not possible."""
    try:
        os.link(source, target)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _whole(source: Path, sha256: str) -> BlockDigests:
    """The digests of a file's blocks, if it still is what it was called.

    Raises:
        DigestMismatchError: It is not.
    """
    with source.open("rb", buffering=0) as file:
        blocks = digest_blocks(file.read)
    if blocks.sha256 != sha256:
        raise DigestMismatchError(f"{source} changed before it was stored.", remedy="Nothing was stored. Try again.")
    return blocks


def _blocks_path(sha256: str) -> str:
    return f"blobs/blocks/{sha256[:2]}/{sha256}"
