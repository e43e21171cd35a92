from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from cm4ai_assets.archives.datacite import merged, snapshot
from cm4ai_assets.tables.crates import USAGE_METRICS
from cm4ai_assets.transfer.http import HttpClient, Timeouts
from cm4ai_assets.transfer.retries import RetryPolicy

DOI = "doi:10.18130/V3/F3TD5R"
MDC = "/api/datasets/:persistentId/makeDataCount"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
NOTHING = {"message": "No metrics available for dataset 5 for null for country code null."}


class Services:
    """Both services over a socket: path to status and answer; a path without an answer is a 404."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                outer.asked.append(parts.path)
                if parts.path.startswith("/api/"):
                    assert parse_qs(parts.query) == {"persistentId": [DOI]}
                status, answer = outer.answers.get(parts.path, (404, {"status": "ERROR", "message": "Not found."}))
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def measure(self, *, dataverse: str | None = None) -> pl.DataFrame:
        with ExitStack() as stack:
            clients = [
                stack.enter_context(
                    HttpClient(
                        url, retries=RetryPolicy(tries=1, waf_tries=1), timeouts=Timeouts(2, 2), sleep=lambda _: None
                    )
                )
                for url in (dataverse or self.url, self.url)
            ]
            return snapshot([DOI, DOI], dataverse=clients[0], datacite=clients[1], now=NOW)


@pytest.fixture
def services() -> Iterator[Services]:
    made = Services()
    yield made
    made.server.shutdown()
    made.server.server_close()


def told(frame: pl.DataFrame, service: str) -> dict[str, tuple[str, int | None]]:
    rows = frame.filter((pl.col("service") == service) & pl.col("period").is_null())
    return {row["metric"]: (row["status"], row["value"]) for row in rows.iter_rows(named=True)}


def sound(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows hold what the table says; its columns are compared without those of a partition."""
    assert list(frame.schema.items()) == [(column.name, column.dtype) for column in USAGE_METRICS.own_columns]
    for column in USAGE_METRICS.own_columns:
        assert column.nullable or frame[column.name].null_count() == 0
        assert column.allowed is None or set(frame[column.name].drop_nulls()) <= set(column.allowed)
    assert all(frame.select(rule.holds()).to_series().all() for rule in USAGE_METRICS.rules)
    assert not frame.select(pl.struct(USAGE_METRICS.key).is_duplicated()).to_series().any()
    return frame


def test_counts_citations_and_months(services: Services) -> None:
    services.answers = {
        f"{MDC}/viewsTotal": (200, {"status": "OK", "data": {"viewsTotal": 123}}),
        f"{MDC}/citations": (200, {"status": "OK", "data": [{"citationUrl": "https://doi.org/10.1/x"}]}),
        "/api/datasets/:persistentId/download/count": (200, {"status": "OK", "data": {"id": 5, "downloadCount": 256}}),
        "/dois/10.18130/v3/f3td5r": (200, {"data": {
            "attributes": {
                "viewCount": 7, "downloadCount": 0, "citationCount": 1, "referenceCount": 2,
                "viewsOverTime": [{"yearMonth": "2026-06", "total": 3}, {"yearMonth": "2026-07", "total": 4}],
                "citationsOverTime": [{"year": "2026", "total": 1}], "downloadsOverTime": [],
            },
            "relationships": {"citations": {"data": [{"id": "10.1/x", "type": "dois"}]}},
        }}),
    }  # fmt: skip
    frame = sound(services.measure())
    dataverse = told(frame, "dataverse")
    assert dataverse["views"] == ("reported", 123)
    assert dataverse["classic_downloads"] == ("reported", 256)
    assert dataverse["citations"] == ("reported", 1)
    assert told(frame, "datacite") == {
        "views": ("reported", 7), "downloads": ("reported", 0), "citations": ("reported", 1),
        "references": ("reported", 2),
    }  # fmt: skip
    series = frame.filter(pl.col("period").is_not_null()).select("metric", "period", "value").rows()
    assert series == [("views", "2026-06", 3), ("views", "2026-07", 4), ("citations", "2026", 1)]
    linked = frame.filter(pl.col("links").list.len() > 0)["links"].to_list()
    assert linked == [["https://doi.org/10.1/x"], ["https://doi.org/10.1/x"]]
    assert set(frame["snapshot_month"]) == {date(2026, 11, 1)}


@pytest.mark.parametrize(
    "answer", [{"status": "OK", "data": NOTHING}, {"status": "OK", **NOTHING}], ids=["below data", "unified"]
)
def test_a_service_without_data_is_no_failure(services: Services, answer: dict[str, Any]) -> None:
    services.answers = {f"{MDC}/{name}": (200, answer) for name in ("viewsTotal", "downloadsTotal", "citations")}
    frame = sound(services.measure())
    dataverse = told(frame, "dataverse")
    assert dataverse["views"] == dataverse["citations"] == ("no_data", None)
    detail = frame.filter(pl.col("metric") == "downloads")["detail"][0]
    assert detail.startswith("No metrics available")
    assert set(told(frame, "datacite").values()) == {("no_data", None)}  # 404: DataCite does not know the DOI


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, {"status": "ERROR"}), (200, b"<html>maintenance</html>"), (200, ["odd"]), (429, b""), (403, b"blocked")],
)
def test_answers_of_no_use_are_told(services: Services, status: int, answer: object) -> None:
    paths = [f"{MDC}/viewsTotal", "/dois/10.18130/v3/f3td5r"]
    services.answers = dict.fromkeys(paths, (status, answer))
    frame = sound(services.measure())
    assert told(frame, "dataverse")["views"] == ("unavailable", None)
    assert set(told(frame, "datacite").values()) == {("unavailable", None)}
    assert frame.filter(pl.col("status") != "reported")["detail"].null_count() == 0


def test_a_service_that_is_down_is_asked_once(services: Services) -> None:
    frame = sound(services.measure(dataverse="http://127.0.0.1:9"))
    assert set(told(frame, "dataverse").values()) == {("unavailable", None)}
    assert len(told(frame, "dataverse")) == 6
    assert services.asked == ["/dois/10.18130/v3/f3td5r"]


def test_snapshots_of_a_month_are_one_and_numbers_stay(services: Services) -> None:
    first = services.measure()
    services.answers = {f"{MDC}/viewsTotal": (200, {"status": "OK", "data": {"viewsTotal": 5}})}
    second = services.measure().with_columns(observed_at=pl.lit(NOW.replace(day=24)))
    third = first.with_columns(observed_at=pl.lit(NOW.replace(day=25)))
    december = first.with_columns(snapshot_month=pl.lit(date(2026, 12, 1)))
    together = merged(merged(merged(first, second), third), december)
    assert sound(together).height == 2 * first.height
    views = together.filter((pl.col("metric") == "views") & (pl.col("service") == "dataverse"))
    assert views.select("snapshot_month", "value").rows() == [(date(2026, 11, 1), 5), (date(2026, 12, 1), None)]
    assert merged(together, together).equals(together)
