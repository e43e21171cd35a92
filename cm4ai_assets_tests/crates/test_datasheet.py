from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest

from cm4ai_assets.crates import d4d, loose_yaml
from cm4ai_assets.crates.datasheet import Document, carried_over, datasheet_table, read_document
from cm4ai_assets.crates.loose_yaml import read_yaml
from cm4ai_assets.crates.mending import read_json
from cm4ai_assets.crates.statements import Statement, from_json
from cm4ai_assets.tables.crates import RELEASE_DATASHEET
from cm4ai_assets_tests.crates.d4d_compact import as_text, compact
from cm4ai_assets_tests.crates.twins import RELEASE, crate

# A datasheet with every quirk of the one of June 2025 (metadata reference, section 3).
QUIRKS = """\
=== YAML Fixing Applied ===
id: "doi:10.18130/V3/F3TD5R"
title: Maps — by Bélisle
doi: "doi:10.18130/V3/F3TD5R"
issued: 2025-07-01
version: "2.0"
license: CC BY-NC-SA 4.0
created_by:
  - CM4AI Consortium
is_tabular: "no"
is_deidentified:
  description:
    - Human Subjects: No; De-identified Samples: Yes.
    - FDA Regulated: No.
acquisition_methods:
  - was_directly_observed: Yes
    was_inferred_derived: Limited; downstream analyses may infer.
discouraged_uses:
  - description:
      - Prohibited: Use in clinical decision-making.
ethical_reviews:
  - description: Jillian Parker (jillianparker@health.ucsd.edu)
errata:
  - description: some datasets under temporary pre-publication embargo.
subsets:
  - name: a.zip
    md5: 0d972b80744344ddeede516a0cf6e3d7
    format: JSON
    is_data_split: no
"""


def table(kind: str, data: str | bytes, source: str = "datasheet") -> pl.DataFrame:
    content = data if isinstance(data, bytes) else data.encode()
    frame = datasheet_table([Document(source, kind, content)], release=RELEASE)
    assert RELEASE_DATASHEET.violations(frame) == []
    return frame


def by_field(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["field"]: row for row in frame.iter_rows(named=True)}


def test_every_quirk_is_read_and_told_at_its_line() -> None:
    rows = by_field(table("d4d", QUIRKS))
    assert (rows[""]["line"], rows[""]["deviations"]) == (1, ["banner"])
    assert rows["title"]["value"] == "Maps — by Bélisle"
    assert rows["doi"]["deviations"] == ["wrong_pattern"]
    assert (rows["issued"]["value"], rows["issued"]["value_type"], rows["issued"]["deviations"]) == (
        "2025-07-01", "date", [],
    )  # fmt: skip
    assert (rows["created_by"]["line"], rows["created_by"]["deviations"]) == (8, ["wrong_type"])
    assert (rows["is_tabular"]["truth"], rows["is_tabular"]["deviations"]) == (False, ["wrong_type"])
    fatal, silent = rows["is_deidentified.description[0]"], rows["is_deidentified.description[1]"]
    assert (fatal["value"], fatal["line"]) == ("Human Subjects: No; De-identified Samples: Yes.", 13)
    assert (silent["value"], silent["line"]) == ("FDA Regulated: No.", 14)
    assert fatal["deviations"] == silent["deviations"] == ["quoted"]
    observed = rows["acquisition_methods[0].was_directly_observed"]
    assert (observed["value"], observed["value_type"], observed["truth"]) == ("Yes", "boolean", True)
    prose = rows["acquisition_methods[0].was_inferred_derived"]
    assert (prose["truth"], prose["deviations"]) == (None, ["wrong_type", "yes_no_text"])
    assert rows["subsets[0].md5"]["deviations"] == ["unknown_slot"]
    assert rows["subsets[0].id"]["value_type"] == "absent"
    assert rows["subsets[0].is_data_split"]["truth"] is False


