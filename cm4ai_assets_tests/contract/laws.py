"""The laws of docs/architecture.md as functions over a source tree: each gives the sentences that name its violations.

Belongs here: reading source text by its syntax tree. Nothing of the package is imported, so that a planted violation
in a temporary tree is judged exactly as the package is.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "cm4ai_assets"

# The order of the rooms, lowest first: a room imports from those above it in this list, never from its neighbours.
ROOMS: tuple[frozenset[str], ...] = tuple(
    frozenset(tier.split())
    for tier in (
        "cycles heavy threads",
        "errors vocabulary identifiers suspects partitioning plain drawing",
        "runbook",
        "causes conditions releases settings findings",
        "software compiling",
        "tables",
        "storage",
        "coordination cluster",
        "transfer",
        "archives incidents",
        "crates croissant",
        "images proteomics perturbseq integration updates sandbox",
        "selecting",
        "peeking effects",
        "loading",
        "cells",
        "references",
        "lineage",
        "alerts",
        "access platform verification guard health showing overview retention science",
        "withdrawal exports",
        "publication",
        "status",
        "defs",
        "definitions",
        "cli",
        "demo",
        "daemon handbook",
        "ui worker",
    )
)

NETWORK = frozenset({
    "aiohttp", "apprise", "ftplib", "http.client", "httpcore", "httpx", "httpx2", "requests", "smtplib", "socket",
    "ssl", "urllib.request", "urllib3",
})  # fmt: skip
ON_THE_NETWORK = frozenset({"transfer", "archives", "alerts"})
SERVING = frozenset({"sandbox", "ui"})

# What makes a client, by the platform's method; and what fetches bytes, by function. All of it is acquisition.
CLIENTS = frozenset({"archive", "massive", "figshare", "ena", "ncbi", "usage_services", "describer", "watcher"})
FETCHERS = frozenset({"acquire", "acquire_file", "pull", "fetch"})

PRODUCTS = ("blobs/", "tables/", "tensors/", "documents/")


@dataclass(frozen=True)
class Module:
    """One module of the tree: its name below the package, and its syntax."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def imports(self) -> list[tuple[str, str]]:
        """Every import, wherever it stands: the module, and the name taken from it (empty for a plain import)."""
        return _imports(self.tree)

    @cached_property
    def executed_imports(self) -> list[tuple[str, str]]:
        """Those of `imports` that are more than a name for the type checker."""
        conditions = [node for node in ast.walk(self.tree) if isinstance(node, ast.If)]
        skipped = [one for node in conditions if _last_name(node.test) == "TYPE_CHECKING" for one in _imports(node)]
        return [one for one in self.imports if one not in skipped]


