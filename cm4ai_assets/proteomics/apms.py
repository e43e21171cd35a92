"""AP-MS: the scored interactions of 2024 (SAINTexpress).

Baits are gene symbols and preys UniProt accessions; they stand in columns of their own and are never mixed. Does not
belong here: mapping one to the other, and annotated runs without scores (`runs`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.identifiers import GENE_SYMBOL
from cm4ai_assets.proteomics.apms_forms import SAINT, Reading, form_of, with_source_file
from cm4ai_assets.proteomics.columns import flag_list, note_lines, only_whole, read_columns, whole_number
from cm4ai_assets.proteomics.groups import accession
from cm4ai_assets.proteomics.names import conditions_in
from cm4ai_assets.proteomics.packages import (
    Archive,
    no_tables,
    require_usable,
    survey,
    tables_of,
)
from cm4ai_assets.proteomics.problems import (
    NO_PAIR,
    NON_NUMERIC,
    Defects,
    TableDamagedError,
    merged,
    tallies,
)
from cm4ai_assets.proteomics.text import Text, read_text
from cm4ai_assets.suspects import suspect_flags
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS

# Columns that the merge of the four source tables left with ".x" behind their name; the source of HDAC2 lacked it.
_NUMBERS = {
    "AvgP": "avg_p",
    "MaxP": "max_p",
    "TopoAvgP": "topo_avg_p",
    "TopoMaxP": "topo_max_p",
    "SaintScore": "saint_score",
    "FoldChange": "fold_change",
    "BFDR": "bfdr",
    "NumReplicates": "replicates",
    "SpecSum": "spectral_count_sum",
    "AvgSpec": "spectral_count_mean",
    "logOddsScore": "log_odds_score",
}
_STRINGS = {"PreyGene": "prey_entry_name", "boosted_by": "boosted_by"}
_KEYS = ("Bait", "Prey", "Spec", "ctrlCounts")
_SHARES = ("avg_p", "max_p", "topo_avg_p", "topo_max_p", "saint_score", "bfdr")

# Numbers that are whole, with the types they are published in.
_WHOLE: dict[str, pl.DataType] = {"replicates": pl.Int16(), "spectral_count_sum": pl.Int32()}
# Columns that may state what a row's cells were treated with; SAINT has none.
_TREATMENTS = ("Treatment", "treatment", "Condition", "condition")
_WORDS = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class Interactions:
    """A table of scored pairs: the rows of `apms_interactions`, the conditions that names state, its text's defects."""

    stated: frozenset[Condition]
    rows: pl.DataFrame
    defects: Defects

    @property
    def condition(self) -> Condition | None:
        """The one condition that names state; None if none does, or they contradict each other."""
        return next(iter(self.stated)) if len(self.stated) == 1 else None


def interactions_of(archives: Sequence[Archive], condition: Condition) -> Reading:
    """The scored pairs of one condition, from all archives of a release that may hold some.

    A table that cannot be used is left out and noted, and so is one whose name contradicts its archive's.

    Raises:
        NoTablesError: No table in them is one of this condition.
        TableDamagedError: There are some, and none can be used.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    packages = tuple(survey(archive, form_of) for archive in archives)
    unusable = [defect for package in packages for defect in package.unreadable]
    mine: list[tuple[str, Interactions]] = []
    unplaced: list[str] = []
    for table in tables_of(archives, packages, lambda found: found.form == SAINT):
        try:
            with table.open() as stream:
                read = read_interactions(stream.read(), table.name, context=table.context, expected=condition)
        except TableDamagedError as error:
            unusable.append(error.defect)
            continue
        if len(read.stated) > 1:
            unplaced.append(f"{table.name}: its name and its archive's state {' and '.join(sorted(read.stated))}")
        elif read.condition in {None, condition}:
            mine.append((table.name, replace(read, rows=with_source_file(read.rows, table.source_file))))
    if not mine:
        require_usable("AP-MS", unusable, used=len(unplaced))
        raise no_tables("AP-MS", packages, (), condition, [*map(str, unusable), *unplaced])
    return Reading(
        together([table for _, table in mine]),
        packages,
        merged(table.defects for _, table in mine),
        tallies((name, table.defects) for name, table in mine),
        tuple(unusable),
        tuple(unplaced),
    )


def read_interactions(data: bytes, file: str, *, context: str = "", expected: Condition | None = None) -> Interactions:
    """A SAINT table, in either header form or with both; `expected` is its condition where no name states one.

    Where both forms of a column are there, the one without `.x` counts, as in the program that published it; rows in
    which they disagree are flagged.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    text = read_text(data, file)
    absent = [name for name in _KEYS if name not in text.header]
    absent += [name for name in _NUMBERS if name not in text.header and f"{name}.x" not in text.header]
    if absent:
        raise TableDamagedError(file, "there is no such column", column=absent[0])
    treatments = [name for name in _TREATMENTS if name in text.header]
    frame, found = read_columns(text, [*_KEYS, *treatments, *_forms(text, *_STRINGS)], _forms(text, *_NUMBERS))
    defects = merged([text.defects, found])
    frame = frame.with_columns(pl.Series("line", text.line_numbers, pl.Int64))
    frame = _pairs(frame, file, defects)
    stated = frozenset(conditions_in(file) | conditions_in(context))
    condition = next(iter(stated)) if len(stated) == 1 else expected
    rows = frame.select(
        pl.col("Bait").str.strip_chars().alias("bait_symbol"),
        pl.col("Prey").str.strip_chars().alias("prey"),
        _counts("Spec").alias("spectral_counts"),
        _counts("ctrlCounts").alias("control_counts"),
        *(_either(text, name).alias(target) for name, target in (_STRINGS | _NUMBERS).items()),
        pl.any_horizontal(_contradictions(text)).alias("_disagree"),
        _names_another(frame, treatments, condition).alias("_other"),
        pl.lit(file).alias("source_file"),
        pl.col("line").alias("source_line"),
    )
    rows = rows.with_columns(
        pl.int_range(pl.len()).over("bait_symbol", "prey").alias("occurrence"),
        accession("prey").alias("prey_uniprot_id"),
        pl.when(GENE_SYMBOL.fits_column("prey_entry_name")).then("prey_entry_name").alias("prey_gene_symbol"),
        *(only_whole(name, dtype).alias(f"_{name}") for name, dtype in _WHOLE.items()),
    )
    rows = rows.with_columns(_flags(defects.lines(NON_NUMERIC).tolist())).with_columns(
        *(pl.col(f"_{name}").alias(name) for name in _WHOLE),
        pl.when(pl.col("prey_gene_symbol").is_null()).then("prey_entry_name").alias("prey_entry_name"),
        *(pl.lit(None).alias(name) for name in ("source_file_id", "source_sha256")),
    )
    own = [pl.col(column.name).cast(column.dtype) for column in APMS_INTERACTIONS.own_columns]
    return Interactions(stated, rows.select(own), defects)


