"""What the crates of a release claim, held against the archive's lock and against each other.

Belongs here: checks of `crate_entities` and `crate_edges` that warn, one function each. Does not belong here:
datasheets (`datasheet_claims`), provenance pages (`provenance`), the crate in an image ZIP against that ZIP
(`images.crates`).

The archive's word wins: a claim that disagrees is reported, never used. The claims are copied from release to release:
the crates of June 2025 and June 2026 carry digests of March 2025, some of them those of other data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import polars as pl

from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.conditions import Condition
from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.identifiers import ANTIBODY, CELLOSAURUS, ENSEMBL_GENE, UNIPROT, doi_in, is_size, same_doi
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.vocabulary import CellLine, Modality, Role

Row = tuple[str, str, str, str, str]
COLUMNS = ("source", "about", "claim", "stated", "actual")

_DATAVERSE_DOI = "10.18130/"
_MALFORMED_DOI = re.compile(r"doi\.org/doi:", re.IGNORECASE)
# Parts of one modality that `archives.dataverse.recognition` does not tell apart.
_PARTS = {
    "raw sequences": re.compile(r"\bsra\b|raw[ _-]seq", re.IGNORECASE),
    "cell atlas": re.compile(r"cell[ _-]atlas", re.IGNORECASE),
}
_IDENTIFIER_FORMS: dict[str, Callable[[str], bool]] = {
    "hpa antibody id": ANTIBODY.fits,
    "ensembl": ENSEMBL_GENE.fits,
    "uniprot": UNIPROT.fits,
    "rrid": lambda text: CELLOSAURUS.fits(text) or "CVCL" not in text.upper(),  # of cell lines; others are let pass
}


@dataclass(frozen=True)
class Published:
    """A release as the archive has it: its lock (`release_files`) and, where it is known, its record."""

    files: pl.DataFrame
    record: ReleaseRecord | None = None

    @property
    def name(self) -> str:
        """The release key, as the lock states it."""
        return str(self.files["release"].first())

    @property
    def doi(self) -> str:
        """Persistent id of the dataset, with its scheme."""
        return str(self.files["doi"].first())

    @property
    def version(self) -> str:
        """Dataverse version."""
        return str(self.files["version"].first())


@dataclass(frozen=True)
class Claims:
    """What the checks look at: the crates of a release, its lock, and the locks of releases before it."""

    entities: pl.DataFrame
    edges: pl.DataFrame
    release: Published
    earlier: Sequence[Published] = ()

    @property
    def stubs(self) -> pl.DataFrame:
        """Crates that stand for themselves or are described in another crate, the release's own root left out."""
        return self.entities.filter(pl.col("is_crate") & ~pl.col("is_root"))


@dataclass(frozen=True)
class Subject:
    """What a file or a crate is about, as far as its path shows."""

    modality: Modality | None
    condition: Condition | None
    cell_line: CellLine | None
    part: str | None

    def differs(self, other: Subject) -> bool:
        """They are about different things, by something both tell."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return any(mine is not None and its is not None and mine != its for mine, its in pairs)

    def __str__(self) -> str:
        return ", ".join(part for part in vars(self).values() if part) or "unknown"


def subject_of(path: str) -> Subject:
    """What a path is about; a folder's crate as if its path were flattened into a name, as Dataverse had it done."""
    known = recognise("", flattened(path))
    if known.rule is None:
        where = PurePosixPath(path)
        known = recognise(str(where.parent) if where.parent.name else "", where.name)
    part = next((part for part, pattern in _PARTS.items() if pattern.search(path)), None)
    return Subject(known.modality, known.condition, known.cell_line, part)


def flattened(path: str) -> str:
    """The name a crate's file gets when its folders become a prefix: `mass-spec-iPSCs-ro-crate-metadata.json`."""
    return path.strip("/").replace("/", "-")


def crate_digests(claims: Claims) -> Finding:
    """Digests in crates are those of what they describe. Protects from verifying bytes with another file's digest."""
    here = _by_digest(claims.release.files)
    before = [(one.name, _by_digest(one.files)) for one in claims.earlier]
    rows: list[Row] = []
    of_others = 0
    for entity in claims.entities.filter(pl.col("md5").is_not_null()).iter_rows(named=True):
        md5, where = entity["md5"], entity["metadata_file"] or (entity["crate_file"] if entity["is_root"] else "")
        actual = _verdict(md5, subject_of(where), here, before, is_crate=entity["is_crate"])
        if actual is not None:
            rows.append((entity["crate_file"], _called(entity), "md5", md5, actual))
        elif md5 not in here:
            of_others += 1
    summary = f"{len(rows)} digests in crates are not those of what they describe"
    return finding("crate_digests", rows, f"{summary}; {of_others} others are of files kept elsewhere, not compared")


