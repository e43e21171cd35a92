"""A folder in the making that stands in the storage itself, because several machines write into it.

Belongs here: what this process and others put into one folder, and its way to its final path. Does not belong here:
temporary names and their clean-up (`staging`), digests (`file_digests`), or who writes what (`images.cluster`).

Where the storage is local, or a folder that all machines have mounted, this is a folder beside what is published, and
one rename publishes it. In an object store it is a prefix; its objects are copied within the store, the one that makes
the folder complete at the end.
"""

from __future__ import annotations

from pathlib import Path

import fsspec

from cm4ai_assets.storage.disk import is_temporary
from cm4ai_assets.storage.file_digests import Files, staged_files
from cm4ai_assets.storage.placing import is_local, keep_only, move_file, place_file


class SharedFolder:
    """One such folder. See `Store.shared_folder`.

    Args:
        fs: Filesystem of the storage.
        root: Storage root on that filesystem.
        path: Where the folder stands, relative to the storage root, for every machine that has the storage.
        local: Where this process writes its own files: the same folder where the storage is local.

    Attributes:
        path: See above.
        local: See above.
        address: The folder as `fs` names it.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, path: str, local: Path) -> None:
        self._fs, self._root = fs, root
        self.path, self.local, self.address = path, local, f"{root}/{path}"

    def complete(self, written: Files) -> Files:
        """Put what this process wrote beside what others wrote; from here on the folder can be read.

        Args:
            written: The files that others wrote.

        Returns:
            All files of the folder.
        """
        for path in [path for path in self.local.rglob("*") if is_temporary(path.name)]:
            path.unlink(missing_ok=True)  # what a worker was writing when it was killed
        own = staged_files(self.local, without=written)
        if not is_local(self._fs):
            for name in own:
                place_file(self._fs, self.local / name, f"{self.address}/{name}")
        return {**written, **own}

    def move(self, target: str, files: Files, *, last: str) -> None:
        """Bring the files to their final path, where they replace all that stands there; not for local storage.

        Args:
            target: The final path, relative to the storage root.
            files: What is in the folder.
            last: The file that comes last.
        """
        final = f"{self._root}/{target}"
        for name in sorted(files, key=lambda name: (name == last, name)):
            move_file(self._fs, f"{self.address}/{name}", f"{final}/{name}")
        keep_only(self._fs, final, [f"{final}/{name}" for name in files])
