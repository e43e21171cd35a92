"""Synthetic proteomics in every published shape: SEC-MS reports and long tables, SAINT tables, run annotations.

Belongs here: measurements that were never made, deterministic by seed, as the bytes of each file. Does not belong here:
the archives they are put into (`content`), and what MassIVE answers (`massive`).

Protein groups elute as members of complexes: each has a Gaussian peak at the fraction of its complex, and often one at
that of the protein alone. Replicates share the peaks and differ in noise and in which fractions were measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.sandbox import seeds
from cm4ai_assets.sandbox.plates import Gene, layout

_FIRST_RAW = 7  # raw runs begin at F07; a report begins there or later
_PLATE_ROW = 12
_DETECTION_LIMIT = 200.0
_COMPLEX_SIZE = 6
_BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLATE_LAYOUT = "plate"  # runs named by autosampler well, as in July 2024
_QUEUE_LAYOUT = "queue"  # runs named 1_1 and a serial number, as in December 2024
_REP_LAYOUT = "rep"  # runs named as the raw folders of KOLF2.1J: Parental_Rep1_F07

_SEC = (
    "sample", "treatment", "replicate", "fraction", "protein", "intensity", "interpolated", "ori.intensity",
    "norm.intensity", "standardFraction", "intensity_totalScaled", "treatmentDummy", "fractionMass",
    "log2MassNumber", "intensity_interpolated", "intensity_nonInterpolated", "intensity_interpAndRelative",
    "gene",
)  # fmt: skip
_MSSTATS = (
    "Condition", "Run", "BioReplicate", "ProteinName", "PeptideSequence", "FragmentIon", "PrecursorCharge",
    "Intensity", "ProductCharge", "Sample",
)  # fmt: skip
_ANNOTATION = (
    "Raw_file", "Sample_label", "QC_Status", "Tagged_Line", "Treatment", "Batch", "Replicate", "Experiment",
    "Analysis", "Enzyme", "Cell_line", "Species",
)  # fmt: skip
_SAINT = (
    "Bait", "Prey", "PreyGene.x", "Spec", "SpecSum", "AvgSpec", "NumReplicates.x", "ctrlCounts", "AvgP.x",
    "MaxP.x", "TopoAvgP.x", "TopoMaxP.x", "SaintScore.x", "logOddsScore", "FoldChange.x", "BFDR.x",
    "boosted_by.x",
)  # fmt: skip


@dataclass(frozen=True)
class Replicate:
    """One SEC-MS replicate: its report's name, its runs' names, its fractions, its optional columns."""

    file: str
    run: str
    first: int
    style: str
    optional: tuple[str, ...] = ()
    condition: Condition = Condition.UNTREATED
    cells: str = "MDA-MB-468"
    fractions: int = 72
    rotated: bool = False
    """Its last fraction stands first."""
    left_out: int = 0
    """Raw runs at the beginning that the search left out: Spectronaut's index counts from behind them."""

    def fraction_numbers(self) -> list[int]:
        """The fractions in the order of the report's columns."""
        numbers = list(range(self.first, self.first + self.fractions))
        return [numbers[-1], *numbers[:-1]] if self.rotated else numbers


_ACCESSIONS = ("PG.ProteinAccessions",)
_PTXL, _VRST = Condition.PACLITAXEL, Condition.VORINOSTAT

# The nine reports of MDA-MB-468 (data reference, section 2.1): the controls are 1, 2 and 4.
MDA_REPLICATES = (
    Replicate("Biosep_MDAMB468_CTRL_1_Report.tsv", "BiosepMDA_MB468_Ctrl_070424", 11, _PLATE_LAYOUT, _ACCESSIONS),
    Replicate("Biosep_MDAMB468_CTRL_2_Report.tsv", "BiosepMDA_MB468_Ctrl2_071824", 12, _PLATE_LAYOUT, _ACCESSIONS),
    Replicate("Biosep_MDAMB468_CTRL_4_Report.tsv", "Biosep_MDAMB468_Ctrl_121224", 7, _QUEUE_LAYOUT),
    Replicate("Biosep_MDAMB468_PTXL_1_Report.tsv", "BiosepMDA_MB468_Ptxl_070424", 12, _PLATE_LAYOUT,
              ("PG.GroupLabel", "PG.ProteinAccessions"), _PTXL),
    Replicate("Biosep_MDAMB468_PTXL_2_Report.tsv", "BiosepMDA_MB468_Ptxl2_072724", 11, _PLATE_LAYOUT, _ACCESSIONS,
              _PTXL, left_out=1),
    Replicate("Biosep_MDAMB468_PTXL_3_Report.tsv", "Biosep_MDAMB468_PTXL_R3_121224", 7, _QUEUE_LAYOUT, (), _PTXL),
    Replicate("Biosep_MDAMB468_VRST_1_Report.tsv", "BiosepMDA_MB468_Vor_071224", 12, _PLATE_LAYOUT, _ACCESSIONS, _VRST),
    Replicate("Biosep_MDAMB468_VRST_2_Report.tsv", "Biosep_MDAMB468_VRST_121224", 7, _QUEUE_LAYOUT, (), _VRST,
              rotated=True),
    Replicate("Biosep_MDAMB468_VRST_3_Report.tsv", "Biosep_MDAMB468_VRST_R3_121224", 7, _QUEUE_LAYOUT, (), _VRST),
)  # fmt: skip

