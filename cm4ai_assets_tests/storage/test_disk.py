"""What a failing disk means, in the words of the operating system and of the libraries that write."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.errors import NoSpaceError, ScratchError, StorageUnavailableError
from cm4ai_assets.storage.disk import typed_disk_errors

FULL = Path("/dev/full")
MANY = pl.DataFrame({"value": range(100_000)})


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "write", [MANY.write_csv, MANY.write_ipc, MANY.write_parquet, lambda path: path.write_bytes(b"x")]
)
def test_a_disk_that_is_full_is_so_whoever_writes(write: Callable[[Path], object]) -> None:
    expected = r"^The disk of /out is full: No space left on device\. Free some"
    with pytest.raises(NoSpaceError, match=expected), typed_disk_errors(Path("/out")):
        write(FULL)


@pytest.mark.parametrize(
    "error",
    [
        OSError("No space left on device (os error 28)"),
        RuntimeError("Unable to close file (file write failed: time = Sat\n, errno = 28, error message = 'No space')"),
        OSError([("a", "b", "[Errno 28] No space left on device")]),
        OSError(errno.ENOSPC, "Can't write data (file write failed: time = Sat\n, errno = 28)"),
    ],
)
def test_a_full_disk_is_told_in_one_line(error: Exception) -> None:
    with (
        pytest.raises(NoSpaceError, match=r"is full: No space left on device\.") as caught,
        typed_disk_errors(Path("/out")),
    ):
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG])
def test_a_quota_and_a_limit_are_full_disks(number: int) -> None:
    for error in (OSError(number, "too much"), OSError(f"{os.strerror(number)} (os error {number})")):
        with pytest.raises(NoSpaceError, match=os.strerror(number)), typed_disk_errors(Path("/out")):
            raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        OSError("Permission denied (os error 13)"),
        OSError(errno.EIO, "Input/output error (os error 28)"),
        OSError("line 28 is short"),
    ],
)
def test_another_fault_of_a_disk_is_not_a_full_one(error: OSError) -> None:
    remedy = "Write elsewhere."
    with pytest.raises(ScratchError, match=r"cannot be used: .* Write"), typed_disk_errors(Path("/out"), remedy=remedy):
        raise error


def test_what_is_no_fault_of_a_disk_stays_what_it_is() -> None:
    for error in (ValueError("row 28"), StorageUnavailableError("The storage does not answer (os error 28).")):
        with pytest.raises(type(error)) as caught, typed_disk_errors(Path("/out")):
            raise error
        assert caught.value is error
