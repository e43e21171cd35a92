"""The id of a storage and the version of its layout, written once: which storage it is, and who can use it.

Belongs here: reading and writing both, and refusing a layout of which this version knows nothing. Does not belong here:
who is bound to the id (`defs.binding`), and the layout itself (`layout`).

A storage that states no version has the first. A version that changes the layout raises `layout.VERSION` and brings
the way from the one before; so far there is one (docs/upgrading.md).
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage import layout

if TYPE_CHECKING:
    from cm4ai_assets.storage.store import Store

_FIRST: Final = 1
"""The layout version of a storage that states none."""


def storage_id(store: Store) -> str | None:
    """The id of a storage; None if it has none yet.

    Raises:
        ConfigurationError: The file that holds it is not readable as such.
    """
    try:
        return str(json.loads(store.read(layout.IDENTITY))["id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{store.location(layout.IDENTITY)} does not hold the id of this storage.",
            remedy="Remove that file; the next command writes it again.",
        ) from error


def ensure_storage_id(store: Store) -> str:
    """The id of a storage, given to it now if it has none.

    Raises:
        ConfigurationError: See `storage_id`.
    """
    known = storage_id(store)
    if known is not None:
        return known
    created = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"id": uuid.uuid4().hex, "created": created, "layout": layout.VERSION}
    with suppress(FileExistsError):  # of two that are given at once the first one counts, for both
        store.staging.create((json.dumps(made) + "\n").encode(), layout.IDENTITY)
    return storage_id(store) or str(made["id"])


def layout_version(store: Store) -> int | None:
    """The version of a storage's layout; that of this software where the storage is new, None where it is not known."""
    try:
        stated = json.loads(store.read(layout.IDENTITY))
        return int(stated.get("layout", _FIRST))
    except FileNotFoundError:
        return layout.VERSION
    except (ValueError, TypeError, AttributeError):
        return None


def require_known_layout(store: Store) -> None:
    """See that this version of the software knows the layout of a storage. Who opens one calls this first.

    A record that cannot be read is no reason here: who writes is refused by `storage_id`.

    Raises:
        ConfigurationError: It does not.
    """
    stated = layout_version(store)
    if stated not in {None, layout.VERSION}:
        raise ConfigurationError(
            f"{store.location('')} has the layout version {stated}; this version of cm4ai_assets knows version "
            f"{layout.VERSION}.",
            remedy="Install the version of cm4ai_assets that wrote it, or a newer one: see docs/upgrading.md.",
        )