def test_licence_prohibitions_embargoes_contacts_and_citation_survive() -> None:
    root = crate(root_says={
        "license": "https://creativecommons.org/licenses/by-nc-sa/4.0/", "contactEmail": "tideker@health.ucsd.edu",
        "citation": "Twin T, 2025", "additionalProperty": [
            {"@type": "PropertyValue", "name": "Prohibited Uses", "value": "not in clinical decision-making"},
            {"@type": "PropertyValue", "name": "Completeness", "value": "some under temporary embargo"},
        ],
    })  # fmt: skip
    landing = {"@type": "Dataset", "license": "http://creativecommons.org/licenses/by-nc-sa/4.0", "version": "2"}
    documents = [
        Document("d4d", "d4d", QUIRKS.encode()),
        Document("root", "crate_root", json.dumps(root).encode()),
        Document("page", "landing_page", json.dumps(landing).encode()),
    ]
    kept = carried_over(datasheet_table(documents, release=RELEASE))
    assert kept["license"] == [
        "http://creativecommons.org/licenses/by-nc-sa/4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "CC BY-NC-SA 4.0",
    ]  # fmt: skip
    assert kept["prohibited_use"] == [
        "not in clinical decision-making", "Prohibited: Use in clinical decision-making.",
    ]  # fmt: skip
    assert kept["contact"] == ["tideker@health.ucsd.edu", "Jillian Parker (jillianparker@health.ucsd.edu)"]
    assert kept["citation"] == ["Twin T, 2025"]
    assert len(kept["embargo"]) == 2


def test_a_landing_page_as_html() -> None:
    page = '<html><script type="application/ld+json">{"name": "X", "distribution": [{"md5": "a"}]}</script></html>'
    rows = by_field(table("landing_page", page))
    assert rows["name"]["topics"] == ["title"]
    assert rows["distribution[0].md5"]["topics"] == ["file"]
    assert by_field(table("landing_page", "<html></html>"))[""]["deviations"] == ["not_json"]


def test_a_line_that_quoting_did_not_help_is_kept_as_it_was() -> None:
    frame = table("d4d", "b: 1\n   a: x: y\nc: 2\n")
    (row,) = frame.filter(pl.col("deviations").list.contains("unparsed")).iter_rows(named=True)
    assert (row["line"], row["value"]) == (2, "a: x: y")
    assert by_field(frame)["c"]["value"] == "2"


def test_a_quoted_value_under_an_odd_key_is_a_mapping_and_no_prose() -> None:
    assert by_field(table("d4d", 'l:\n  - Foo: "bar"\n'))["l[0].Foo"]["value"] == "bar"


def test_properties_of_one_name_are_all_kept() -> None:
    twice = [{"name": "Limitations", "value": "one"}, {"name": "Limitations", "value": "two"}]
    frame = table("crate_root", json.dumps(crate(root_says={"additionalProperty": twice})))
    assert {"one", "two"} <= set(frame["value"].drop_nulls())


def script(content: str) -> str:
    return f'<script type="application/ld+json">{content}</script>'


BREADCRUMBS = '{"@type": "BreadcrumbList", "name": "path"}'
DATASET = '{"@type": "sc:Dataset", "name": "X", "version": "2.1"}'


@pytest.mark.parametrize(
    "page",
    [
        script(BREADCRUMBS) + script(DATASET),
        script(DATASET) + script(BREADCRUMBS),
        script(f"[{BREADCRUMBS}, {DATASET}]"),
        script(f'{{"@graph": [{BREADCRUMBS}, {DATASET}]}}'),
    ],
)
def test_a_page_with_several_things_has_its_dataset_at_the_top(page: str) -> None:
    rows = by_field(table("landing_page", f"<html>{page}</html>"))
    assert (rows["name"]["value"], rows["version"]["topics"]) == ("X", ["version"])
    assert rows["beside[0].name"]["value"] == "path"


def test_of_two_datasets_on_a_page_both_are_heard() -> None:
    other = '{"@type": ["Dataset"], "version": "1.0"}'
    rows = by_field(table("landing_page", f"<html>{script('{')}{script(DATASET)}{script(other)}</html>"))
    assert (rows["version"]["value"], rows["beside[0].version"]["value"]) == ("2.1", "1.0")
    assert rows["beside[0].version"]["topics"] == ["version"]
    assert rows[""]["deviations"] == ["not_json"]
    assert rows[""]["detail"].startswith("script 1: not JSON")


