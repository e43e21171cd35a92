"""Who stands where: antibodies on plates, and the fields of view that a condition has.

Belongs here: the plate layout, antibodies with their targets, and the choice of fields with their quirks. Does not
belong here: how a field looks (`cells`), nor how it is written down (`manifest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox import seeds

# How each condition is spelled in file names and in manifest.csv (data reference, section 1.2).
LABELS = {Condition.UNTREATED: "untreated", Condition.PACLITAXEL: "Paclitaxel", Condition.VORINOSTAT: "Vorinostat"}

NEGATIVE = "NEGATIVE"
_PLATE_WELLS = {1: 96, 2: 96, 3: 87, 4: 96, 5: 96}  # data reference, section 1.3
_ANTIBODIES = 464
# Seen region numbers run to R28 with gaps, typically R1 to R8 and R11 to R14 (data reference, section 1.2).
_REGIONS = (*range(1, 9), *range(11, 15), *range(15, 29))
# The real paclitaxel ZIP holds four images of this well of the untreated plate (data reference, section 1.8).
STRAY_WELL = (3, "C2")
_MULTI_GENE_WELL = (3, "D1")
_CONTROL_WELL = (1, "H12")
FEWEST = 8  # below, a control, an antibody of several genes and an empty field do not all find room
_MANY = 24  # from here on a condition also has out-of-focus and saturated fields, and a region in two focal planes


class Appearance(StrEnum):
    """What is special about the pixels of a field."""

    NORMAL = "normal"
    NEAR_EMPTY = "near_empty"
    OUT_OF_FOCUS = "out_of_focus"
    SATURATED = "saturated"


@dataclass(frozen=True)
class Gene:
    """A target: symbol, Ensembl gene, UniProt accession, chromosome."""

    symbol: str
    ensembl: str
    uniprot: str
    chromosome: str


@dataclass(frozen=True)
class Antibody:
    """An antibody label and its targets, in the order in which the published tables name the proteins."""

    label: str
    genes: tuple[Gene, ...] = ()


@dataclass(frozen=True)
class Field:
    """One field of view: where it was taken, with which antibody, and how it looks."""

    condition: Condition
    plate: int
    well: str
    region: int
    z: int
    antibody: Antibody
    appearance: Appearance = Appearance.NORMAL

    @property
    def stem(self) -> str:
        """The beginning of its file names: `B2AI_3_Paclitaxel_C2_R1_z02`."""
        return f"B2AI_{self.plate}_{LABELS[self.condition]}_{self.well}_R{self.region}_z{self.z:02d}"


# Well-known genes, written down from common knowledge; the others are invented in a range that Ensembl does not use.
KNOWN = tuple(
    Gene(*line.split())
    for line in """\
EIF5A ENSG00000132507 P63241 17
TP53 ENSG00000141510 P04637 17
EGFR ENSG00000146648 P00533 7
VIM ENSG00000026025 P08670 10
LMNA ENSG00000160789 P02545 1
HDAC2 ENSG00000196591 Q92769 6
SMARCA4 ENSG00000127616 P51532 19
DNMT3A ENSG00000119772 Q9Y6K1 2
KDM6A ENSG00000147050 O15550 X
USP7 ENSG00000187555 Q93009 16
MYH10 ENSG00000133026 P35580 17
S100A11 ENSG00000163191 P31949 1
UHRF2 ENSG00000147854 Q96PU4 9
NPM1 ENSG00000181163 P06748 5
CANX ENSG00000127022 P27824 5
TOMM20 ENSG00000173726 Q15388 1
GOLGA2 ENSG00000167110 Q08379 9
CDH1 ENSG00000039068 P12830 16
GAPDH ENSG00000111640 P04406 12
EP300 ENSG00000100393 Q09472 22
BRD4 ENSG00000141867 O60885 19
PARP1 ENSG00000143799 P09874 1
MKI67 ENSG00000148773 P46013 10
LAMP1 ENSG00000185896 P11279 13
""".splitlines()
)
# The one multi-gene row that is known word for word: its ENSG list is sorted, its protein list is not.
_PLASTINS = (
    Gene("PLS3", "ENSG00000102024", "P13797", "X"),
    Gene("LCP1", "ENSG00000136167", "P13796", "13"),
    Gene("PLS1", "ENSG00000120756", "Q14651", "3"),
)


def _invented(number: int) -> Gene:
    key = seeds.number("gene", number)
    letters = "".join(chr(ord("A") + (key >> shift) % 26) for shift in (8, 16, 24))
    chromosome = (*map(str, range(1, 23)), "X")[key % 23]
    return Gene(f"SBX{number}", f"ENSG00009{number:06d}", f"Q{key % 10}{letters}{(key >> 32) % 10}", chromosome)


def _antibody(number: int) -> Antibody:
    """The antibody of that number. Labels of the 9xxxxx range: well formed, and nobody's."""
    label = f"{'CAB' if number % 39 == 0 else 'HPA'}9{seeds.number('antibody', number) % 100:02d}{number:03d}"
    if number == 1:
        return Antibody(label, _PLASTINS)
    known = {0: 0} | {n: n - 1 for n in range(2, len(KNOWN) + 1)}
    first = KNOWN[known[number]] if number in known else _invented(number)
    if number % 10 != 1:  # about a tenth of the real antibodies have several targets
        return Antibody(label, (first,))
    others = [_invented(1000 + 3 * number + k) for k in range(1 + number % 3)]
    # Falling ENSG numbers, so that the sorted ENSG list of the manifest is never in the order of the proteins.
    return Antibody(label, (*reversed(others), first))


