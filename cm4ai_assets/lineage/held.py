"""The stored things of a chain, read again and each held against its digest.

Belongs here: which of them, once each. Does not belong here: reading and comparing (`storage.file_digests`,
`storage.documents`, `storage.blobs`), and checks of what they mean (`verification`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.lineage.chain import Chain
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.steps import Held, Member, Step, StepKind, Stored
from cm4ai_assets.lineage.traces import Trace
from cm4ai_assets.storage import documents, layout
from cm4ai_assets.storage.addresses import blob_of
from cm4ai_assets.storage.digests import ALGORITHMS, BLOCK
from cm4ai_assets.storage.zips import read_member


def held(chain: Chain, trace: Trace) -> tuple[Held, ...]:
    """Each stored thing of a chain, read again: tables, parts of stores, documents, published bytes, members.

    Of a store only the part that the chain is about is read, where it is about one; `cm4ai verify` reads all.
    """
    found = dict.fromkeys(place for step in trace.steps for place in _places(step))
    results = [_checked(chain, path, part, file) for path, part, file in found]
    members = {(step.origins[0].file, one): None for step in trace.steps if step.kind is StepKind.MEMBERS
               for one in step.members if step.origins}  # fmt: skip
    return (*results, *(one for one in (_member(chain, file, member) for file, member in members) if one is not None))


def _places(step: Step) -> Iterator[tuple[str, str | None, PublishedFile | None]]:
    stored: Stored | None = step.stored
    if stored is not None:
        yield stored.path, stored.part if step.kind in {StepKind.STORE, StepKind.PLANES} else None, step.file


def _checked(chain: Chain, path: str, part: str | None, file: PublishedFile | None) -> Held:
    named = f"{path}/{part}" if part else path
    try:
        detail, problems = _read(chain, path, part, file)
    except (KeyboardInterrupt, SystemExit):
        raise
    except (Cm4aiError, OSError) as error:
        return Held(named, "unreadable", (str(error),))
    return Held(named, detail, tuple(problems))


def _read(chain: Chain, path: str, part: str | None, file: PublishedFile | None) -> tuple[str, list[str]]:
    if (sha256 := blob_of(path)) is not None:
        return _blob(chain, sha256, file)
    if path.startswith(f"{layout.DOCUMENTS}/"):
        published = documents.read_current(chain.store, path)
        return f"{len(published.files)} files", documents.damage(chain.store, published)
    recorded = chain.store.digests.read(path)
    if recorded is None:
        return "no digest is recorded", []
    only = [part] if part is not None and part in recorded.files else None
    return "SHA-256" if only is None else "SHA-256 of this file", chain.store.digests.damage(path, only=only)


def _blob(chain: Chain, sha256: str, file: PublishedFile | None) -> tuple[str, list[str]]:
    """Stored bytes against their SHA-256, and against the digest that the archive publishes."""
    blob = chain.blobs.verify(sha256)
    if file is None or file.digest is None or file.digest_type == "SHA-256":
        return f"SHA-256, {blob.size:,} bytes", []
    digest = hashlib.new(ALGORITHMS[str(file.digest_type)], usedforsecurity=False)
    with chain.blobs.open_stream(sha256) as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    detail = f"SHA-256 and the published {file.digest_type}, {blob.size:,} bytes"
    if digest.hexdigest() == file.digest:
        return detail, []
    return detail, [f"{file.path} was published with {file.digest_type} {file.digest}, not {digest.hexdigest()}."]


def _member(chain: Chain, file: PublishedFile | None, member: Member) -> Held | None:
    """A member against its CRC-32; None where the ZIP is not stored."""
    directory = chain.directory(file.sha256) if file is not None else None
    if file is None or file.sha256 is None or directory is None:
        return None
    named = f"{file.path}!{member.name}"
    found = [one for one in directory.members if one.name == member.name]
    if len(found) != 1 or member.crc32 not in {None, found[0].crc32}:
        return Held(named, "CRC-32", ("The ZIP has no such member with the CRC-32 that the table states.",))
    try:
        with chain.blobs.open(file.sha256) as source:
            read_member(source, found[0])
    except (Cm4aiError, OSError) as error:
        return Held(named, "unreadable", (str(error),))
    return Held(named, f"CRC-32 {found[0].crc32:08x}")