def alias_bomb(width: int, depth: int) -> str:
    lines = ["k0: &k0 [x]"]
    lines += [f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(("width", "depth"), [(10, 12), (2, 30), (100, 4), (9, 6)])
def test_aliases_repeat_no_more_than_a_datasheet_can(width: int, depth: int) -> None:
    text = alias_bomb(width, depth)
    frame = table("d4d", text)
    assert frame.height < 2 * loose_yaml.MOST_REPEATED + len(text)
    bounded = frame.filter(pl.col("deviations").list.contains("repeated"))
    assert not bounded.is_empty()
    assert "aliases repeat more than" in bounded["detail"][0]


def test_a_few_aliases_are_followed() -> None:
    frame = table("d4d", "a: &a [1, 2]\n" + "\n".join(f"b{i}: *a" for i in range(100)))
    assert frame.filter(pl.col("field").str.starts_with("b")).height == 300  # each list and its two items
    assert frame.filter(pl.col("deviations").list.contains("repeated")).is_empty()


@pytest.mark.parametrize(
    ("text", "field", "value", "codes"),
    [
        ("a: 1\n\tb: 2\nc: 3\n", "c", "3", {"unparsed"}),
        ("a: x: y\nb: 2\n", "a", "x: y", {"quoted"}),
        ('a: "never ends\nb: 2\n', "b", "2", {"unparsed"}),
        ("a: *nobody\nb: 2\n", "b", "2", {"unparsed"}),
        ("a: 1\na: 2\n", '["a#2"]', "2", {"duplicate_key"}),
        ("a: caf\xe9\n", "a", "caf\ufffd", {"not_utf8"}),
        ("a: b\x00c\n", "a", "b\ufffdc", {"not_utf8"}),
        ("a: &x [1]\nb: [*x, *x]\n", "b[1][0]", "1", set()),
        ("? [odd, key]\n: 1\n", '["[odd, key]"]', "1", set()),
        ("a: !!python/object/apply:os.system ['true']\n", "a[0]", "true", set()),
        ("a: |\n  - Foo: bar; baz: x\nb: 1\n", "a", "- Foo: bar; baz: x\n", set()),
        ("- just\n- a list\n", "[1]", "a list", set()),
        ("plain prose\n", "", "plain prose", set()),
    ],
)
def test_broken_yaml(text: str, field: str, value: str, codes: set[str]) -> None:
    frame = table("d4d", text.encode("latin-1") if "\xe9" in text else text.encode())
    told = set(frame["deviations"].explode().drop_nulls())
    assert by_field(frame)[field]["value"] == value
    assert codes <= told
    assert told - codes <= {"unknown_slot", "missing_slot", "wrong_type"}


def test_what_cannot_be_parsed_is_kept_line_by_line() -> None:
    frame = table("d4d", "a: 1\n}{ nonsense ][\nb: 2\n")
    unparsed = frame.filter(pl.col("deviations").list.contains("unparsed"))
    assert unparsed["value"].to_list() == ["}{ nonsense ]["]
    assert unparsed["line"].to_list() == [2]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "[" * 2_000,
        "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10)}]\n" if i else "k0: &k0 [x]\n" for i in range(12)),
        "a: " + "b" * loose_yaml.LARGEST,
        "\n".join(["x: y: z"] * 3_000),
        "",
        "# nothing\n",
    ],
)
def test_hostile_yaml_ends_soon(text: str) -> None:
    root, notes = read_yaml(text.encode())
    codes = [note.code for note in notes] + [
        code for one in (root.walk() if root else ()) for code, _ in one.deviations
    ]
    assert codes or not text.strip() or text.startswith("#")


def test_the_description_of_d4d_says_what_the_schema_says(shared: Path) -> None:
    schema = json.loads((shared / "data" / "schemas" / "d4d-2.0.0.schema.json").read_text())
    bundled = Path(d4d.__file__).with_name("d4d.json").read_text()
    assert bundled == as_text(compact(schema)), "make it anew, see d4d_compact.py"


def to_python(statement: Statement) -> Any:
    """The value that a strict YAML 1.1 parser makes of a repaired document, dates being text as in JSON."""
    if statement.kind == "object":
        return {key: to_python(child) for key, child in statement.children.items() if child.kind != "absent"}
    if statement.kind == "list":
        return [to_python(child) for child in statement.children.values()]
    if statement.kind == "boolean":
        return (statement.text or "").lower() in {"yes", "true", "on"}
    if statement.kind == "number":
        return float(statement.text or "0") if "." in (statement.text or "") else int(statement.text or "0")
    return statement.text


def schema_errors(error: Any) -> list[Any]:
    """An error, or those inside an alternative that is not null: the alternatives of D4D are a class or null."""
    inner = [
        one
        for one in error.context or ()
        if one.schema.get("type") != "null" and one.absolute_path != error.absolute_path
    ]
    return [leaf for one in inner for leaf in schema_errors(one)] if inner else [error]


CODES = {
    "additionalProperties": "unknown_slot", "type": "wrong_type", "anyOf": "wrong_type", "required": "missing_slot",
    "pattern": "wrong_pattern", "enum": "not_in_enum",
}  # fmt: skip


