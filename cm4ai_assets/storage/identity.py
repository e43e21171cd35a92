"""The id of a storage: written once, so that others can say which storage they belong to, wherever it is moved.

Belongs here: reading and writing that id. Does not belong here: who is bound to it (`defs.binding`).
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.store import Store


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
    made = {"id": uuid.uuid4().hex, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    with suppress(FileExistsError):  # of two that are given at once the first one counts, for both
        store.staging.create((json.dumps(made) + "\n").encode(), layout.IDENTITY)
    return storage_id(store) or made["id"]
