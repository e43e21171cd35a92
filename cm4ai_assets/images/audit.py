"""A tensor held against its tables and its ZIP, before any of them is published.

Belongs here: the one blocking question about a tensor, whether its rows are the fields that the tables say and its
pixels those of the images. Does not belong here: warnings (`findings`), or reading a whole store (`storage.tensors`).

A shifted row or a swapped channel is the worst that can happen to a training set, and nothing downstream can notice it.
So the sample takes another road than the pass: members are found by name, decoded by Pillow, averaged in numpy, and
compared with what zarr-python reads. Only the ZIP's own format, with its CRC, is read by the same code.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from cm4ai_assets.heavy import Image, np
from cm4ai_assets.images.colour import DARK, colour_of_sums, contradicts
from cm4ai_assets.images.decode import PLANES, Plane
from cm4ai_assets.images.names import parse_image_name
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.tensors import DIMENSIONS, StoreRecord, read_plane, tensor_digest
from cm4ai_assets.storage.zips import MemberUnreadableError, read_member
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.threads import cores, in_order

if TYPE_CHECKING:
    import zarr

SAMPLE: Final = 6
_LEVELS: Final = 256
PROBLEMS_SHOWN: Final = 5


@dataclass(frozen=True)
class TensorAudit:
    """What the audit found.

    Attributes:
        rows: Rows of the tensor.
        sampled: Ids of the fields that were decoded again.
        planes: Planes that were compared.
        problems: Sentences; empty if the tensor may be published.
    """

    rows: int
    sampled: tuple[str, ...]
    planes: int
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing was found."""
        return not self.problems

    @property
    def summary(self) -> str:
        """The outcome in a sentence."""
        if self.problems:
            more = f"; and {len(self.problems) - PROBLEMS_SHOWN} more" if len(self.problems) > PROBLEMS_SHOWN else ""
            return "; ".join(self.problems[:PROBLEMS_SHOWN]) + more
        return (
            f"{self.rows:,} rows are the fields that the tables name, in their order; {self.planes} planes of "
            f"{len(self.sampled)} fields, decoded again from the ZIP by Pillow, equal the stored ones"
        )


def audit_tensor(
    array: zarr.Array[Any],
    record: StoreRecord,
    *,
    source: ByteSource,
    members: Sequence[Member],
    fields: pl.DataFrame,
    quality: pl.DataFrame,
    sample: int = SAMPLE,
    seed: int = 0,
) -> TensorAudit:
    """Hold a tensor against `if_fields`, `if_quality` and the ZIP.

    Args:
        array: The stored array, opened by zarr-python.
        record: What the store tells of itself.
        source: The ZIP.
        members: Its central directory.
        fields: The `if_fields` table.
        quality: The `if_quality` table.
        sample: How many fields are decoded again. The first and the last are always among them.
        seed: Which ones. The choice also depends on the ZIP.
    """
    stored = quality.filter(pl.col("tensor_index").is_not_null())
    problems = [*array_problems(array, record), *_row_problems(record, fields, stored)]
    if problems:  # rows that are not what they should be have no pixels to compare with
        return TensorAudit(record.n_fields, (), 0, tuple(problems))
    chosen = _sample(record, sample, seed)
    rows = stored.filter(pl.col("tensor_index").is_in(chosen)).select(
        "field_id", "channel", "tensor_index", "member", "pixel_sha256"
    )
    by_name = {member.name: member for member in members}
    claims = [_Claim(*row) for row in rows.iter_rows()]
    calls = ((claim, array, source, by_name) for claim in claims)
    for claim, found in zip(claims, in_order(_claim_problem, calls, workers=cores(), window=2 * cores()), strict=True):
        if found is not None:
            problems.append(f"{claim.field_id} {claim.channel} (row {claim.tensor_index}): {found}")
    sampled = rows["field_id"].unique(maintain_order=True).to_list()
    return TensorAudit(record.n_fields, tuple(sampled), rows.height, tuple(problems))