def expected(schema: dict[str, Any], instance: Any) -> set[tuple[str, str]]:
    """What a JSON Schema validator finds, as paths and codes."""
    found = set()
    for top in jsonschema.Draft201909Validator({**schema, **schema["$defs"]["Dataset"]}).iter_errors(instance):
        for error in schema_errors(top):
            path = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in error.absolute_path).lstrip(".")
            if error.validator == "additionalProperties":
                names = [name for name in error.instance if name not in error.schema["properties"]]
                found |= {(f"{path}.{name}".lstrip("."), "unknown_slot") for name in names}
            elif error.validator == "required":
                names = [name for name in error.schema["required"] if name not in error.instance]
                found |= {(f"{path}.{name}".lstrip("."), "missing_slot") for name in names}
            else:
                found.add((path, CODES[error.validator]))
    # A list where a word belongs is of the wrong type; that it is no word of the vocabulary either goes without saying.
    return {(path, code) for path, code in found if code != "not_in_enum" or (path, "wrong_type") not in found}


@pytest.mark.parametrize(
    "name",
    ["seed/000_61b72f2c4c8e90b0.txt", "dataverse/june2026_HIGT4C/ro-crate-linkml.yaml", "c2m2/ro-crate-linkml.yaml"],
)
def test_deviations_are_those_a_schema_validator_finds(shared: Path, name: str) -> None:
    schema = json.loads((shared / "data" / "schemas" / "d4d-2.0.0.schema.json").read_text())
    root, _ = read_document(Document(name, "d4d", (shared / "data" / name).read_bytes()))
    assert root is not None
    ours = {(one.path, code) for one in root.walk() for code, _ in one.deviations if code in set(CODES.values())}
    assert ours == expected(schema, to_python(root))


def test_the_real_datasheet_of_june_2025(shared: Path) -> None:
    data = (shared / "data" / "seed" / "000_61b72f2c4c8e90b0.txt").read_bytes()
    frame = table("d4d", data)
    quoted = frame.filter(pl.col("deviations").list.contains("quoted"))["line"].to_list()
    assert quoted == [154, 155, 156, 171, 179, 180, 183, 192, 198, 201, 219, 228, 241, 244]
    counts = dict(frame["deviations"].explode().drop_nulls().value_counts().iter_rows())
    # As a schema validator counts: 57 wrong types and 4 alternatives, 10 missing, 1 pattern.
    assert counts == {
        "banner": 1, "quoted": 14, "wrong_type": 61, "unknown_slot": 46, "missing_slot": 10, "wrong_pattern": 1,
        "yes_no_text": 9,
    }  # fmt: skip
    root, notes = read_yaml(data)
    assert root is not None
    assert len(root.children) == 52
    assert [note.code for note in notes] == ["banner"]


def test_every_real_datasheet_is_read(shared: Path) -> None:
    data = shared / "data"
    documents = [
        Document(str(path.relative_to(data)), kind, path.read_bytes())
        for kind, pattern in (
            ("d4d", "*/*linkml.yaml"), ("d4d", "*/*/*linkml.yaml"), ("crate_root", "rocrate/*.json"),
            ("landing_page", "dataverse/jsonld/*.json"),
        )
        for path in sorted(data.glob(pattern))
    ]  # fmt: skip
    frame = datasheet_table(documents, release=RELEASE)
    assert RELEASE_DATASHEET.violations(frame) == []
    assert set(frame["source"]) == {one.source for one in documents}
    assert not frame["deviations"].list.contains("not_json").any()


def test_json_too_deep_is_told() -> None:
    value: Any = "end"
    for _ in range(60):
        value = [value]
    codes = [code for one in from_json(value).walk() for code, _ in one.deviations]
    assert codes == ["too_deep"]


def test_a_whole_character_in_two_halves_is_not_mended() -> None:
    assert read_json(b'{"a": "\\ud83d\\ude00",}') == ({"a": "\N{GRINNING FACE}"}, None)


def test_a_number_that_is_not_whole_is_no_integer() -> None:
    text = (
        "id: x\nfile_collections:\n  - id: c\n    resources:\n      - {id: f, bytes: 1.5}\n      - {id: g, bytes: 2}\n"
    )
    rows = by_field(table("d4d", text))
    assert rows["file_collections[0].resources[0].bytes"]["deviations"] == ["wrong_type"]
    assert rows["file_collections[0].resources[1].bytes"]["deviations"] == []