@cache
def layout() -> dict[tuple[int, str], Antibody]:
    """Plate and well to antibody; the same for every condition. The most telling wells come first."""
    wells = [
        (plate, well)
        for plate, count in _PLATE_WELLS.items()
        for well in [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
        if count == 96 or well == "H12" or _position(well) < count - 1  # noqa: PLR2004 - a full plate
    ]
    telling = [_CONTROL_WELL, _MULTI_GENE_WELL, STRAY_WELL]
    rest = sorted(set(wells) - set(telling), key=lambda well: seeds.number("well", *well))
    numbers = iter(range(len(wells)))
    placed: dict[tuple[int, str], Antibody] = {}
    for well in [*telling, *rest]:
        if well[1] == "H12":
            placed[well] = Antibody(NEGATIVE)
        else:
            number = next(numbers)
            # The multi-gene antibody is number 1; two antibodies stand in two wells, as in the real layout.
            placed[well] = _antibody({0: 1, 1: 0}.get(number, number % _ANTIBODIES))
    return placed


def _position(well: str) -> int:
    return "ABCDEFGH".index(well[0]) * 12 + int(well[1:]) - 1


def fields_of(condition: Condition, count: int, seed: int) -> tuple[Field, ...]:
    """The fields of view of a condition, `count` of them, by plate, well, region and focal plane.

    Raises:
        ConfigurationError: There are not so many places on the plates.
    """
    if not FEWEST <= count <= len(layout()) * len(_REGIONS):
        raise ConfigurationError(
            f"A condition cannot have {count} fields of view.",
            remedy=f"Ask for {FEWEST} to {len(layout()) * len(_REGIONS)}.",
        )
    wells = list(layout().items())[: min(len(layout()), max(4, round(count / 3)))]
    rng = seeds.generator(seed, condition, "fields")
    looks = _looks(count, rng.permutation(count).tolist())
    chosen: list[Field] = []
    for number, ((plate, well), antibody) in enumerate(wells):
        share = count // len(wells) + (number < count % len(wells))
        planes = [int(z) for z in rng.choice(3, size=share, p=(0.16, 0.68, 0.16))]  # shares measured on real names
        regions = _regions(share, rng.permutation(len(_REGIONS)).tolist(), first=number == 0)
        if number == 0 and condition is Condition.VORINOSTAT and count >= _MANY:
            regions[1], planes[:2] = regions[0], [1, 2]  # real: two control regions of vorinostat stand in two planes
        for region, z in zip(regions, planes, strict=True):
            chosen.append(Field(condition, plate, well, region, z, antibody, looks[len(chosen)]))
    return tuple(sorted(chosen, key=lambda f: (f.plate, _position(f.well), f.region, f.z)))


def _regions(share: int, shuffled: list[int], *, first: bool) -> list[int]:
    """Region numbers with gaps: some of the first `share + 2`, and never R2 in the first well."""
    pool = [n for n in range(min(len(_REGIONS), share + 2)) if not (first and _REGIONS[n] == 2)]  # noqa: PLR2004
    order = [n for n in shuffled if n in set(pool)]
    return sorted(_REGIONS[n] for n in order[:share])


def _looks(count: int, shuffled: list[int]) -> list[Appearance]:
    """How often each look occurs, as far as the few real samples tell: one field in six was near empty."""
    looks = [Appearance.NORMAL] * count
    shares = [(Appearance.NEAR_EMPTY, max(1, count // 10))]
    if count >= _MANY:
        shares += [(Appearance.OUT_OF_FOCUS, max(1, count // 30)), (Appearance.SATURATED, max(1, count // 60))]
    queue = iter(shuffled)
    for look, share in shares:
        for _ in range(share):
            looks[next(queue)] = look
    return looks


def stray(count: int, seed: int) -> Field:
    """The untreated field that was misfiled into the paclitaxel ZIP."""
    return next(f for f in fields_of(Condition.UNTREATED, count, seed) if (f.plate, f.well) == STRAY_WELL)
