"""The release that the documents describe, laid out once for each test process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.publication.crate import Facts, build, facts_of
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.publication import makings
from cm4ai_assets_tests.publication.releases import delivery_of, described, few, place


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Two conditions with a store, splits, coverage and datasheets. Only to be read."""
    return described(tmp_path_factory.mktemp("described"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Four tables, of which descriptions are quickly made and read back. Only to be read."""
    return few(tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="session")
def made(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release with a run for everything but the splits, and a person whose name its crates state."""
    found = copied(release, tmp_path_factory.mktemp("made"))
    row = {"crate_file": "c.json", "position": 0, "entity_id": "https://orcid.org/0000-0003-4060-7360",
           "name": "T Clark", "entity_type": "Person", "types": ["Person"], "stated_types": ["Person"]}  # fmt: skip
    lists = {column.name: [] for column in tables.table("crate_entities").own_columns if "List" in column.type_name}
    flags = {"is_crate": False, "is_root": False, "is_embargoed": False, "extra_keys": 0}
    own = {**lists, **flags, **row}
    place(found, "crate_entities", tables.table("crate_entities").from_rows([own], release=found.key).drop("release"))
    makings.note_runs(found, without=["splits"])
    return found


@pytest.fixture(scope="session")
def facts(made: Release) -> Facts:
    """What its crates are made of, with three licences and one that is not stated."""
    stated = {"massive_files": "CC0 1.0", "guide_library": "CC BY 4.0", "if_fields": "CC BY-NC-SA 4.0"}
    licensed = [
        replace(one, credit={**one.credit, "version": "2.0", "license": stated[one.name]})
        if one.name in stated
        else one
        for one in delivery_of(made)
    ]
    return facts_of(made, licensed)


@pytest.fixture(scope="session")
def files(facts: Facts) -> dict[str, bytes]:
    """The files of its derived crate, for a folder laid out like the storage."""
    return build(facts)
