"""s3fs, as this storage needs it: patient, verified as it uploads, and without requests that nobody needs.

Belongs here: what is particular to S3. Does not belong here: which filesystem a storage is on (`filesystems`), and how
files get under their names (`placing`).

- An answer that only says "not now" (503 SlowDown, 500) is waited out, up to `PATIENCE` seconds a request. A server
  that was never reached is an error at once: the address may be wrong. botocore and s3fs retry broken connections.
- Uploads go in parts of 16 MiB, four at a time, whatever the size: the memory is theirs. Each part carries its SHA-256,
  made of the very bytes that are sent, and the server refuses other bytes.
- A small object is one GET. s3fs asks for its size first, to read large ones in pieces, which may be of two versions.

docs/decisions/0039 says why.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import mimetypes
import random
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from fsspec.asyn import sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from s3fs import S3FileSystem
from s3fs.core import S3_RETRYABLE_ERRORS

from cm4ai_assets.errors import ConfigurationError, DigestMismatchError, StorageUnavailableError

_log = logging.getLogger(__name__)

PATIENCE: Final = 120.0
"""Seconds for which a request is tried again while the server answers that it cannot now."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 15.0

PART: Final = 16 * 1024 * 1024
AT_ONCE: Final = 4
_MOST_PARTS: Final = 10_000

_WRITER: Final = "cm4ai-writer"
# Codes of answers below 500 after which another try may succeed: slow or broken ways, and another writer's request.
_NOT_NOW: Final = frozenset({
    "BadDigest", "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown",
    "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
})  # fmt: skip
_RETRIES: Final = {"mode": "standard", "total_max_attempts": 2}
_REMEDY: Final = (
    "See that the server of CM4AI_STORAGE (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION) can be reached and is not overloaded,"
    " then do the same again: what was stored is kept, and nothing is half published."
)


@dataclass(frozen=True)
class _Upload:
    """A file on its way: where to, with which headers, in parts of how many bytes, and the digest it must have."""

    path: Path
    where: dict[str, Any]
    described: dict[str, str]
    part: int
    sha256: str | None

    def require(self, actual: str) -> None:
        """See that what was read of the file has its digest."""
        if self.sha256 not in {None, actual}:
            raise DigestMismatchError(
                f"{self.path} changed while it was stored.", remedy="Nothing was stored. Try again."
            )


