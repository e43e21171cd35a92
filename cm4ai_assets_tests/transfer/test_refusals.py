"""Every refusal that was seen or stands in the server's source becomes its own typed error."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.transfer import errors
from cm4ai_assets.transfer.refusals import refusal, retry_after
from cm4ai_assets_tests.fixtures.refusals import DATASET_ID, GUESTBOOK_ID, INCIDENT, UNKNOWN_DOI
from cm4ai_assets_tests.transfer.server import fixture

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WHAT = "https://dataverse.lib.virginia.edu/api/x"

CASES = [
    (
        "error_400_guestbook_required_6.10.json",
        400,
        errors.GuestbookRequiredError,
        f"guestbook {GUESTBOOK_ID} filled in first",
    ),
    ("error_400_invalid_order.json", 400, errors.ProtocolError, "Invalid order criteria: foo"),
    ("error_400_compare_order.json", 400, errors.ProtocolError, "older dataset version to be listed first"),
    ("error_401_bad_api_key.json", 401, errors.BadTokenError, "refuses the API token .*Bad API key"),
    ("error_401_not_permitted.json", 401, errors.AccessDeniedError, "User :guest is not permitted"),
    ("error_403_apache_ua_block.html", 403, errors.BlockedByWafError, "turned the request away, HTTP 403"),
    ("error_403_file_access.json", 403, errors.AccessDeniedError, "Not authorized to access this object"),
    ("error_404_datafile_missing_bytes.json", 404, errors.BytesLostError, "Failed to locate and/or open physical file"),
    ("error_404_datafile_unknown.json", 404, errors.NotFoundError, "does not have it .*API endpoint does not exist"),
    (
        "error_404_dataset.json",
        404,
        errors.NotFoundError,
        f"Dataset with Persistent ID {UNKNOWN_DOI} not found",
    ),
    ("error_404_version.json", 404, errors.NotFoundError, f"Dataset version 7.3 of dataset {DATASET_ID} not found"),
    ("error_405_method.json", 405, errors.ProtocolError, "HTTP 405"),
    ("error_416_range.json", 416, errors.RangeError, "Start is larger than end or size of file"),
    ("error_429_rate_limited.json", 429, errors.RateLimitedError, "Rate limited due to too many requests"),
    ("error_500_incident.json", 500, errors.ServerUnavailableError, f"incident {INCIDENT}"),
    ("error_502_proxy.html", 502, errors.ServerUnavailableError, "502 Proxy Error"),
    ("error_503_blocked_endpoint.json", 503, errors.EndpointBlockedError, "closed this endpoint"),
    ("error_503_maintenance.html", 503, errors.ServerUnavailableError, "maintenance downtime"),
    ("error_503_service.json", 503, errors.ServerUnavailableError, "Requested service or method not available"),
    ("s3_403_expired.xml", 403, errors.LinkExpiredError, "AccessDenied. .*Request has expired"),
    ("s3_403_signature_head.xml", 403, errors.LinkExpiredError, "SignatureDoesNotMatch"),
    ("s3_503_slowdown.xml", 503, errors.RateLimitedError, "Please reduce your request rate"),
]
PERMANENT = {
    errors.GuestbookRequiredError, errors.BadTokenError, errors.AccessDeniedError, errors.BytesLostError,
    errors.NotFoundError, errors.EndpointBlockedError, errors.ProtocolError,
}  # fmt: skip


@pytest.mark.parametrize(("name", "status", "kind", "told"), CASES, ids=[case[0] for case in CASES])
def test_refusal(name: str, status: int, kind: type[errors.ArchiveError], told: str) -> None:
    error = refusal(status, {}, fixture(name), what=WHAT, now=NOW)
    assert type(error) is kind
    assert error.retryable is (kind not in PERMANENT)
    with pytest.raises(kind, match=told):
        raise error
    assert WHAT in str(error)


def test_what_the_errors_carry() -> None:
    guestbook = refusal(400, {}, fixture("error_400_guestbook_required_6.10.json"), what=WHAT, now=NOW)
    assert isinstance(guestbook, errors.GuestbookRequiredError)
    assert (guestbook.guestbook_id, guestbook.state) == (GUESTBOOK_ID, "guestbook_required")
    busy = refusal(503, {"retry-after": "120"}, fixture("error_503_maintenance.html"), what=WHAT, now=NOW)
    assert isinstance(busy, errors.ServerUnavailableError)
    assert busy.retry_after == 120
    down = refusal(500, {}, fixture("error_500_incident.json"), what=WHAT, now=NOW)
    assert isinstance(down, errors.ServerUnavailableError)
    assert down.incident_id == INCIDENT
    denied = refusal(403, {}, fixture("error_403_file_access.json"), what=WHAT, now=NOW)
    assert isinstance(denied, errors.AccessDeniedError)
    assert denied.state is None  # the answer does not say whether it is restricted, embargoed or past retention


def test_challenge_and_captcha_of_a_firewall() -> None:
    for status, headers in (
        (202, {"x-amzn-waf-action": "challenge"}),
        (405, {"x-amzn-waf-action": "captcha"}),
        (202, {}),
    ):
        assert isinstance(refusal(status, headers, b"", what=WHAT, now=NOW), errors.BlockedByWafError)


def test_page_not_found_by_a_web_server_is_not_a_missing_file() -> None:
    error = refusal(404, {}, b"<html><body>Not Found</body></html>", what=WHAT, now=NOW)
    assert type(error) is errors.NotFoundError
    assert "A web server, not the archive's API" in str(error)
    assert "CM4AI_DATAVERSE_URL" in error.remedy


def test_proxy_wants_credentials() -> None:
    error = refusal(407, {}, b"", what=WHAT, now=NOW)
    assert isinstance(error, errors.ProxyRefusedError)
    assert "HTTPS_PROXY" in error.remedy


@given(
    st.integers(100, 599),
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["retry-after"]), st.text(max_size=40)),
)
def test_any_answer_is_some_typed_error(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = refusal(status, headers, body, what=WHAT, now=NOW)
    assert isinstance(error, errors.ArchiveError)
    assert "\n" not in str(error)
    assert len(str(error)) < 700


NAMES = st.sampled_from(["status", "message", "incidentId", "data"])
VALUES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_any_json_refusal_is_some_typed_error(answer: object) -> None:
    for status in (400, 401, 403, 404, 429, 500, 503):
        assert isinstance(refusal(status, {}, json.dumps(answer).encode(), what=WHAT, now=NOW), errors.ArchiveError)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0), (" 7 ", 7.0), ("0", 0.0), ("864000", 864000.0), ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:03:05 GMT", 0.0), ("soon", None), ("-5", None), ("1e9", None), ("", None), (None, None),
        ("99999999999999999999", None), ("0\x1f", 0.0),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_retry_after_is_never_negative_or_a_crash(value: str) -> None:
    wait = retry_after(value, NOW)
    assert wait is None or wait >= 0