def _verdict(
    md5: str, mine: Subject, here: dict[str, str], before: Iterable[tuple[str, dict[str, str]]], *, is_crate: bool
) -> str | None:
    """What is wrong with a claimed digest, None if nothing or if the content is not in this archive at all."""
    if md5 in here:
        return f"of {here[md5]}, which is something else" if mine.differs(subject_of(here[md5])) else None
    for release, files in before:
        if md5 in files:
            other = mine.differs(subject_of(files[md5]))
            return f"of {files[md5]} in {release}{', which is something else' if other else ', since replaced'}"
    return "of no file of any known release" if is_crate else None


def crate_digests_distinct(claims: Claims) -> Finding:
    """No two things in the crates have one digest. Protects from taking one deposit for another."""
    claimed = claims.entities.filter(pl.col("md5").is_not_null() & pl.col("entity_id").is_not_null())
    shared = (
        claimed.group_by("md5", maintain_order=True)
        .agg(pl.col("entity_id").unique(maintain_order=True), pl.col("crate_file").first())
        .filter(pl.col("entity_id").list.len() > 1)
    )
    rows = [(source, ids[0], "md5", md5, f"also of {', '.join(ids[1:])}") for md5, ids, source in shared.iter_rows()]
    return finding("crate_digests_distinct", rows, f"{len(rows)} digests are claimed for more than one thing")


def crate_dois(claims: Claims) -> Finding:
    """Crates name the DOI they were published under, well formed. Protects from citing another release."""
    expected = doi_in(claims.release.doi) or claims.release.doi
    rows: list[Row] = []
    for entity in claims.entities.filter(pl.col("is_crate")).iter_rows(named=True):
        stated = [(identifier["name"] or "identifier", identifier["value"]) for identifier in entity["identifiers"]]
        for claim, text in [*stated, ("citation", _extra_text(entity["extra"], "citation"))]:
            doi = doi_in(text)
            if _MALFORMED_DOI.search(text):
                rows.append((entity["crate_file"], _called(entity), claim, text, f"should be https://doi.org/{doi}"))
            elif doi is not None and doi.upper().startswith(_DATAVERSE_DOI) and not same_doi(doi, expected):
                rows.append((entity["crate_file"], _called(entity), claim, doi, expected))
    return finding("crate_dois", rows, f"{len(rows)} DOIs in crates are malformed or those of another release")


def crate_version(claims: Claims) -> Finding:
    """The release crate has the version of the dataset. Protects from taking one version for another."""
    holds_others = claims.stubs.group_by("crate_file").len().filter(pl.col("len") > 1)["crate_file"]
    of_release = claims.entities.filter(pl.col("is_root") & pl.col("crate_file").is_in(holds_others.implode()))
    rows = [
        (entity["crate_file"], _called(entity), "version", entity["version"], claims.release.version)
        for entity in of_release.iter_rows(named=True)
        if entity["version"] is not None and entity["version"] != claims.release.version
    ]
    return finding("crate_version", rows, f"{len(rows)} release crates state another version than the archive")


def crate_sizes(claims: Claims) -> Finding:
    """Sizes in crates are those of the archives they describe. Protects from planning for what was there once."""
    archives = claims.release.files.filter(pl.col("role") == Role.IMAGES)
    rows: list[Row] = []
    for stub in claims.stubs.filter(pl.col("stated_content_size").is_not_null()).iter_rows(named=True):
        mine = subject_of(stub["metadata_file"] or "")
        if mine.modality is not Modality.IF:
            continue  # of the others the content is elsewhere: in MassIVE, SRA, Figshare
        for file in archives.filter(pl.col("file_condition") == mine.condition).iter_rows(named=True):
            if not is_size(stub["stated_content_size"], file["size"]):
                actual = f"{file['size']:,} bytes ({_path(file)})"
                rows.append((stub["crate_file"], _called(stub), "contentSize", stub["stated_content_size"], actual))
    return finding("crate_sizes", rows, f"{len(rows)} sizes in crates are not those of the archives they describe")


def crate_files(claims: Claims) -> Finding:
    """Where stubs say their crate is, there is one. Protects from looking for files under names they do not have."""
    paths = {_path(file) for file in claims.release.files.iter_rows(named=True)}
    labels = {path.rsplit("/", 1)[-1]: path for path in paths}
    rows: list[Row] = []
    for stub in claims.stubs.filter(pl.col("metadata_file").is_not_null()).iter_rows(named=True):
        pointer = stub["metadata_file"]
        if pointer not in paths:
            real = labels.get(flattened(pointer))
            actual = "no such file is published" if real is None else f"published as {real}"
            rows.append((stub["crate_file"], _called(stub), "ro-crate-metadata", pointer, actual))
    return finding("crate_files", rows, f"{len(rows)} pointers to crates name no published file")


