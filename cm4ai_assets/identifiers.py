r"""The forms of identifiers: one grammar and one verdict for each kind, whoever asks.

Belongs here: whether a text has the form that its kind demands, where such ids stand in a longer text, and sizes as
people write them ("4.5 GB"). Does not belong here: whether an id exists (a form is no lookup), and the one spelling of
the ids of crate entities (`crates.iris`).

A form holds for the whole text: `"P04637\n"` is no accession. Who wants blanks ignored strips them first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import polars as pl


@dataclass(frozen=True)
class Form:
    r"""The form of one kind of identifier.

    `pattern` is a regular expression that Python and polars read alike: no look-around, no `\d` (which also matches
    the digits of other scripts), and no capturing groups.
    """

    kind: str
    pattern: str
    example: str

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    @cached_property
    def _within(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9])(?:{self.pattern})(?![A-Za-z0-9])")

    @cached_property
    def _within_bytes(self) -> re.Pattern[bytes]:
        return re.compile(self._within.pattern.encode())

    def fits(self, text: str) -> bool:
        """Whether the whole text has this form."""
        return self._whole.fullmatch(text) is not None

    def fits_column(self, column: str | pl.Expr) -> pl.Expr:
        """Whether the whole text has this form, row by row; null where the text is null."""
        values = pl.col(column) if isinstance(column, str) else column
        return values.str.contains(rf"\A(?:{self.pattern})\z")

    def found_in(self, text: str | bytes) -> list[str]:
        """Every text of this form within a longer one, in order; letters or digits beside it make it another word."""
        if isinstance(text, str):
            return [match[0] for match in self._within.finditer(text)]
        return [match[0].decode() for match in self._within_bytes.finditer(text)]


UNIPROT = Form(
    "UniProt accession",
    # https://www.uniprot.org/help/accession_numbers; the number of an isoform may follow.
    r"(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-[0-9]{1,3})?",
    "P63241-2",
)
ENSEMBL_GENE = Form(
    "Ensembl gene id",
    # https://www.ensembl.org/info/genome/stable_ids: ENS, G, eleven digits; a version may follow.
    r"ENSG[0-9]{11}(?:\.[0-9]{1,4})?",
    "ENSG00000132507.12",
)
ANTIBODY = Form(
    "Human Protein Atlas antibody",
    # HPA: made by the Atlas; CAB: bought.
    r"(?:HPA|CAB)[0-9]{6}",
    "HPA045064",
)
GENE_SYMBOL = Form(
    "gene symbol",
    # HGNC: letters, digits and hyphens; older symbols have dots. Some (H2AC11) look like UniProt accessions.
    r"[A-Za-z][A-Za-z0-9.-]*",
    "H2AC11",
)
CELLOSAURUS = Form(
    "Cellosaurus accession",
    # https://www.cellosaurus.org: CVCL_ and four characters; RRIDs put their prefix before it.
    r"(?:RRID:)?CVCL_[A-Z0-9]{4}",
    "CVCL_0419",
)
MASSIVE = Form(
    "MassIVE accession",
    r"MSV[0-9]{9}",
    "MSV000098237",
)
SRA_RUN = Form(
    "sequencing run",
    # INSDC: S, E or D for the archive that took it, RR for a run.
    r"[SED]RR[0-9]{6,9}",
    "SRR31012081",
)
ARK = Form(
    "ARK",
    # A naming authority (NAAN) of five digits. Older spellings have a slash before it.
    r"ark:/?[0-9]{5}/[!-~]+",
    "ark:59853/treatment-paclitaxel",
)
DOI = Form(
    "DOI",
    # Bare, as DataCite and D4D keep it: without scheme or resolver.
    r"10\.[0-9]{4,9}/[^\s\"<>]+",
    "10.18130/V3/F3TD5R",
)
ORCID = Form(
    "ORCID",
    # https://support.orcid.org: four groups of four; the last character is a check digit, X for ten.
    r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]",
    "0000-0003-4060-7360",
)

FORMS = (UNIPROT, ENSEMBL_GENE, ANTIBODY, GENE_SYMBOL, CELLOSAURUS, MASSIVE, SRA_RUN, ARK, DOI, ORCID)

_DOI_WITHIN = re.compile(DOI.pattern)


def doi_in(text: str) -> str | None:
    """The first DOI in a text, bare and as spelled there, without the punctuation after it; None if there is none."""
    match = _DOI_WITHIN.search(text)
    return None if match is None else match[0].rstrip(".,;)")


def same_doi(left: str, right: str) -> bool:
    """Two texts name one DOI. DOIs are compared without regard to case (ISO 26324)."""
    return (doi_in(left) or "").lower() == (doi_in(right) or "").lower() != ""


# "2.6 GB", "16.7TB", "2354", "1,234 bytes", "4.5 GiB", "20G". At most 18 digits: more is no size of anything.
_SIZE = re.compile(
    r"(?P<number>[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,18}(?:\.(?P<decimals>[0-9]{1,6}))?)"
    r"\s*(?:(?P<unit>[KMGTP])(?P<binary>i?)B?|bytes?|B)?",
    re.IGNORECASE | re.ASCII,
)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_LARGEST = 1 << 63


@dataclass(frozen=True, slots=True)
class StatedSize:
    """A size as people write it: a number with so many decimals, in units of a power of 1000 or of 1024.

    Which of the two a unit means is known only where it is written as KiB, MiB and so on.
    """

    number: Decimal
    decimals: int
    power: int
    is_binary: bool

    def in_bytes(self, base: int = 1024) -> int | None:
        """The size in bytes, units being powers of `base` unless they say 1024 themselves; None from 2^63 bytes on."""
        size = int(self.number * (1024 if self.is_binary else base) ** self.power)
        return size if size < _LARGEST else None

    def is_of(self, size: int) -> bool:
        """Whether it means this many bytes, in either power, to the digits it has."""
        half = Decimal(5).scaleb(-self.decimals - 1) if self.power else Decimal(0)
        bases = (1024,) if self.is_binary else (1000, 1024)
        return any(abs(Decimal(size) / base**self.power - self.number) <= half for base in bases)


def stated_size(text: str) -> StatedSize | None:
    """What a text states as a size; None if it is no size. Blanks around it are ignored.

    >>> stated_size("2.6 GB").is_of(2_777_891_100), stated_size("1,234 bytes").in_bytes(), stated_size("large")
    (True, 1234, None)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return StatedSize(
        Decimal(match["number"].replace(",", "")),
        len(match["decimals"] or ""),
        _POWERS[(match["unit"] or "").upper()],
        bool(match["binary"]),
    )


def is_size(text: str, size: int) -> bool:
    """Whether a text states a size that means this many bytes.

    >>> is_size("2.6 GB", 2_777_891_100)
    True
    """
    stated = stated_size(text)
    return stated is not None and stated.is_of(size)
