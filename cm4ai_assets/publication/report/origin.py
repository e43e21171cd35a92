"""What a report says of provenance: the published files behind it, the runs, the software."""

from __future__ import annotations

from collections.abc import Iterable

from cm4ai_assets.lineage.published import PublishedFile, PublishedFiles
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.publication.blocks import ABSENT, Block, Content, Mono, Section, Table, Text
from cm4ai_assets.publication.report.subject import Subject
from cm4ai_assets.references import Kind

_FILES_SHOWN, _DIGEST = 60, 12


def provenance(subject: Subject) -> Section:
    """From which published files, by which runs and software."""
    intro = (
        "Everything here is made from files that archives publish. Their bytes are held against the digest that the "
        "archive states, or against their size where it states none, and kept under their SHA-256."
    )
    return Section("Provenance", (Text(intro), *_published(subject), *_runs(subject)))


def _published(subject: Subject) -> list[Block]:
    behind: dict[PublishedFile, set[str]] = {}
    published = PublishedFiles(subject.release.store)
    for one in subject.delivery:
        if one.kind is Kind.TABLE:
            for file in published.inputs(subject.key, one.name, one.partition.condition):
                behind.setdefault(file, set()).add(one.name)
    ordered = sorted(behind, key=lambda file: (file.archive, file.dataset, file.path))
    rows = [_row(file, behind[file]) for file in ordered[:_FILES_SHOWN]]
    more = f" ({_FILES_SHOWN:,} of {len(ordered):,})" if len(ordered) > _FILES_SHOWN else ""
    columns = ["file", "dataset", "size", "published digest", "SHA-256 of the stored bytes", "what is made of it"]
    if not rows:
        return [Text("No delivered table is made of published files alone.")]
    return [Table(f"Published files behind the tables{more}", columns, rows, absent="not stored here")]


def _row(file: PublishedFile, made: Iterable[str]) -> list[Content]:
    digest = f"{file.digest_type} {_short(file.digest)}" if file.digest else "none published"
    return [
        Mono(file.path),
        f"{file.dataset}, version {file.version}" if file.version else file.dataset,
        ABSENT if file.size is None else size_in_words(file.size),
        digest,
        Mono(_short(file.sha256)) if file.sha256 else None,
        ", ".join(sorted(made)) if file.sha256 or file.access == "public" else f"nothing: it is {file.access}",
    ]


def _short(digest: str) -> str:
    return digest if len(digest) <= _DIGEST else f"{digest[:_DIGEST]}…"


def _runs(subject: Subject) -> list[Block]:
    makings = [one.making for one in subject.delivery if one.making is not None]
    unknown = len(subject.delivery) - len(makings)
    runs: dict[str, list[str]] = {}
    for making in sorted(makings, key=lambda one: one.ended):
        runs.setdefault(making.run_id, []).append(making.asset)
    ended = {making.run_id: making.ended for making in sorted(makings, key=lambda one: one.ended)}
    rows = [(Mono(run), f"{ended[run]:%Y-%m-%d %H:%M} UTC", len(made), ", ".join(dict.fromkeys(made)))
            for run, made in runs.items()]  # fmt: skip
    blocks: list[Block] = []
    if rows:
        blocks.append(Table("Runs that made what is delivered", ["run", "ended", "products", "assets"], rows))
    software = {making.software for making in makings}
    by_version = sorted(software, key=lambda one: (one.version, one.commit or "", one.environment))
    if by_version:
        listed = [(f"cm4ai_assets {one.version}", _commit(one.commit, modified=one.modified), one.python,
                   f"{one.system} {one.machine}", Mono(_short(one.environment))) for one in by_version]  # fmt: skip
        columns = ["software", "commit", "Python", "machine", "digest of the installed distributions"]
        blocks.append(Table("Software of these runs", columns, listed))
    if unknown:
        blocks.append(Text(f"Of {unknown:,} of {len(subject.delivery):,} products the run is not recorded."))
    return blocks


def _commit(commit: str | None, *, modified: bool | None) -> Content:
    if commit is None:
        return None
    return [Mono(commit[:_DIGEST]), " with changes that are in no commit"] if modified else Mono(commit[:_DIGEST])
