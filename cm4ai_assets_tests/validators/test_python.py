"""The validators find what is wrong: a verdict of theirs is worth nothing before they were seen to refuse."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets_tests.validators.python import (
    PROCESS_RUN,
    RO_CRATE,
    bagit_problems,
    cff_problems,
    fairscape_accepts,
    fairscape_problems,
    ro_crate_context,
    ro_crate_py_problems,
    run_roc_validator,
)

pytestmark = pytest.mark.timeout(900)  # the first of them may make the environment

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"


def crate(**root: Any) -> dict[str, Any]:
    known = {
        "@id": "./", "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"], "name": "A crate", "description": "Nothing.",
        "datePublished": "2026-06-17", "license": LICENCE, "keywords": ["nothing"], "version": "1", "author": "Nobody",
        "conformsTo": {"@id": PROFILE}, "hasPart": [],
    }  # fmt: skip
    return {
        "@context": "https://w3id.org/ro/crate/1.2/context",
        "@graph": [
            {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
             "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"}},
            {**known, **root},
            {"@id": PROFILE, "@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.5"},
            {"@id": LICENCE, "@type": ["CreativeWork", "WebPage"], "name": "CC BY 4.0"},
        ],
    }  # fmt: skip


def written(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "ro-crate-metadata.json").write_text(json.dumps(content))
    return folder


def test_roc_validator_says_what_is_wrong_with_which_crate_and_asks_no_network(tmp_path: Path) -> None:
    wrong = crate(datePublished="once", noSuchTerm="x", conformsTo={"@id": "https://w3id.org/ro/crate/1.2"})
    folder = written(tmp_path / "wrong", wrong)

    found = run_roc_validator([written(tmp_path / "sound", crate()), folder], RO_CRATE)

    assert {one.partition(":")[0] for one in found} == {"wrong"}
    assert all(any(says in one for one in found) for says in ("datePublished", "noSuchTerm"))
    # Of the root, too: without the profiles that it inherits, the one of runs would not know which entity that is.
    assert any("versioned permalink" in one for one in run_roc_validator(folder, PROCESS_RUN))


def test_the_context_that_they_are_given_is_the_published_one(shared: Path) -> None:
    published = json.loads((shared / "data" / "contexts" / "1.2.jsonld").read_text())

    assert ro_crate_context() == published["@context"]


def test_fairscape_wants_a_dict_as_context_and_ids_that_persist(tmp_path: Path) -> None:
    content = {**crate(), "@context": {"@vocab": "https://schema.org/"}}
    content["@graph"] = content["@graph"][:2]
    sound = written(tmp_path / "sound", content) / "ro-crate-metadata.json"
    assert fairscape_accepts(sound)
    local = {
        "@id": "a.parquet", "@type": ["File", "https://w3id.org/EVI#Dataset"], "name": "a", "author": "Nobody",
        "description": "Ten letters.", "datePublished": "2026-06-17", "keywords": [], "format": "x",
    }  # fmt: skip
    content["@graph"] = [*content["@graph"], local]
    refused = written(tmp_path / "local", content) / "ro-crate-metadata.json"
    assert not fairscape_accepts(refused)
    assert any("pattern" in one for one in fairscape_problems([sound, refused]))


def test_ro_crate_py_opens_only_flat_crates(tmp_path: Path) -> None:
    nested = crate(additionalProperty=[{"@type": "PropertyValue", "name": "x", "value": "y"}])

    found = ro_crate_py_problems([written(tmp_path / "flat", crate()), written(tmp_path / "nested", nested)])

    assert [one.partition(":")[0] for one in found] == ["nested"]


def test_cff_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "CITATION.cff"
    path.write_text("cff-version: 1.2.0\nmessage: x\ntitle: y\nauthors:\n- name: z\ndate-released: 2026-01-01\n")
    assert cff_problems(path) == []
    path.write_text("cff-version: 1.2.0\nmessage: x\nauthors: []\ndate-released: 2026-13-01\n")
    found = cff_problems(path)
    assert any("title" in one for one in found)
    assert any(one.startswith("authors: ") for one in found)
    assert any(one.startswith("date-released: ") for one in found)


def test_bagit_reads_every_file_of_a_bag(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    (tmp_path / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (tmp_path / "manifest-sha256.txt").write_text(f"{hashlib.sha256(b'a').hexdigest()}  data/a.txt\n")
    assert bagit_problems(tmp_path) == []
    (tmp_path / "data" / "a.txt").write_text("b")
    assert any("data/a.txt" in one for one in bagit_problems(tmp_path))
