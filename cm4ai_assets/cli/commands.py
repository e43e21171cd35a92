"""The commands by module, and what each is for.

Belongs here: what `cm4ai --help` shows, so that it imports no command. Does not belong here: arguments, which each
module adds to its own parser (`add_to`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "releases": {"releases": "what the archive offers, what is registered, what is materialized"},
    "status": {"status": "the state of everything: releases, checks, disk, what needs a person, what waits"},
    "materialize": {"materialize": "materialize a release through Dagster"},
    "pull": {"pull": "fetch large files that the archives hold, which nothing else does"},
    "stored": {
        "verify": "re-read what is stored and re-check every digest and table",
        "withdraw": "take a damaged blob, table or tensor out of the storage",
        "link": "the stored files of a release under their published names",
    },
    "gc": {"gc": "what of the storage nobody needs, and with --apply its removal"},
    "trace": {"trace": "where a row or a file comes from, and what was made of a published file"},
    "export": {"export": "a release for other tools: lists of files, image folders, WebDataset and others"},
    "publish": {"publish": "a release as a folder to deposit: tables, tensors, descriptions, checksums"},
    "rebuild": {"rebuild": "make the Dagster instance again from the storage: partitions, materializations, checks"},
    "backup": {"backup": "copy the storage and the Dagster instance into a folder, whole, while the UI goes on"},
    "migrate": {"migrate": "copy the Dagster instance of one machine into the database of CM4AI_DATABASE"},
    "alerts": {"alerts": "what needs a person now; `alerts test` sends a test message"},
    "sandbox": {"sandbox": "the embedded archive"},
}
"""Module to its commands, in the order in which help shows them; each with one line of help."""

HELP: Final[Mapping[str, str]] = {name: text for named in COMMANDS.values() for name, text in named.items()}
"""Command to its line of help."""
