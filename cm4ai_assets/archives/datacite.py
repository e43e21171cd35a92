"""How often a dataset is viewed, downloaded and cited: Dataverse's Make Data Count and DataCite, as snapshots.

Belongs here: asking both services, and what their answers mean. Does not belong here: transport and its errors
(`http`), where snapshots are kept.

Nothing here fails because a service has no data or does not answer: such a metric is a row without a value that says
why. The University of Virginia shows only its own count of downloads, so Make Data Count will mostly have nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import polars as pl

from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.tables.crates import USAGE_METRICS
from cm4ai_assets.transfer.errors import NetworkError, NotFoundError
from cm4ai_assets.transfer.http import HttpClient
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)

RETRIES = RetryPolicy(tries=2, first=1.0, longest=5.0, limited_first=5.0, limited_longest=30.0, waf_tries=1)
"""Little patience: a metric that is not available today is asked for next month."""

# Dataverse answers one metric a call.
_MAKE_DATA_COUNT = {
    "views": "viewsTotal",
    "views_unique": "viewsUnique",
    "downloads": "downloadsTotal",
    "downloads_unique": "downloadsUnique",
}
_DATACITE_TOTALS = {
    "views": "viewCount",
    "downloads": "downloadCount",
    "citations": "citationCount",
    "references": "referenceCount",
}
_DATACITE_SERIES = {"views": "viewsOverTime", "downloads": "downloadsOverTime", "citations": "citationsOverTime"}
_PERIOD = re.compile(r"\d{4}(?:-\d\d)?")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number, or why there is none.

    `period` is a month (`2026-06`) or a year that the number is for, None for all time; `links` are what the number
    counts, where the service names it.
    """

    service: str
    metric: str
    status: str
    value: int | None = None
    period: str | None = None
    detail: str | None = None
    links: tuple[str, ...] = ()


def snapshot(
    dois: Iterable[str], *, dataverse: HttpClient, datacite: HttpClient, now: datetime | None = None
) -> pl.DataFrame:
    """What both services say today of some datasets: the rows of `usage_metrics` for this month."""
    observed = (now or datetime.now(UTC)).astimezone(UTC)
    rows = [
        {
            "snapshot_month": observed.date().replace(day=1),
            "observed_at": observed,
            "doi": doi,
            "service": one.service,
            "metric": one.metric,
            "period": one.period,
            "value": one.value,
            "status": one.status,
            "detail": one.detail,
            "links": list(one.links),
        }
        for doi in dict.fromkeys(dois)
        for one in (*dataverse_usage(dataverse, doi), *datacite_usage(datacite, doi))
    ]
    return pl.DataFrame(rows, schema={column.name: column.dtype for column in USAGE_METRICS.own_columns}, orient="row")


def merged(previous: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """All snapshots together: one for each month, the last one taken, and a number never replaced by its absence."""
    ordered = pl.concat([previous, fresh]).sort(pl.col("value").is_not_null(), "observed_at")
    return ordered.unique(USAGE_METRICS.key, keep="last").sort(USAGE_METRICS.key, nulls_last=False)


def dataverse_usage(client: HttpClient, doi: str) -> Iterator[Measurement]:
    """Make Data Count of one dataset, and the archive's own count of downloads."""
    path, query = "/api/datasets/:persistentId", {"persistentId": doi}
    calls = {metric: f"{path}/makeDataCount/{name}" for metric, name in _MAKE_DATA_COUNT.items()}
    calls |= {"citations": f"{path}/makeDataCount/citations", "classic_downloads": f"{path}/download/count"}
    unreachable: str | None = None
    for metric, call in calls.items():
        if unreachable is not None:
            yield Measurement("dataverse", metric, "unavailable", detail=unreachable)
            continue
        try:
            body = client.json(call, query).body
        except NetworkError as error:
            unreachable = error.message  # one refusal is enough: the others would only wait for the same
            yield _unavailable("dataverse", metric, error)
        except ArchiveError as error:
            yield _unavailable("dataverse", metric, error)
        else:
            yield _citations(body) if metric == "citations" else _count(metric, body)


def _count(metric: str, body: object) -> Measurement:
    """A number from `{"data": {"viewsTotal": 5}}`; a message instead of a number says that there is none."""
    data = body.get("data") if isinstance(body, Mapping) else None
    key = _MAKE_DATA_COUNT.get(metric, "downloadCount")
    if isinstance(data, Mapping) and (value := _whole(data.get(key))) is not None:
        return Measurement("dataverse", metric, "reported", value)
    return _no_number(metric, body, data)


def _citations(body: object) -> Measurement:
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list):
        return _no_number("citations", body, data)
    links = tuple(
        one["citationUrl"] for one in data if isinstance(one, Mapping) and isinstance(one.get("citationUrl"), str)
    )
    return Measurement("dataverse", "citations", "reported", len(data), links=links)


def _no_number(metric: str, body: object, data: object) -> Measurement:
    # The message stands below `data`, or beside it with the feature flag UNIFY_API_RESPONSE_MESSAGE_STYLE.
    places = [data, body]
    message = next((p["message"] for p in places if isinstance(p, Mapping) and isinstance(p.get("message"), str)), None)
    if message is not None:
        return Measurement("dataverse", metric, "no_data", detail=message[:500])
    return Measurement("dataverse", metric, "unavailable", detail="an answer of an unknown form")


def datacite_usage(client: HttpClient, doi: str) -> Iterator[Measurement]:
    """What DataCite counts for one DOI: totals, and numbers by month or year where it has them."""
    bare = doi.removeprefix("doi:").lower()
    try:
        body = client.json(f"/dois/{quote(bare, safe='/')}").body
    except ArchiveError as error:
        yield from (_unavailable("datacite", metric, error) for metric in _DATACITE_TOTALS)
        return
    data = body.get("data") if isinstance(body, Mapping) else None
    attributes = data.get("attributes") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(attributes, Mapping):
        detail = "an answer of an unknown form"
        yield from (Measurement("datacite", metric, "unavailable", detail=detail) for metric in _DATACITE_TOTALS)
        return
    links = {metric: _related(data, metric) for metric in ("citations", "references")}
    for metric, key in _DATACITE_TOTALS.items():
        value = _whole(attributes.get(key))
        if value is None:
            yield Measurement("datacite", metric, "no_data", detail=f"no {key} in the answer")
        else:
            yield Measurement("datacite", metric, "reported", value, links=links.get(metric, ()))
    for metric, key in _DATACITE_SERIES.items():
        yield from _series(metric, attributes.get(key))


def _series(metric: str, stated: object) -> Iterator[Measurement]:
    """Numbers by period. The documentation shows empty lists only; the keys are those of DataCite's own front end."""
    for one in stated if isinstance(stated, list) else ():
        if isinstance(one, Mapping):
            period = str(one.get("yearMonth", one.get("year", "")))
            value = _whole(one.get("total"))
            if value is not None and _PERIOD.fullmatch(period):
                yield Measurement("datacite", metric, "reported", value, period)


def _related(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    relationships = data.get("relationships")
    related = relationships.get(name) if isinstance(relationships, Mapping) else None
    items = related.get("data") if isinstance(related, Mapping) else None
    named = [one.get("id") for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []
    return tuple(f"https://doi.org/{doi}" for doi in named if isinstance(doi, str))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None


def _unavailable(service: str, metric: str, error: ArchiveError) -> Measurement:
    _log.info("No %s from %s: %s", metric, service, error.message)
    status = "no_data" if isinstance(error, NotFoundError) else "unavailable"
    return Measurement(service, metric, status, detail=error.message)
