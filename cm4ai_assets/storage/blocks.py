"""Digests of a blob's blocks: any part of stored bytes can be held against what was published, without reading all.

A blob's name is the SHA-256 of all its bytes, which says nothing about a part of them. So the BLAKE3 of every block of
64 KiB is recorded when the bytes are stored, in the same pass that proves the whole. From then on every read is held
against the blocks that it touches. A blob of one block needs no record: its name is that block's digest. A record says
by which hash it was made; the first ones were made with SHA-256, and serve as they are.

Belongs here: the list of digests, and the byte source that reads through it. Does not belong here: where the list
stands (`blobs`), and the pass in which it is made (`digests`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from blake3 import blake3

from cm4ai_assets.errors import ArchiveDamagedError, StoredBytesDamagedError
from cm4ai_assets.storage.bytes import LocalBytes, RemoteBytes

BLOCK_SIZE: Final = 64 * 1024


class Hash(Protocol):
    """As hashlib's objects are."""

    def update(self, data: memoryview, /) -> object: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102


_BLAKE3, _SHA256 = "blake3 of blocks", "sha256 of blocks"
_HASHES: Final[Mapping[str, Callable[[bytes | memoryview], Hash]]] = {
    _BLAKE3: blake3,  # a quarter of the time of the other (decision 40)
    _SHA256: hashlib.sha256,
}
_DIGEST_SIZE: Final = 32  # of either


@dataclass(frozen=True)
class BlockDigests:
    """The digests of a blob's blocks.

    Attributes:
        sha256: Digest of all of the blob.
        size: Its bytes.
        digests: Those of each block of `BLOCK_SIZE` bytes, one after the other; the last block may be shorter.
        kind: By which hash, as the record says it.
    """

    sha256: str
    size: int
    digests: bytes
    kind: str = _BLAKE3

    @classmethod
    def of_one_block(cls, sha256: str, size: int) -> BlockDigests:
        """Those of a blob of at most one block, which its name already states."""
        return cls(sha256, size, bytes.fromhex(sha256) if size else b"", _SHA256)

    def fault(self, first: int, data: bytes) -> int | None:
        """The offset of the first block that is not as recorded; None if all are.

        Args:
            first: Number of the block with which the data begin.
            data: Whole blocks; the blob's last one may be shorter.
        """
        view, hashed = memoryview(data), _HASHES[self.kind]
        for at in range(0, len(data), BLOCK_SIZE):
            number = first + at // BLOCK_SIZE
            recorded = self.digests[number * _DIGEST_SIZE : (number + 1) * _DIGEST_SIZE]
            if hashed(view[at : at + BLOCK_SIZE]).digest() != recorded:
                return number * BLOCK_SIZE
        return None

    def to_bytes(self) -> bytes:
        """The record: a line of JSON, which also closes the list with its own digest, then the digests."""
        head = {
            "kind": self.kind,
            "sha256": self.sha256,
            "size": self.size,
            "block_size": BLOCK_SIZE,
            "list_sha256": self._closing(),
        }
        return json.dumps(head).encode() + b"\n" + self.digests

    @classmethod
    def from_bytes(cls, data: bytes, sha256: str) -> BlockDigests | None:
        """The list from its record; None if the record is damaged, unknown, or is that of another blob."""
        head, _, digests = data.partition(b"\n")
        try:
            stated = json.loads(head)
            read = cls(sha256, int(stated["size"]), digests, str(stated["kind"]))
        except (ValueError, KeyError, TypeError):
            return None
        if read.kind not in _HASHES:
            return None
        blocks = -(-read.size // BLOCK_SIZE)
        whole = read.to_bytes() == data and len(digests) == blocks * _DIGEST_SIZE
        return read if whole else None

    def _closing(self) -> str:
        return hashlib.sha256(f"{self.sha256} {self.size} ".encode() + self.digests).hexdigest()


class BlockHash:
    """The digests of a stream's blocks, as the stream passes: like hashlib's objects, it takes pieces of any size."""

    def __init__(self) -> None:
        self._closed, self._open, self._room = bytearray(), blake3(), BLOCK_SIZE

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream."""
        view = memoryview(data)
        while view:
            piece = view[: self._room]
            self._open.update(piece)
            self._room -= len(piece)
            view = view[len(piece) :]
            if not self._room:
                self._closed += self._open.digest()
                self._open, self._room = blake3(), BLOCK_SIZE

    def digest(self) -> bytes:
        """BLAKE3 of each block so far, one after the other; the last block may be shorter."""
        return bytes(self._closed) + (self._open.digest() if self._room < BLOCK_SIZE else b"")


class VerifiedBytes:
    """Stored bytes that can be read at any position; every block that a read touches is held against its digest.

    A `ByteSource`. `name` is what messages call it, and may be set to the published name.
    """

    def __init__(self, inner: LocalBytes | RemoteBytes, blocks: BlockDigests) -> None:
        self.name = inner.name
        self.size = inner.size
        self._inner, self._blocks = inner, blocks

    @property
    def sha256(self) -> str:
        """The digest of all of the bytes. What is read has it, or is refused."""
        return self._blocks.sha256

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, as they were published.

        Raises:
            StoredBytesDamagedError: They are not.
            ArchiveDamagedError: The blob has fewer.
        """
        if length == 0:
            return b""
        first = offset // BLOCK_SIZE
        begin, end = first * BLOCK_SIZE, min(self.size, -(-(offset + length) // BLOCK_SIZE) * BLOCK_SIZE)
        if offset + length > self.size:
            raise ArchiveDamagedError(
                f"{self.name} has {self.size} bytes; {length} were asked for at offset {offset}.",
                remedy="The archive refers to bytes that it does not have. Report it to the archive.",
            )
        try:
            data = self._inner.read_at(begin, end - begin)
        except ArchiveDamagedError:  # cut since it was opened
            raise altered(self.name, self._blocks.sha256, f"at offset {begin:,}") from None
        if (fault := self._blocks.fault(first, data)) is not None:
            raise altered(self.name, self._blocks.sha256, f"at offset {fault:,}")
        return data if end - begin == length else data[offset - begin : offset - begin + length]

    def close(self) -> None:
        """Close the file. Reading afterwards is an error."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def altered(name: str, sha256: str, where: str) -> StoredBytesDamagedError:
    """The error for stored bytes that are no longer what they were."""
    called = f"{name} ({_blob(sha256)})" if name != sha256 else _blob(sha256)
    return StoredBytesDamagedError(
        f"{called} was altered after it was stored: the bytes {where} do not have their digest.",
        remedy=f"Nothing is made of it. Run `cm4ai withdraw {sha256}`, then materialize again: it is fetched anew.",
        sha256=sha256,
    )


def _blob(sha256: str) -> str:
    return f"blobs/sha256/{sha256[:2]}/{sha256}"
