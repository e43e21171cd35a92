"""The embedded archive: a synthetic release history in the published shapes, and the server that offers it.

>>> from cm4ai_assets.sandbox import SandboxServer, build          # doctest: +SKIP
>>> build(Path("sandbox"), fields=24)                              # doctest: +SKIP
>>> with SandboxServer(Path("sandbox")) as server: ...             # doctest: +SKIP
"""

from __future__ import annotations

from cm4ai_assets.sandbox.build import build
from cm4ai_assets.sandbox.defects import Defect, DefectKind
from cm4ai_assets.sandbox.ifzip import IfZip, write_if_zip
from cm4ai_assets.sandbox.server import SandboxServer, serve

__all__ = ["Defect", "DefectKind", "IfZip", "SandboxServer", "build", "serve", "write_if_zip"]
