"""What can go wrong between an archive and the store, each with whether waiting helps.

Belongs here: one type per class of refusal that somebody acts on differently. Does not belong here: telling them apart
(`refusals`), or deciding how long to wait (`retries`).
"""

from __future__ import annotations

from datetime import date

from cm4ai_assets.errors import ArchiveError, DigestMismatchError


class ProtocolError(ArchiveError):
    """The answer is not what the archive's protocol says: not JSON, cut, of another shape, of another file."""


class NetworkError(ArchiveError):
    """Nothing answered, or the connection broke: name not resolved, refused, reset, timed out, cut."""

    retryable = True


class StalledError(NetworkError):
    """Bytes came more slowly than the floor for a whole window."""


class TlsError(ArchiveError):
    """The certificate of the server cannot be trusted. Never answered by not checking it."""

    runbook = "archive-refuses"


class ProxyRefusedError(ArchiveError):
    """The proxy on the way refused, for instance for want of credentials."""

    runbook = "archive-refuses"


class RedirectRefusedError(ArchiveError):
    """A redirect that is not followed: too many, to a private address, or to a weaker scheme."""

    runbook = "archive-refuses"


class NotFoundError(ArchiveError):
    """The archive knows no such collection, dataset, version or file."""

    runbook = "withdrawn-upstream"


class BytesLostError(NotFoundError):
    """The archive lists the file but has lost its bytes."""


class DeaccessionedError(NotFoundError):
    """The version was withdrawn. `note` and `link` are what the depositor says about it, where they say anything."""

    def __init__(self, message: str, *, remedy: str = "", note: str | None = None, link: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.note = note
        self.link = link


class AccessDeniedError(ArchiveError):
    """The file exists and is not accessible, at least not yet.

    `state` is one of `tables.release.ACCESS_STATES`, None where the answer does not say; `until` the day it changes.
    """

    runbook = "embargo"

    def __init__(self, message: str, *, remedy: str = "", state: str | None = None, until: date | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.state = state
        self.until = until


class GuestbookRequiredError(AccessDeniedError):
    """A person has to fill in a form first. Never answered on their behalf."""

    def __init__(self, message: str, *, remedy: str = "", guestbook_id: int | None = None) -> None:
        super().__init__(message, remedy=remedy, state="guestbook_required")
        self.guestbook_id = guestbook_id


class BadTokenError(ArchiveError):
    """The API token is wrong or has expired. No anonymous second try: the person meant to be somebody."""

    runbook = "archive-refuses"


class BlockedByWafError(ArchiveError):
    """A firewall or front server turned the request away before the archive saw it."""

    runbook = "archive-refuses"

    retryable = True


class EndpointBlockedError(ArchiveError):
    """The archive's administrator has closed this endpoint."""

    runbook = "archive-refuses"


class WaitError(ArchiveError):
    """The server asks to come back later; `retry_after` are the seconds it named, None where it named none."""

    retryable = True

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class RateLimitedError(WaitError):
    """Too many requests: by us, or by all guests together, who share one allowance."""


class ServerUnavailableError(WaitError):
    """An internal error, maintenance, or an overloaded front server. `incident_id` is what their logs know it by."""

    def __init__(
        self, message: str, *, remedy: str = "", retry_after: float | None = None, incident_id: str | None = None
    ) -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.incident_id = incident_id


class LinkExpiredError(ArchiveError):
    """A presigned link was refused by the object store; a new one is asked for at the same position."""

    retryable = True


class RangeError(ProtocolError):
    """The server cannot or did not send the piece that was asked for; the whole is asked for instead."""

    retryable = True


class ReplacedError(DigestMismatchError):
    """The archive now states another size or digest for a locked file: its bytes are no longer available there."""

    runbook = "withdrawn-upstream"


class UnverifiableError(ArchiveError):
    """The archive states neither size nor digest, so nothing could be held against anything."""

    runbook = "wrong-bytes"


class OfflineError(ArchiveError):
    """Something is not stored, and no archive may be asked."""

    runbook = "not-made"


CONCERNS_THE_ARCHIVE = (
    NetworkError, WaitError, BlockedByWafError, TlsError, ProxyRefusedError, BadTokenError, EndpointBlockedError,
)  # fmt: skip
"""Answers to one request that the archive would give to the next one too; any other concerns one dataset or file."""
