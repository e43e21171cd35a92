"""Filesystems for the tests of storage: one that shows a file while it is written, and one whose uploads break off."""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class PlainRemote(MemoryFileSystem):
    """A remote filesystem where a file is seen while it is written, as over SFTP or SMB.

    `fail_after` is the number of uploads that still succeed; the next one breaks off half way.
    """

    protocol = "plainremote"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    fail_after: int | None = None
    uploads: list[str] = []  # noqa: RUF012

    def put_file(self, lpath: Any, rpath: Any, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        cls.uploads.append(str(rpath))
        if cls.fail_after == 0:
            with self.open(rpath, "wb") as file:
                file.write(b"half")
            raise OSError("the connection broke off")
        if cls.fail_after is not None:
            cls.fail_after -= 1
        super().put_file(lpath, rpath, *args, **kwargs)

    @classmethod
    def reset(cls, *, fail_after: int | None = None) -> None:
        cls.fail_after = fail_after
        cls.uploads = []


fsspec.register_implementation("plainremote", PlainRemote, clobber=True)