def _imports(tree: ast.AST) -> list[tuple[str, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def modules(root: Path) -> dict[str, Module]:
    """Every module below `root`, a folder that stands for the package, by its name; the package itself is ''."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        name = "" if name == "__init__" else name.removesuffix(".__init__")
        found[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")))
    return found


def _internal(imports: list[tuple[str, str]], every: Mapping[str, Module]) -> Iterator[str]:
    """Which of the modules of the tree are imported."""
    for source, name in imports:
        if source == PACKAGE or source.startswith(f"{PACKAGE}."):
            base = source.removeprefix(PACKAGE).removeprefix(".")
            whole = f"{base}.{name}".strip(".")
            yield whole if whole in every else base


def upward_imports(root: Path) -> list[str]:
    """Rooms import only from rooms below them, and every room has its place."""
    every = modules(root)
    tier = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    strange = {module.room for module in every.values()} - {"", *tier}
    found = [f"{room} has no place in the order of the rooms" for room in strange]
    for module in every.values():
        for target in _internal(module.imports, every):
            room = target.partition(".")[0]
            if module.room in tier and room in tier and room != module.room and tier[room] >= tier[module.room]:
                found.append(f"{module.name} imports {target}, which does not stand below it")
    return sorted(set(found))


def circles(root: Path) -> list[str]:
    """No module imports itself over others."""
    every = modules(root)
    graph = {
        name: {t for t in _internal(module.executed_imports, every) if t not in {name, ""}}
        for name, module in every.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def dagster_below_defs(root: Path) -> list[str]:
    """Only `defs`, what assembles it, and what stands above know Dagster."""
    first = next(number for number, rooms in enumerate(ROOMS) if "defs" in rooms)
    above = frozenset[str]().union(*ROOMS[first:])
    return [
        f"{module.name} imports {source}"
        for module in modules(root).values()
        if module.room not in above
        for source, _ in module.imports
        if source.partition(".")[0].startswith("dagster")
    ]


def defs_without_dagster(root: Path) -> list[str]:
    """`defs` is Dagster only: a module there that imports none of it belongs into another room."""
    found = []
    for module in modules(root).values():
        empty = all(isinstance(node, ast.Expr) for node in module.tree.body)
        uses = any(source.startswith(("dagster", f"{PACKAGE}.defs")) for source, _ in module.imports)
        if module.room == "defs" and not empty and not uses:
            found.append(f"{module.name} has nothing of Dagster in it")
    return found


def network_imports(root: Path) -> list[str]:
    """Only `transfer`, `archives` and `alerts` open connections; what serves on a port of its own takes a socket."""
    return [
        f"{module.name} imports {source}"
        for module in modules(root).values()
        if module.room not in ON_THE_NETWORK
        for source, name in module.imports
        if {source, source.partition(".")[0], f"{source}.{name}"} & NETWORK
        and not (source == "socket" and module.room in SERVING)
    ]


def storage_paths(root: Path) -> list[str]:
    """Only `storage` builds paths: nobody else reads a store's root or begins a path with a product's folder."""
    found = []
    for module in modules(root).values():
        if module.room in {"storage", "archives", "sandbox"}:  # an archive's own paths are not ours
            continue
        handed = set(_handed_over(module.tree))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr == "root" and _of_store(node) and node not in handed:
                found.append(f"{module.name}, line {node.lineno}: reads a store's root")
            if isinstance(node, ast.JoinedStr) and _begins(node).startswith(PRODUCTS):
                found.append(f"{module.name}, line {node.lineno}: builds a path below {_begins(node)}")
    return found


def _of_store(node: ast.Attribute) -> bool:
    return _last_name(node.value).endswith("store")


def _handed_over(tree: ast.Module) -> Iterator[ast.expr]:
    """Roots that are given, with their filesystem, to what lives in `storage`: `BlobStore(store.fs, store.root)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) == 2 and _last_name(node.args[0]) == "fs":
            yield node.args[1]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _begins(node: ast.JoinedStr) -> str:
    first = node.values[0] if node.values else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def private_dagster(root: Path) -> dict[str, set[str]]:
    """Per module, what it imports from Dagster's internals."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in modules(root).values():
        for source, name in module.imports:
            if any(part.startswith("_") for part in source.split(".")) and source.startswith("dagster"):
                found[module.name].add(f"{source}.{name}".strip("."))
    return dict(found)


def words(root: Path, banned: Mapping[str, str]) -> dict[str, int]:
    """How often each banned word stands in the package, as a word of prose or as (part of) a name."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py")))
    counts = {word: len(re.findall(rf"(?<![a-z]){word}(?![a-z])", text, re.IGNORECASE)) for word in banned}
    return {word: count for word, count in counts.items() if count}


RESULTS = frozenset({"AssetCheckResult", "AssetCheckEvaluation", "AssetMaterialization", "AssetObservation"})


def texts_past_the_border(root: Path) -> list[str]:
    """What a page shows as Markdown passes `pages.described`, and a failure's message `pages.failure`.

    A description that is a literal or a constant of the module is ours.
    """
    found = []
    for module in modules(root).values():
        if module.room != "defs" or module.name == "defs.pages":
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            maker = _last_name(node.func)
            if maker == "Failure":
                found.append(f"{module.name}, line {node.lineno}: makes a Failure of its own")
            given = [word.value for word in node.keywords if word.arg == "description"]
            if maker in RESULTS and not all(_is_ours(value) for value in given):
                found.append(f"{module.name}, line {node.lineno}: a description that is not described")
    return found


def _is_ours(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return _last_name(value.func) == "described"
    return isinstance(value, ast.Constant) or _last_name(value).isupper()


def checks_on_the_network(root: Path) -> list[str]:
    """No check and no page fetches anything: nothing that they call, however deep in `defs`, makes a client."""
    calls = _calls(modules(root))
    found = []
    for start in sorted(calls):
        if start[0].rpartition(".")[2] in {"checks", "archive_checks", "pages"}:
            found += [f"{'.'.join(start)} reaches {end}" for end in _reached(start, calls)]
    return found


Function = tuple[str, str]


def _calls(every: Mapping[str, Module]) -> dict[Function, tuple[set[Function], set[str]]]:
    """Of each function in `defs`: which functions there it names, and which clients or fetchers it uses."""
    found = {}
    for module in every.values():
        if module.room != "defs":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef):
                found[module.name, node.name] = _named(node, module)
    return found


def _named(function: ast.FunctionDef, module: Module) -> tuple[set[Function], set[str]]:
    origins = {name: source.removeprefix(f"{PACKAGE}.") for source, name in module.imports}
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    dotted = {(_last_name(node.value), node.attr) for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    functions = {(origins.get(name, module.name), name) for name in names}
    functions |= {(f"{origins[base]}.{base}", name) for base, name in dotted if base in origins}
    used = {name for name in names & FETCHERS if name in origins} | {
        name for base, name in dotted if base == "platform" and name in CLIENTS
    }
    return functions, used


def _reached(start: Function, calls: Mapping[Function, tuple[set[Function], set[str]]]) -> list[str]:
    seen, todo, found = {start}, [start], set[str]()
    while todo:
        functions, used = calls[todo.pop()]
        found |= used
        new = {function for function in functions if function in calls} - seen
        seen |= new
        todo += new
    return sorted(found)
