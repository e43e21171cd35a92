"""Whatever a source does and an earlier run left, what is fetched is the published bytes or nothing."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.transfer.connections import Chunk, Room
from cm4ai_assets.transfer.download import fetch
from cm4ai_assets.transfer.errors import (
    LinkExpiredError,
    NetworkError,
    ProtocolError,
    RangeError,
    ServerUnavailableError,
)
from cm4ai_assets.transfer.http import Answer
from cm4ai_assets.transfer.parts import JOURNAL_VERSION, Wanted
from cm4ai_assets.transfer.pieces import positioned
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets_tests.transfer.bench import bytes_of, md5, sha256

DATA = bytes_of(5000)
WANTED = Wanted("md5-x", len(DATA), "MD5", md5(DATA))
RETRIES = RetryPolicy(tries=5, first=0, longest=0, limited_first=0, limited_longest=0, waf_wait=0, progress=2000)


@dataclass
class Piece:
    """One answer: from where, what, how it ends, and what it says of itself."""

    start: int
    data: bytes
    total: int | None
    end: ArchiveError | None = None
    url: str = "scripted"
    headers: dict[str, str] = field(default_factory=dict)
    in_room: int = 0

    def chunks(self, room: Room | None = None) -> Iterator[Chunk]:
        """Each second chunk is read into the memory that the digests offer."""
        for at in range(0, len(self.data), 777):
            piece = self.data[at : at + 777]
            if room and at % 2:
                memory = room()[: len(piece)]
                memory[:] = piece[: len(memory)]
                self.in_room += 1
                yield memory
                piece = piece[len(memory) :]
            yield piece
        if self.end:
            raise self.end


Behaviour = Callable[[int], Piece]


@dataclass
class Scripted:
    """A source that behaves as told, then well."""

    script: list[Behaviour]
    name: str = "scripted"
    counted: int = 0
    offsets: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self, offset: int, *, counted: bool) -> Iterator[Piece]:
        self.counted += counted
        self.offsets.append(offset)
        yield (self.script.pop(0) if self.script else well)(offset)


def well(offset: int) -> Piece:
    return Piece(offset, DATA[offset:], len(DATA))


def cut(after: int, *, told: bool, announced: bool) -> Behaviour:
    end = NetworkError("broke") if told else None
    return lambda offset: Piece(offset, DATA[offset : offset + after], len(DATA) if announced else None, end)


def from_start(after: int) -> Behaviour:
    return lambda _: Piece(0, DATA[:after], len(DATA), None)


def elsewhere(start: int) -> Behaviour:
    return lambda _: Piece(start, DATA[start:], len(DATA))


def altered(at: int) -> Behaviour:
    wrong = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    return lambda offset: Piece(offset, wrong[offset:], len(DATA))


def longer(by: int, *, announced: bool) -> Behaviour:
    return lambda offset: Piece(offset, DATA[offset:] + b"x" * by, len(DATA) + by if announced else None)


def refusing(error: ArchiveError) -> Behaviour:
    def behave(_: int) -> Piece:
        raise error

    return behave


POSITIONS = st.integers(0, len(DATA) - 1)
BEHAVIOURS = st.one_of(
    st.builds(cut, POSITIONS, told=st.booleans(), announced=st.booleans()),
    st.builds(from_start, POSITIONS),
    st.builds(elsewhere, POSITIONS),
    st.builds(altered, POSITIONS),
    st.builds(longer, st.integers(1, 2000), announced=st.booleans()),
    st.sampled_from([
        refusing(RangeError("416")), refusing(ServerUnavailableError("503", retry_after=5)),
        refusing(NetworkError("broke")), refusing(LinkExpiredError("403")), refusing(ProtocolError("garbled")),
    ]),
)  # fmt: skip
JOURNALS = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.builds(
        lambda counted, size: json.dumps(
            {"version": JOURNAL_VERSION, "wanted": {**vars(WANTED), "size": size}, "counted": counted}
        ).encode(),
        st.booleans(),
        st.sampled_from([len(DATA), len(DATA), 7]),
    ),
)
PARTS = st.one_of(
    st.none(),
    POSITIONS.map(lambda length: DATA[:length]),
    st.binary(max_size=50),
    st.just(DATA),
    st.just(DATA + b"more"),
    POSITIONS.map(lambda at: altered(at)(0).data),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(BEHAVIOURS, max_size=7), PARTS, JOURNALS)
def test_right_bytes_or_a_typed_error(script: list[Behaviour], part: bytes | None, journal: bytes | None) -> None:
    source = Scripted(list(script))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if part is not None:
            (scratch / "md5-x.part").write_bytes(part)
        if journal is not None:
            (scratch / "md5-x.json").write_bytes(journal)
        try:
            fetched = fetch(source, WANTED, scratch, retries=RETRIES, reserve=0, sleep=lambda _: None)
        except ArchiveError:
            # What is left is right as far as it goes, or nobody believes it: a second run ends well.
            again = Scripted([])
            fetched = fetch(again, WANTED, scratch, retries=RETRIES, reserve=0, sleep=lambda _: None)
            assert source.counted + again.counted <= 1
        assert fetched.path.read_bytes() == DATA
        assert fetched.digests == {"MD5": md5(DATA), "SHA-256": sha256(DATA)}
        assert source.counted <= 1
        fetched.forget()
        assert {path.name for path in scratch.iterdir()} <= {"quarantine"}


def test_a_source_may_read_into_the_memory_of_the_digests(tmp_path: Path) -> None:
    piece = well(0)
    fetched = fetch(Scripted([lambda _: piece]), WANTED, tmp_path, reserve=0)
    assert piece.in_room == 3
    assert fetched.path.read_bytes() == DATA


@settings(max_examples=100, deadline=None)
@given(st.lists(BEHAVIOURS, max_size=4))
def test_no_byte_is_fetched_twice_while_the_source_resumes(script: list[Behaviour]) -> None:
    script = [behaviour for behaviour in script if behaviour.__qualname__.startswith("cut.")]
    source = Scripted(list(script))
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch(source, WANTED, Path(folder), retries=RETRIES, reserve=0, sleep=lambda _: None)
    assert fetched.fetched_bytes == len(DATA)
    assert source.offsets == sorted(source.offsets)


@given(
    st.integers(0, 400),
    st.one_of(st.text(max_size=30), st.from_regex(r"bytes \d{1,4}-\d{1,4}/(\d{1,4}|\*)", fullmatch=True)),
)
def test_a_piece_is_where_it_was_asked_for_or_refused(offset: int, stated: str) -> None:
    headers = {"content-range": stated, "content-length": "5"}
    answer = Answer(206, headers, "url", "host", httpx2.Response(206))
    with contextlib.suppress(RangeError):
        stream = positioned(answer, offset)
        assert stream.start == offset
        assert stream.total is None or stream.total > offset


@pytest.mark.parametrize("length", ["5", "", "x", "-5", "5, 5"])
def test_an_illegible_length_is_as_good_as_none(length: str) -> None:
    stream = positioned(Answer(200, {"content-length": length}, "url", "host", httpx2.Response(200)), 100)
    assert (stream.start, stream.total) == (0, 5 if length == "5" else None)