# The names of the real reports of KOLF2.1J are not known; the replicates and the windows of their raw runs are
# (data reference, section 2.2): two of the parental ones begin at F01 and end at F84.
KOLF2_REPLICATES = tuple(
    Replicate(
        f"Biosep_KOLF2_{cells}_{number}_Report.tsv",
        f"{cells}_Rep{number}",
        1 if (cells, number) in {("Parental", 1), ("Parental", 3)} else 7,
        _REP_LAYOUT,
        cells=cells,
        fractions=84 if (cells, number) in {("Parental", 1), ("Parental", 3)} else 72,
    )
    for cells, count in (("Parental", 4), ("NPC", 2), ("Neuron", 3), ("Cardio", 2))
    for number in range(1, count + 1)
)


@dataclass(frozen=True)
class Group:
    """A protein group: its members, and the complex it belongs to."""

    members: tuple[Gene, ...]
    complex_number: int

    @property
    def name(self) -> str:
        """The group as a report writes it."""
        return ";".join(gene.uniprot for gene in self.members)

    @property
    def is_absent_from(self) -> frozenset[str]:
        """Cells in which the group is not found."""
        return frozenset(
            cells for cells in ("MDA-MB-468", "Parental", "NPC", "Neuron", "Cardio")
            if seeds.unit("absent", self.name, cells) < 0.1  # noqa: PLR2004 - one in ten
        )  # fmt: skip