def reference_plane(data: bytes, channel: str, edge: int) -> Plane:
    """The plane that should be stored, by Pillow and numpy alone. Means round halves to even.

    Raises:
        ValueError: The image is painted in another channel's colour, or not in colour.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "RGB":
            raise ValueError(f"Pillow reads it as {image.mode}, not as RGB")
        counts = np.reshape(image.histogram(), (-1, _LEVELS))
        plane = np.asarray(image.getchannel(PLANES[channel]))
    colour = colour_of_sums((counts @ (np.maximum(np.arange(_LEVELS), DARK) - DARK)).tolist())
    if contradicts(colour, channel):
        raise ValueError(f"it is painted in {colour}, not in {channel}")
    factor = plane.shape[0] // edge
    if factor == 1:
        return plane
    sums = np.zeros((edge, edge), np.uint32)
    for row, column in np.ndindex(factor, factor):
        sums += plane[row::factor, column::factor]
    return np.asarray(np.rint(sums / factor**2), np.uint8)


def array_problems(array: zarr.Array[Any], record: StoreRecord) -> Iterator[str]:
    """The array is not what the record says it is."""
    attributes = array.attrs.asdict()
    expected: Mapping[str, tuple[object, object]] = {
        "shape": (tuple(array.shape), record.shape),
        "dtype": (str(array.dtype), "uint8"),
        "dimensions": (tuple(getattr(array.metadata, "dimension_names", None) or ()), DIMENSIONS),
        "fields and channels per chunk": (tuple(array.chunks[:2]), (1, 1)),
        "channels": (tuple(channel.get("name") for channel in _channels(attributes)), CHANNELS),
        "source planes": (
            tuple(channel.get("source_plane") for channel in _channels(attributes)),
            tuple(PLANES.values()),
        ),
        "source_sha256": (attributes.get("source_sha256"), record.source_sha256),
        "edge": (attributes.get("edge"), record.edge),
        "pixel_code_version": (attributes.get("pixel_code_version"), record.version),
    }
    for name, (actual, wanted) in expected.items():
        if actual != wanted:
            yield f"the array's {name}: {actual}, not {wanted}"


def _channels(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    channels = attributes.get("channels")
    return [channel for channel in channels if isinstance(channel, dict)] if isinstance(channels, list) else []


def _row_problems(record: StoreRecord, fields: pl.DataFrame, stored: pl.DataFrame) -> Iterator[str]:
    """The tables do not name the rows of the tensor, one after the other."""
    in_tensor = fields.filter(pl.col("tensor_index").is_not_null())
    if in_tensor["tensor_index"].to_list() != list(range(record.n_fields)):
        yield f"if_fields numbers {in_tensor.height} rows, and not 0 to {record.n_fields - 1} in its own order"
    failed = in_tensor.filter(pl.col("field_id").is_in(list(record.failures)))
    if failed.height:
        yield f"if_fields has {failed.height} fields in the tensor that the pass left out, e.g. {failed['field_id'][0]}"
    expected = [
        (field_id, channel, index)
        for field_id, index in in_tensor.select("field_id", "tensor_index").iter_rows()
        for channel in CHANNELS
    ]
    if stored.select("field_id", "channel", "tensor_index").rows() != expected:
        yield "if_quality does not name the four channels of each row of if_fields, in the same order"
    swapped = [
        f"{field_id} {channel} in {colour}"
        for field_id, channel, colour in stored.select("field_id", "channel", "colour").iter_rows()
        if contradicts(colour, channel)
    ]
    if swapped:
        yield f"{len(swapped)} planes are painted in another channel's colour, e.g. {swapped[0]}"
    if tensor_digest(stored["pixel_sha256"]) != record.digest:
        yield "the pixel digests of if_quality do not add up to the digest of the tensor"


def _sample(record: StoreRecord, count: int, seed: int) -> list[int]:
    ends = {0, record.n_fields - 1} if record.n_fields else set()
    between = sorted(set(range(record.n_fields)) - ends)
    chance = random.Random(f"{record.source_sha256} {seed}")  # noqa: S311 - a choice that can be repeated
    return sorted(ends | set(chance.sample(between, min(max(count - len(ends), 0), len(between)))))


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a row of `if_quality` says about one stored plane."""

    field_id: str
    channel: str
    tensor_index: int
    member: str
    pixel_sha256: str


def _claim_problem(
    claim: _Claim, array: zarr.Array[Any], source: ByteSource, members: Mapping[str, Member]
) -> str | None:
    """Why the stored plane is not that of the field's image; None if it is."""
    name = parse_image_name(claim.member.rsplit("/", 1)[-1])
    if name is None or (name.field_id, name.channel) != (claim.field_id, claim.channel):
        return f"made from {claim.member!r}, which names another field or channel"
    if claim.member not in members:
        return f"made from {claim.member!r}, which is not in the ZIP"
    try:
        expected = reference_plane(read_member(source, members[claim.member]), claim.channel, array.shape[-1])
        actual = read_plane(array, claim.tensor_index, CHANNELS.index(claim.channel))
    except (MemberUnreadableError, OSError, ValueError, IndexError) as error:
        return f"cannot be compared with {claim.member!r}: {error}"
    if not np.array_equal(actual, expected):
        return f"{np.count_nonzero(actual != expected):,} of {actual.size:,} pixels differ from {claim.member!r}"
    if hashlib.sha256(actual.data).hexdigest() != claim.pixel_sha256:
        return "its digest is not that of if_quality"
    return None
