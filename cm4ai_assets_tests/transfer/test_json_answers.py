"""JSON of a server as values: what is refused before it is built, and text that can be written to any file."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from cm4ai_assets.transfer import redaction
from cm4ai_assets.transfer.errors import ProtocolError, ServerUnavailableError
from cm4ai_assets.transfer.http import HttpClient
from cm4ai_assets.transfer.json_answers import BYTE_LIMIT, VALUE_LIMIT, parsed
from cm4ai_assets.transfer.redaction import without_secrets
from cm4ai_assets_tests.transfer.bench import FAST, TOKEN
from cm4ai_assets_tests.transfer.server import as_json, body, serving


def read(raw: bytes) -> object:
    return parsed(raw, what="https://a.example/x", content_type="application/json")


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"0,", b'"":0,'])
def test_many_small_values_are_refused_before_they_are_built(piece: bytes) -> None:
    raw = (b"{" if b":" in piece else b"[") + piece * (VALUE_LIMIT + 1)
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="values in"):
        read(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_large_answer_of_the_usual_kind_is_read() -> None:
    file = {"label": "x" * 100, "dataFile": {"id": 1, "filesize": 2, "md5": "0" * 32, "description": "a, b: c" * 20}}
    assert len(read(json.dumps([file] * 20_000).encode())) == 20_000  # type: ignore[arg-type]


def test_an_answer_that_does_not_end_is_cut() -> None:
    with serving() as server, HttpClient(server.url, retries=FAST) as client:
        server.on("/x", body(200, b" " * (BYTE_LIMIT + 1)))
        with pytest.raises(ProtocolError, match=f"is longer than {BYTE_LIMIT} bytes"):
            client.json("/x")


@pytest.mark.parametrize("text", ['"a\\ud800b"', '"a\\udc00b"', '"a\\uDBFFb"', '"a\ud800b"'])
def test_a_lone_surrogate_is_replaced(text: str) -> None:
    raw = f'{{"{text[1:-1]}": [{text}, {{"x": {text}}}]}}'.encode("utf-8", "surrogatepass")
    assert read(raw) == {"a\ufffdb": ["a\ufffdb", {"x": "a\ufffdb"}]}


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert read(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_token_that_is_sent_back_stands_in_no_message() -> None:
    with serving() as server, HttpClient(server.url, token=TOKEN, retries=FAST) as client:
        server.on("/refused", as_json({"status": "ERROR", "message": f"no: {TOKEN}"}, 500))
        server.on("/error", as_json({"status": "ERROR", "message": f"no: {TOKEN}"}))
        server.on("/no-json", body(200, b"x", Content_Type=f"text/plain; {TOKEN}"))
        for path, kind in (
            ("/refused", ServerUnavailableError), ("/error", ProtocolError), ("/no-json", ProtocolError),
        ):  # fmt: skip
            with pytest.raises(kind) as caught:
                client.json(path)
            assert TOKEN not in str(caught.value)
            assert "[hidden]" in str(caught.value)
    assert without_secrets(f"a {TOKEN}") == "a [hidden]"


def test_a_secret_that_begins_another_leaves_no_rest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", {f"secret-{number}" for number in range(8)} | {"secret-0-and-more"})
    assert redaction.without_secrets("a secret-0-and-more b") == "a [hidden] b"
    assert redaction.bytes_without_secrets(b"a secret-0-and-more b") == b"a [hidden] b"