def _pairs(frame: pl.DataFrame, file: str, defects: Defects) -> pl.DataFrame:
    """The rows that name a bait and a prey; the others are left out and noted, each once."""
    no_bait, no_prey = pl.col("Bait").is_null(), pl.col("Prey").is_null()
    for column, bad in (("Bait", no_bait), ("Prey", no_prey & ~no_bait)):
        note_lines(defects, frame, bad, kind=NO_PAIR, file=file, column=column, detail="empty; the line is left out")
    kept = frame.filter(~no_bait, ~no_prey)
    defects.lost += frame.height - kept.height
    return kept


def _names_another(frame: pl.DataFrame, treatments: list[str], condition: Condition | None) -> pl.Expr:
    """Whether a row names a treatment, in a column of its own or behind its bait, that is not its table's.

    The first word of a bait is a gene: PTX3 is none of paclitaxel.
    """
    if condition is None:
        return pl.lit(value=False)
    of_bait = {bait: conditions_in(_WORDS.split(bait, maxsplit=1)[-1]) if _WORDS.search(bait) else set()
               for bait in frame["Bait"].unique()}  # fmt: skip
    named = {"Bait": of_bait}
    named |= {name: {label: conditions_in(label) for label in frame[name].drop_nulls().unique()} for name in treatments}
    others = {name: [text for text, said in of.items() if said - {condition}] for name, of in named.items()}
    return pl.any_horizontal(pl.col(name).is_in(texts).fill_null(value=False) for name, texts in others.items())


def _flags(unreadable: list[int]) -> pl.Expr:
    """What is wrong with the rows of a SAINT table."""
    lists = pl.col("spectral_counts", "control_counts").list
    broken = [pl.col(name).is_not_null() & pl.col(f"_{name}").is_null() for name in _WHOLE]
    flags = {
        "bad_prey_id": pl.col("prey_uniprot_id").is_null(),
        "bad_bait_symbol": ~GENE_SYMBOL.fits_column("bait_symbol"),
        "duplicate_pair": pl.col("occurrence") > 0,
        "columns_disagree": pl.col("_disagree"),
        "bad_list": pl.any_horizontal(lists.drop_nulls().list.len() != lists.len()),
        "sum_mismatch": pl.col("spectral_count_sum") != pl.col("spectral_counts").list.sum(),
        "replicates_mismatch": pl.col("replicates") != pl.col("spectral_counts").list.len(),
        "score_out_of_range": pl.any_horizontal(~pl.col(_SHARES).is_between(0, 1)),
        "bad_number": pl.col("source_line").is_in(unreadable) | pl.any_horizontal(broken),
        "other_treatment": pl.col("_other"),
        **suspect_flags(ids=[pl.col("prey")], symbols=[pl.col("bait_symbol"), pl.col("prey_entry_name")]),
    }
    return flag_list(flags)


def together(tables: Sequence[Interactions]) -> pl.DataFrame:
    """The rows of several tables as one: a pair that stands in more than one of them is a repetition."""
    rows = pl.concat([table.rows for table in tables]).with_columns(
        pl.int_range(pl.len()).over("bait_symbol", "prey").cast(pl.Int16).alias("occurrence")
    )
    repeated = (pl.col("occurrence") > 0) & ~pl.col("defects").list.contains("duplicate_pair")
    return rows.with_columns(
        pl.when(repeated)
        .then(pl.col("defects").list.concat(pl.lit(["duplicate_pair"])))
        .otherwise("defects")
        .alias("defects")
    )


def _forms(text: Text, *names: str) -> list[str]:
    """The forms in which columns are there: with ".x", without, or both."""
    return [form for name in names for form in (name, f"{name}.x") if form in text.header]


def _either(text: Text, name: str) -> pl.Expr:
    forms = _forms(text, name)
    return pl.coalesce(forms) if forms else pl.lit(None, pl.String)


def _contradictions(text: Text) -> list[pl.Expr]:
    both = [name for name in (*_STRINGS, *_NUMBERS) if {name, f"{name}.x"} <= set(text.header)]
    differing = [(pl.col(name) != pl.col(f"{name}.x")).fill_null(value=False) for name in both]
    return differing or [pl.lit(value=False)]


def _counts(column: str) -> pl.Expr:
    """Spectral counts joined by `|`; a part that is no count is null."""
    parts = pl.col(column).fill_null("").str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    return parts.list.eval(whole_number(pl.element(), pl.Int32()))