def crate_parts(claims: Claims) -> Finding:
    """The crates in a release crate are its parts. Protects those that read `hasPart` from missing one."""
    rows: list[Row] = []
    for (source,), entities in claims.entities.group_by(["crate_file"], maintain_order=True):
        root = entities.filter("is_root")
        if root.is_empty():
            continue
        stated = claims.edges.filter((pl.col("crate_file") == source) & (pl.col("relation") == "has_part"))
        parts = set(stated.filter(pl.col("source_id") == root["entity_id"].first())["target_id"])
        rows += [
            (str(source), _called(stub), "hasPart", "not among the parts of the root", "in the graph")
            for stub in entities.filter(pl.col("is_crate") & ~pl.col("is_root")).iter_rows(named=True)
            if stub["entity_id"] not in parts
        ]
    return finding("crate_parts", rows, f"{len(rows)} crates are in the graph but not among the parts of its root")


def crate_inverses(claims: Claims) -> Finding:
    """What a thing says made it, and what says to have made it, are the same. Protects lineage from a second maker."""
    edges = claims.edges.filter(pl.col("source_id").is_not_null())
    makers = edges.filter(pl.col("relation") == "generated_by").select(thing="source_id", maker="target_id").unique()
    rows_of = edges.filter(pl.col("relation") == "generated").select("crate_file", thing="target_id", maker="source_id")
    unsaid = (
        rows_of.join(makers.select("thing").unique(), on="thing", how="semi")
        .join(makers, on=["thing", "maker"], how="anti")
        .join(makers.group_by("thing").agg(pl.col("maker").sort()), on="thing", suffix="_own")
        .sort("crate_file", "thing", "maker")
    )
    rows = [
        (source, thing, "generatedBy", ", ".join(own), f"{maker} claims to have generated it")
        for source, thing, maker, own in unsaid.select("crate_file", "thing", "maker", "maker_own").iter_rows()
    ]
    return finding("crate_inverses", rows, f"{len(rows)} things are claimed by a maker they do not name")


def crate_targets(claims: Claims) -> Finding:
    """What crates refer to is described in a crate of the release. Protects lineage from ending in mere ids."""
    dangling = claims.edges.filter(~pl.col("target_known") & ~pl.col("relation").is_in(["conforms_to", "part_of"]))
    counts = dangling.group_by("crate_file", "relation", maintain_order=True).agg(
        pl.col("target_id").n_unique().alias("targets"), pl.col("target_id").first()
    )
    rows = [
        (source, example, relation, f"{targets:,} targets", "described by no crate of this release")
        for source, relation, targets, example in counts.iter_rows()
    ]
    total = dangling["target_id"].n_unique()
    return finding("crate_targets", rows, f"{total:,} things are referred to that no crate of the release describes")


def crate_identifiers(claims: Claims) -> Finding:
    """Identifiers have the form of their kind. Protects joins with other databases from finding nothing."""
    rows = [
        (entity["crate_file"], _called(entity), identifier["name"], identifier["value"], "not of this form")
        for entity in claims.entities.filter(pl.col("identifiers").list.len() > 0).iter_rows(named=True)
        for identifier in entity["identifiers"]
        if _is_malformed(identifier["name"], identifier["value"])
    ]
    # `…-data-release,` in every `isPartOf` of 2026.
    commas = claims.edges.filter(pl.col("stated_target").str.ends_with(",")).unique(
        "stated_target", maintain_order=True
    )
    rows += [
        (edge["crate_file"], edge["source_id"] or "", edge["key"], edge["stated_target"], edge["target_id"])
        for edge in commas.iter_rows(named=True)
    ]
    return finding("crate_identifiers", rows, f"{len(rows)} identifiers are malformed")


def _is_malformed(name: str | None, value: str) -> bool:
    has_form = _IDENTIFIER_FORMS.get((name or "").lower())
    return has_form is not None and not all(has_form(part.strip()) for part in re.split(r"[;,]", value))


CHECKS: tuple[Callable[[Claims], Finding], ...] = (
    crate_digests, crate_digests_distinct, crate_dois, crate_version, crate_sizes, crate_files, crate_parts,
    crate_inverses, crate_targets, crate_identifiers,
)  # fmt: skip


def contradictions(claims: Claims) -> list[Finding]:
    """What every check says."""
    return [check(claims) for check in CHECKS]


def finding(check: str, rows: Sequence[Row], summary: str) -> Finding:
    """What a check found, from its rows: passed if there are none."""
    frame = pl.DataFrame(rows[:ROWS_SHOWN], schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    return Finding(check, not rows, summary if rows else "nothing found", frame, {"rows": len(rows)})


def _by_digest(files: pl.DataFrame) -> dict[str, str]:
    """MD5 to path, of the files of a lock."""
    with_md5 = files.filter(pl.col("digest_type") == "MD5")
    return {file["digest"]: _path(file) for file in with_md5.iter_rows(named=True)}


def _path(file: dict[str, str]) -> str:
    return f"{file['directory']}/{file['label']}" if file["directory"] else file["label"]


def _called(entity: dict[str, str]) -> str:
    return entity["entity_id"] or entity["name"] or "an entity without id"


def _extra_text(extra: str | None, key: str) -> str:
    """A text in `extra`, empty if it has none under that key."""
    value = json.loads(extra).get(key) if extra else None
    return value if isinstance(value, str) else ""
