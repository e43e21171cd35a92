"""Evidence of bytes that are not the published ones: what came, from where, and what was wrong with it.

    quarantine/{key}-{digest of what is kept}.json      the answer, without secrets; the same fault again replaces it
    quarantine/{sha256}.bytes                           the bytes, once whatever they came for

Belongs here: what is kept, for how long and how much of it. Does not belong here: noticing (`download`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cm4ai_assets.storage.disk import make_folder, typed_disk_errors, write_whole
from cm4ai_assets.transfer.redaction import bytes_without_secrets, shown_headers, without_secrets
from cm4ai_assets.transfer.wanted import Wanted

QUARANTINE = "quarantine"
"""The folder of evidence, below the scratch folder."""

KEEP_LIMIT = 64 * 1024 * 1024
"""Wrong bytes are kept up to this size; of larger ones their digests and beginning say enough."""

AGE_LIMIT = 90 * 24 * 3600.0
"""Seconds after which evidence is removed."""

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes of all evidence together; the oldest is removed first."""


@dataclass(frozen=True)
class Evidence:
    """What is written down about an answer that did not fit, without secrets."""

    source: str
    url: str
    headers: Mapping[str, str]
    problem: str


class Quarantine:
    """A folder of evidence.

    Args:
        folder: Where it is; made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        wanted: Wanted,
        evidence: Evidence,
        *,
        beginning: bytes,
        size: int | None,
        digests: Mapping[str, str] | None,
        content: Path | None,
    ) -> Path:
        """Keep evidence, and as much of what is older as the limits allow; the path of its JSON.

        Args:
            wanted: What was asked for.
            evidence: The answer that came.
            beginning: Its first bytes.
            size: How many bytes arrived; None where they were refused before.
            digests: What they digest to; None where they were refused before they were all there.
            content: A file with all of them; None where they are not kept.
        """
        data = content.read_bytes() if content else None
        digest = (digests or {}).get("SHA-256") or hashlib.sha256(beginning if data is None else data).hexdigest()
        shown = bytes_without_secrets(beginning)
        report: dict[str, Any] = {
            "problem": without_secrets(evidence.problem),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": evidence.source,
            "url": without_secrets(evidence.url),
            "headers": shown_headers(evidence.headers),
            "wanted": asdict(wanted),
            "arrived": {"size": size, "digests": dict(digests or {})},
            "first_bytes": {"hex": shown.hex(), "text": shown.decode("utf-8", "replace")},
            "bytes": f"{digest}.bytes" if data is not None else None,
        }
        path = self._folder / f"{wanted.key}-{digest[:20]}.json"
        with typed_disk_errors(self._folder):
            make_folder(self._folder)
            if data is not None:
                write_whole(self._folder / f"{digest}.bytes", bytes_without_secrets(data))
            write_whole(path, json.dumps(report, indent=1, ensure_ascii=False).encode("utf-8", "replace"))
            self.prune(spare=path)
        return path

    def prune(self, *, spare: Path | None = None) -> None:
        """Remove what is too old, and then the oldest until the rest is within the limit; `spare` stays."""
        found = []
        for path in self._folder.glob("*"):
            with suppress(OSError):  # another process removes it at this moment
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total, now = sum(size for _, size, _ in found), time.time()
        for modified, size, path in sorted(found):
            if path != spare and (now - modified > AGE_LIMIT or total > SIZE_LIMIT):
                path.unlink(missing_ok=True)
                total -= size
