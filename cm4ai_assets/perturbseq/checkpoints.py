"""What a pass writes down so that a killed one goes on: whole or not at all, and only for the very same pass.

Belongs here: named arrays and a position in a folder of the scratch disk. Does not belong here: what they mean
(`passes`), and published files (`storage`).
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.disk import fsync_folder, make_folder, typed_disk_errors

_STATE: Final = "state.npz"
_BINDING: Final = "binding"

Arrays: TypeAlias = "dict[str, npt.NDArray[Any]]"


class Checkpoint:
    """The state of one pass in a folder of its own.

    Args:
        folder: Where; made if missing.
        binding: What the state is a function of: file, code, settings. A state of another binding is taken away.
    """

    def __init__(self, folder: Path, binding: Mapping[str, object]) -> None:
        self.folder = folder
        self._binding = json.dumps(binding, sort_keys=True)

    def load(self) -> Arrays | None:
        """The state that was saved last; None, and an empty folder, if there is none of this binding."""
        try:
            with np.load(self.folder / _STATE, allow_pickle=False) as stored:
                state = {name: stored[name] for name in stored.files}
            if str(state.pop(_BINDING)) == self._binding:
                return state
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            pass  # none, or not whole: the disk that keeps scratch promises nothing
        self.discard()
        make_folder(self.folder)
        return None

    def save(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the state by this one."""
        content = {**state, _BINDING: np.array(self._binding)}
        self._write(_STATE, lambda file: np.savez(file, allow_pickle=False, **content))

    def save_stripe(self, number: int, sums: npt.NDArray[np.float64]) -> None:
        """Write the finished sums of a stripe of genes."""
        self._write(self.stripe(number).name, lambda file: np.save(file, sums, allow_pickle=False))

    def stripe(self, number: int) -> Path:
        """Where the finished sums of a stripe stand."""
        return self.folder / f"stripe-{number:06d}.npy"

    def discard(self) -> None:
        """Take all of it away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        whole, partial = self.folder / name, self.folder / f"{name}.part"
        with typed_disk_errors(self.folder):
            with partial.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(whole)
            fsync_folder(self.folder)