def protein_groups(count: int) -> list[Group]:
    """The first protein groups of the sandbox: genes that the plates know, then invented ones; one in eight has two."""
    known = list({gene.uniprot: gene for antibody in layout().values() for gene in antibody.genes}.values())
    taken = {gene.uniprot for gene in known}
    invented = (_invented(number) for number in range(count + len(known)))
    genes = [*known, *(gene for gene in invented if gene.uniprot not in taken)]
    return [
        Group((gene, _isoform(gene)) if number % 8 == 7 else (gene,), number // _COMPLEX_SIZE)  # noqa: PLR2004
        for number, gene in enumerate(genes[:count])
    ]


def report(replicate: Replicate, *, groups: int = 24, seed: int = 0) -> bytes:
    """A wide Spectronaut report: one row per protein group, one quantity column per run, `NaN` where nothing is."""
    found = _found(replicate, groups)
    numbers = replicate.fraction_numbers()
    columns = [f"[{index}] {run}.d.PG.Quantity" for index, run in _indexed_runs(replicate)]
    header = ["PG.ProteinGroups", *replicate.optional, "PG.Genes", "PG.UniProtIds", "PG.ProteinNames", *columns]
    profiles = elution(found, replicate, numbers, seed=seed)
    rows = (
        [group.name, *[group.name] * len(replicate.optional), _joined(gene.symbol for gene in group.members),
         group.name, _joined(f"{gene.symbol}_HUMAN" for gene in group.members), *map(_number, profile)]
        for group, profile in zip(found, profiles.tolist(), strict=True)
    )  # fmt: skip
    return _table(header, rows, "\t")


def mda_reports(*, groups: int = 24, seed: int = 0) -> dict[str, bytes]:
    """The nine reports of MDA-MB-468 by file name."""
    return {replicate.file: report(replicate, groups=groups, seed=seed) for replicate in MDA_REPLICATES}


def kolf2_reports(*, groups: int = 24, seed: int = 0) -> dict[str, bytes]:
    """The eleven reports of KOLF2.1J cells by file name."""
    return {replicate.file: report(replicate, groups=groups, seed=seed) for replicate in KOLF2_REPLICATES}


def sec_csv(*, groups: int = 24, seed: int = 0) -> bytes:
    """`quant/sec.csv` of 2026, long: a row per protein and fraction; single gaps are interpolated and marked so."""
    rows: list[list[str]] = []
    for replicate in KOLF2_REPLICATES:
        number = replicate.run[-1]
        found = _found(replicate, groups)
        numbers = replicate.fraction_numbers()
        for group, profile in zip(found, elution(found, replicate, numbers, seed=seed), strict=True):
            filled, total = _interpolated(profile), float(np.nansum(profile)) or 1.0
            top = float(np.nanmax(filled, initial=1.0))
            for at in np.flatnonzero(~np.isnan(filled)):
                own, value = profile[at], filled[at]
                mass = 10 ** (6.8 - 0.045 * numbers[at])
                rows.append([
                    f"{replicate.cells}_Rep{number}", replicate.cells, number, str(numbers[at]), group.name,
                    _number(value), str(bool(np.isnan(own))).upper(), _text(own), _number(value / 1.1),
                    f"{numbers[at] / 84:.4f}", f"{value / total:.6f}", "1", f"{mass:.1f}", f"{np.log2(mass):.4f}",
                    _number(value), _text(own), f"{value / top:.6f}", _joined(gene.symbol for gene in group.members),
                ])  # fmt: skip
    return _table(_SEC, rows, ",")


def msstats_features(*, groups: int = 24, seed: int = 0) -> bytes:
    """`search/peak_file_kolf2.tsv` of 2026, long: three ions per protein and run that add up to its quantity."""
    shares = (("PEPTIDEK", "y4", 0.5), ("PEPTIDEK", "y5", 0.3), ("SEQVENCER", "b3", 0.2))
    rows: list[list[str]] = []
    for replicate in KOLF2_REPLICATES:
        number = replicate.run[-1]
        found = _found(replicate, groups)
        numbers = replicate.fraction_numbers()
        for group, profile in zip(found, elution(found, replicate, numbers, seed=seed).tolist(), strict=True):
            for fraction, value in zip(numbers, profile, strict=True):
                run = f"{replicate.run}_F{fraction:02d}"
                rows += [
                    [replicate.cells, run, number, group.name, peptide, ion, "2", _text(value * share), "1",
                     f"{replicate.cells}_{number}"]
                    for peptide, ion, share in shares
                ]  # fmt: skip
    return _table(_MSSTATS, rows, "\t")


def elution(
    groups: Sequence[Group], replicate: Replicate, numbers: Sequence[int], *, seed: int
) -> npt.NDArray[np.float64]:
    """The profiles of protein groups over fractions: NaN below the detection limit, now and then a true zero."""
    x = np.asarray(numbers, dtype=np.float64)
    noise = seeds.generator("noise", seed, replicate.file)
    profiles = np.zeros((len(groups), len(x)))
    for row, group in enumerate(groups):
        complex_at = 14 + 48 * seeds.unit("complex", seed, group.complex_number)
        moved = seeds.unit("moves", seed, group.complex_number, replicate.condition)
        if replicate.condition is not Condition.UNTREATED and moved < 0.25:  # noqa: PLR2004 - a quarter falls apart
            complex_at += 8
        shape = seeds.generator("shape", seed, group.name)
        height, width, free = 10 ** shape.uniform(4, 6), shape.uniform(1.5, 3.5), shape.uniform(62, 76)
        alone = 0.6 * shape.random()
        profiles[row] = height * (_bell(x, complex_at, width) + alone * _bell(x, free, 2.0))
    profiles *= noise.lognormal(0, 0.15, profiles.shape)
    profiles[profiles < _DETECTION_LIMIT] = np.nan
    profiles[noise.random(profiles.shape) < 0.02] = np.nan  # noqa: PLR2004 - missed
    profiles[noise.random(profiles.shape) < 0.002] = 0.0  # noqa: PLR2004 - found, and quantified as nothing
    return profiles


BAITS = ("DNMT3A", "HDAC2", "KDM6A", "SMARCA4")


def saint_table(*, baits: Sequence[str] = BAITS, preys: int = 12, suffixed: bool = True, seed: int = 0) -> bytes:
    """Scored bait-prey pairs as SAINTexpress writes them; `suffixed` as `apms.tsv` is, else as HDAC2's source was."""
    rows: list[list[str]] = []
    for bait in baits:
        for group in protein_groups(preys):
            draw, gene = seeds.generator("saint", seed, bait, group.name), group.members[0]
            controls = draw.poisson(0.4, 8)
            counts = draw.poisson(draw.choice([1.0, 4.0, 20.0]), 4)
            mean = counts.mean()
            score = round(float(1 / (1 + np.exp(-(mean - controls.mean() - 3)))), 2)
            fold = mean / max(controls.mean(), 0.1)
            scores = [f"{score:g}"] * 5
            rows.append([
                bait, gene.uniprot, f"{gene.symbol}_HUMAN", _listed(counts), str(counts.sum()), f"{mean:g}", "4",
                _listed(controls), *scores, f"{4 * mean - 6 * controls.mean() - 5:.2f}", f"{fold:.2f}",
                f"{1 - score:.2g}", "NA",
            ])  # fmt: skip
    header = _SAINT if suffixed else [name.removesuffix(".x") for name in _SAINT]
    return _table(header, rows, "\t")


def run_annotation(condition: Condition, *, lines: int = 5, seed: int = 0) -> bytes:
    """The sample annotation of an AP-MS deposit of 2026: four replicates per tagged line, with drug and with DMSO."""
    tagged = (*("Untagged", *BAITS)[: lines - 1], "Positive")
    serial = 20_000 + 1_000 * CONDITIONS.index(condition)
    rows = [
        [f"exLewis{serial + 8 * batch + 4 * drugged + number:06d}.raw", f"{line}_{treatment}_{number}",
         str(seeds.unit("qc", seed, line, treatment, number) > 0.05).upper(), line, treatment, f"Batch{batch:02d}",  # noqa: PLR2004
         str(number), "AP-MS", "DDA", "Trypsin", "MDA-MB-468", "Homo sapiens"]
        for batch, line in enumerate(tagged, start=1)
        for drugged, treatment in enumerate(("DMSO", condition.capitalize()))
        for number in range(1, 5)
    ]  # fmt: skip
    return _table(_ANNOTATION, rows, "\t")


def raw_runs(replicate: Replicate) -> list[str]:
    """The names of a replicate's `.d` folders, in the order of its columns."""
    return [f"{run}.d" for _, run in _indexed_runs(replicate)]


def _found(replicate: Replicate, groups: int) -> list[Group]:
    return [group for group in protein_groups(groups) if replicate.cells not in group.is_absent_from]


def _indexed_runs(replicate: Replicate) -> list[tuple[int, str]]:
    """Spectronaut's index and the name of each run. The index counts runs from the first raw one, in column order."""
    first = 1 if replicate.rotated else replicate.first - min(_FIRST_RAW, replicate.first) + 1 - replicate.left_out
    return [(first + at, _run(replicate, fraction)) for at, fraction in enumerate(replicate.fraction_numbers())]


def _run(replicate: Replicate, fraction: int) -> str:
    position = fraction - _FIRST_RAW
    serial = seeds.number("serial", replicate.file) % 8000 + position + position // _PLATE_ROW
    if replicate.style == _PLATE_LAYOUT:
        # The autosampler goes through its plate as an ox ploughs: A7 to A12, B12 to B1, C1 to C12.
        row, column = divmod(fraction - 1, _PLATE_ROW)
        well = f"{'ABCDEFG'[row]}{column + 1 if row % 2 == 0 else _PLATE_ROW - column}"
        return f"{replicate.run}_F{fraction:02d}_{well}_1_{serial}"
    if replicate.style == _QUEUE_LAYOUT:
        return f"{replicate.run}_F{fraction:02d}_1_1_{serial}"
    return f"{replicate.run}_F{fraction:02d}"


def _invented(number: int) -> Gene:
    """A gene that does not exist, with an accession of UniProt's form: a number to the base of 36 within two digits."""
    middle = "".join(_BASE_36[number // 100 // 36**place % 36] for place in (2, 1, 0))
    accession = f"Q{number % 10}{middle}{number // 10 % 10}"
    return Gene(f"SYN{number}", f"ENSG{90_000_000 + number:011d}", accession, "1")


def _isoform(gene: Gene) -> Gene:
    return Gene(gene.symbol, gene.ensembl, f"{gene.uniprot}-2", gene.chromosome)


def _bell(x: npt.NDArray[np.float64], at: float, width: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.exp(-(((x - at) / width) ** 2)))


def _interpolated(profile: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The profile with gaps of one fraction filled by their neighbours' mean."""
    filled = profile.copy()
    gap = np.isnan(profile[1:-1]) & ~np.isnan(profile[:-2]) & ~np.isnan(profile[2:])
    filled[1:-1][gap] = (profile[:-2][gap] + profile[2:][gap]) / 2
    return filled


def _number(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.4f}"


def _text(value: float) -> str:
    return "NA" if np.isnan(value) else f"{value:.4f}"


def _joined(parts: Iterable[str]) -> str:
    return ";".join(parts)


def _listed(counts: npt.NDArray[np.int64]) -> str:
    return "|".join(map(str, counts))


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
