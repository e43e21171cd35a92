"""The release that a person names by its key or as `latest`: one meaning for reading, one for making, in one place.

- Who reads (`open_release`, export, link, pull, verify) chooses among the *published* releases, those whose lock stands
  in the storage: `latest` is the newest of them. A release that was announced an hour ago is not it yet.
- Who makes (`materialize`, the quarterly schedule) chooses among the *registered* releases: `latest` is the newest that
  the archive was seen to offer.

Belongs here: these two. Does not belong here: the order of keys and what is raised (`releases`).
"""

from __future__ import annotations

from cm4ai_assets.errors import NotMaterializedError, ReleaseKeyError
from cm4ai_assets.releases import LATEST, choose
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

LOCK = "release_files"


def published_releases(store: Store) -> list[str]:
    """Keys of the releases whose lock is published."""
    return [part.release for part in store.partitions(LOCK)]


def registered_releases(store: Store) -> list[str]:
    """Keys of the registered releases, oldest first."""
    return [record.key for record in ReleaseRegistry(store).all()]


def release_to_read(store: Store, key: str) -> str:
    """The published release that is meant.

    Raises:
        NotMaterializedError: It is registered and not published, or none is published and `latest` is asked for.
        UnknownReleaseError: It is no known release; the message names those that are published.
    """
    published = published_releases(store)
    nothing = NotMaterializedError(
        f"No release is published in {store.location('')}.", remedy="Run `cm4ai materialize --release latest`."
    )
    if key not in {LATEST, *published} and key in registered_releases(store):
        raise NotMaterializedError(
            f"Release {key} is registered and not published in {store.location('')}.",
            remedy=f"Run `cm4ai materialize --release {key}`. Published: {', '.join(published) or 'none'}.",
        )
    return choose(key, published, none=nothing)


def release_to_make(store: Store, key: str) -> str:
    """The registered release that is meant.

    Raises:
        ReleaseKeyError: None is registered and `latest` is asked for.
        UnknownReleaseError: It is not registered; the message names those that are.
    """
    nothing = ReleaseKeyError(
        "No release is registered.", remedy="`cm4ai releases --register` asks the archive and registers them."
    )
    return choose(key, registered_releases(store), none=nothing)