class PatientS3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """See the module. Everything else is as in s3fs."""

    retries = 3

    _was_reached = False

    def _prepare_config_kwargs(self) -> dict[str, Any]:
        return {"retries": _RETRIES, **super()._prepare_config_kwargs()}

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - botocore's answers
        """One request, tried again while the server answers that it cannot now.

        Raises:
            StorageUnavailableError: It could not for `PATIENCE` seconds, or cannot be reached.
            ConfigurationError: There is no such bucket, or there are no credentials.
        """
        begun, wait = time.monotonic(), FIRST_WAIT
        while True:
            try:
                answer = await super()._call_s3(method, *args, **kwargs)
            except Exception as error:
                passing = self._passing(error)
                if passing is None:
                    if (stated := _misconfigured(error, kwargs)) is not None:
                        raise stated from error
                    raise
                waited = time.monotonic() - begun
                if waited + wait > PATIENCE or not (self._was_reached or _answer(error)):
                    raise _unavailable(method, kwargs, passing, waited) from error
                _log.warning("The storage answered %s with %s; it is asked again in %.0f s.", method, passing, wait)
                await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - so that many do not ask at once
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._was_reached = True
                return answer

    call_s3 = sync_wrapper(_call_s3)

    def _passing(self, error: Exception) -> str | None:
        """What an error says, if another try may succeed by itself; else None."""
        if isinstance(error, (ConnectionError, HTTPClientError)):
            return str(error)
        stated = _answer(error)
        if stated is None:
            return None
        code, status = stated
        is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
        return f"{status} {code}" if is_fault or code in _NOT_NOW else None

    async def _cat_file(
        self,
        path: str,
        version_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
        **settings: Any,  # noqa: ANN401 - s3fs's
    ) -> bytes:
        """The bytes of an object, or some of them, by one GET; fewer where it ends before."""
        try:
            data: bytes = await super()._cat_file(path, version_id, start, end, **{"max_concurrency": 1, **settings})
        except OSError as error:
            if (_answer(error) or ("", 0))[1] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return b""
            raise
        except S3_RETRYABLE_ERRORS as error:  # the answer began, and broke off each time
            raise _unavailable("get_object", {"Key": path}, str(error), 0) from error
        return data

    async def _file_size(self, path: str) -> int | None:
        """Bytes of an object, by one HEAD; None if there is none. Folders are not looked for."""
        head = await self._head(path)
        return None if head is None else int(head["ContentLength"])

    file_size = sync_wrapper(_file_size)

    async def _file_version(self, path: str) -> str | None:
        """The ETag of an object, by one HEAD; None if there is none."""
        head = await self._head(path)
        return None if head is None else str(head["ETag"])

    file_version = sync_wrapper(_file_version)

    async def _clock(self, path: str) -> datetime | None:
        """The time by the server's clock, as its answers state it; None where they do not."""
        bucket, _, _ = self.split_path(path)
        answer = await self._call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
        stated = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        try:
            return parsedate_to_datetime(stated).astimezone(UTC) if stated else None
        except ValueError:
            return None

    clock = sync_wrapper(_clock)

    async def _head(self, path: str) -> dict[str, Any] | None:
        bucket, key, _ = self.split_path(path)
        try:
            head: dict[str, Any] = await self._call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return None
        return head

    async def _pipe_file(self, path: str, data: bytes, *, mode: str = "overwrite", **kwargs: Any) -> Any:  # noqa: ANN401
        """A small object, by one PUT, with its SHA-256. With the mode `create` only if there is none.

        Raises:
            FileExistsError: There is one, and another writer's.
        """
        bucket, key, _ = self.split_path(path)
        stated = {"Body": data, **await self._checksum_of(hashlib.sha256(data).digest()), **kwargs}
        if mode != "create":
            return await self._call_s3("put_object", Bucket=bucket, Key=key, **stated)
        writer = uuid.uuid4().hex
        try:
            return await self._call_s3(
                "put_object", Bucket=bucket, Key=key, IfNoneMatch="*", Metadata={_WRITER: writer}, **stated
            )
        except OSError as error:
            if not is_refused(error):
                raise
            # An answer that was lost makes the second try meet what the first has created.
            there = await self._call_s3("head_object", Bucket=bucket, Key=key)
            if there.get("Metadata", {}).get(_WRITER) != writer:
                raise FileExistsError(path) from error
            return there

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,  # noqa: ANN401 - fsspec's
        *,
        sha256: str | None = None,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """A local file as an object, which appears once all of it has arrived.

        Args:
            lpath: The file.
            rpath: The object.
            callback: See fsspec.
            sha256: The digest that its bytes must have.

        Raises:
            DigestMismatchError: They have not, and nothing was stored.
        """
        bucket, key, _ = self.split_path(rpath)
        path = Path(lpath)
        size = path.stat().st_size  # noqa: ASYNC240
        kind = mimetypes.guess_type(path)[0]
        upload = _Upload(
            path,
            {"Bucket": bucket, "Key": key},
            {"ContentType": kind} if kind else {},
            max(PART, -(-size // _MOST_PARTS)),
            sha256,
        )
        with path.open("rb", buffering=0) as file:  # noqa: ASYNC230 - parts are read beside the loop
            await (self._put_parts(file, upload) if size > upload.part else self._put_whole(file, upload))
        callback.set_size(size)
        callback.relative_update(size)

    async def _put_whole(self, file: BinaryIO, upload: _Upload) -> None:
        data = await asyncio.to_thread(_read, file, upload.part)
        digest = await asyncio.to_thread(hashlib.sha256, data)
        upload.require(digest.hexdigest())
        checksum = await self._checksum_of(digest.digest())
        await self._call_s3("put_object", **upload.where, Body=data, **upload.described, **checksum)

    async def _put_parts(self, file: BinaryIO, upload: _Upload) -> None:
        """A file by parts. What was uploaded is given up if the last part does not follow."""
        checked = {"ChecksumAlgorithm": "SHA256"} if await self._checksum_of(b"") else {}
        begun = await self._call_s3("create_multipart_upload", **upload.where, **upload.described, **checked)
        parts_of = {**upload.where, "UploadId": begun["UploadId"]}
        try:
            await self._complete(parts_of, await self._upload_parts(file, upload, parts_of))
        except BaseException:
            with suppress(Exception):  # what cannot be given up now ends by the bucket's lifecycle rule
                await super()._call_s3("abort_multipart_upload", **parts_of)
            raise

    async def _upload_parts(self, file: BinaryIO, upload: _Upload, parts_of: dict[str, Any]) -> list[dict[str, Any]]:
        whole, parts = hashlib.sha256(), list[dict[str, Any]]()

        async def sent(number: int, data: bytes) -> dict[str, Any]:
            checksum = await self._checksum_of((await asyncio.to_thread(hashlib.sha256, data)).digest())
            answer = await self._call_s3("upload_part", **parts_of, PartNumber=number, Body=data, **checksum)
            return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

        while batch := [data for _ in range(AT_ONCE) if (data := await asyncio.to_thread(_read, file, upload.part))]:
            for data in batch:
                await asyncio.to_thread(whole.update, data)
            parts += await asyncio.gather(*[sent(len(parts) + n, data) for n, data in enumerate(batch, 1)])
        upload.require(whole.hexdigest())
        return parts

    async def _complete(self, parts_of: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        try:
            await self._call_s3("complete_multipart_upload", **parts_of, MultipartUpload={"Parts": parts})
        except FileNotFoundError:
            # An answer that was lost makes the second try meet an upload that is complete, and gone.
            there = await self._head(f"{parts_of['Bucket']}/{parts_of['Key']}")
            if there is None or there["ETag"].strip('"') != _etag(parts):
                raise

    async def _unfinished_uploads(self, root: str, before: datetime) -> list[dict[str, Any]]:
        """The uploads below a root that were begun before a moment, and neither completed nor given up."""
        bucket, key, _ = self.split_path(root)
        found, marks = list[dict[str, Any]](), dict[str, str]()
        while True:
            prefix = f"{key}/" if key else ""
            page = await self._call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **marks)
            found += [one for one in page.get("Uploads", []) if one["Initiated"] < before]
            if not page.get("IsTruncated"):
                return found
            marks = {name: page[f"Next{name}"] for name in ("KeyMarker", "UploadIdMarker")}

    async def _give_up_uploads(self, root: str, before: datetime) -> list[str]:
        """Give up the unfinished uploads below a root that were begun before a moment; their objects' names."""
        bucket, _, _ = self.split_path(root)
        found = await self._unfinished_uploads(root, before)
        for one in found:
            with suppress(FileNotFoundError):  # another did
                await self._call_s3("abort_multipart_upload", Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
        return [f"{bucket}/{one['Key']}" for one in found]

    give_up_uploads = sync_wrapper(_give_up_uploads)

    async def _checksum_of(self, digest: bytes) -> dict[str, str]:
        """The argument that has the server hold what arrives against its SHA-256, unless such headers are unwanted."""
        client = await self.set_session()
        if getattr(client.meta.config, "request_checksum_calculation", "") == "when_required":
            return {}
        return {"ChecksumSHA256": base64.b64encode(digest).decode()}


def is_refused(error: BaseException) -> bool:
    """The condition of a conditional write did not hold."""
    return (_answer(error) or ("", 0))[1] == HTTPStatus.PRECONDITION_FAILED


def _answer(error: BaseException) -> tuple[str, int] | None:
    """Code and status of an answer of the server that s3fs has made into an error; None if it was none."""
    cause = error if isinstance(error, ClientError) else error.__cause__
    if not isinstance(cause, ClientError):
        return None
    stated = cause.response
    return str(stated.get("Error", {}).get("Code", "")), int(stated["ResponseMetadata"].get("HTTPStatusCode", 0))


def _misconfigured(error: Exception, kwargs: dict[str, Any]) -> ConfigurationError | None:
    """What an error says of the settings; None if it says nothing of them."""
    if (_answer(error) or ("", 0))[0] == "NoSuchBucket":
        return ConfigurationError(
            f"The bucket {kwargs.get('Bucket')} does not exist.", remedy="Create it, or name another in CM4AI_STORAGE."
        )
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return ConfigurationError(
            f"The storage on S3 cannot be used: {error}.",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else gives this machine credentials.",
        )
    return None


def _unavailable(method: str, kwargs: dict[str, Any], said: str, waited: float) -> StorageUnavailableError:
    what = kwargs.get("Key") or kwargs.get("Prefix") or kwargs.get("Bucket", "")
    time_spent = f" for {waited:.0f} s" if waited >= 1 else ""
    return StorageUnavailableError(f"The storage failed{time_spent} at {method} of {what}: {said}.", remedy=_REMEDY)


def _read(file: BinaryIO, length: int) -> bytes:
    """So many bytes of a file, fewer only at its end."""
    parts, missing = [], length
    while missing and (data := file.read(missing)):
        parts.append(data)
        missing -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _etag(parts: list[dict[str, Any]]) -> str:
    """The ETag of an object that was uploaded by these parts."""
    joined = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"
