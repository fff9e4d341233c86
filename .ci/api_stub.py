"""Print ``src/semisonic/api.pyi``, which tells editors and type checkers the options of the verbs.

make stub
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from pathlib import Path

from semisonic import api
from semisonic.cli.keywords import groups_of
from semisonic.cli.parser import Verb

TITLE = "The verbs as Python functions. Written by ``make stub`` from the options of the verbs."


def stub() -> str:
    """The text of the stub, before ruff removes unused imports and formats it."""
    tree = ast.parse(Path(api.__file__).read_text(encoding="utf-8"))
    imports = [
        "from collections.abc import Iterable, Mapping",
        "from os import PathLike",
        "from typing import Any, Literal",
        *_imports(tree),
    ]
    functions = [
        getattr(api, node.name)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    head = [f'"""{TITLE}"""', *imports, "AnyPath = str | PathLike[str]"]
    return "\n".join([*head, *(_declared(function) for function in functions)]) + "\n"


def _imports(tree: ast.Module) -> list[str]:
    """The classes of results, as the module imports them for type hints, and those of groups."""
    modules: dict[str, set[str]] = defaultdict(set)
    for verbs in (api.data_verbs, api.experiment_verbs, api.listening_verbs, api.training_verbs):
        for verb in vars(verbs).values():
            for group in groups_of(verb).values() if isinstance(verb, Verb) else ():
                modules[group.__module__].add(group.__name__)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for one in node.body:
                modules[one.module] |= {name.name for name in one.names}
    return [
        f"from {module} import {', '.join(sorted(modules[module]))}" for module in sorted(modules)
    ]


def _declared(function) -> str:
    signature = inspect.signature(function)
    kind, lines = None, []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and kind is not one.KEYWORD_ONLY:
            lines.append("*")
        kind = one.kind
        default = "" if one.default is one.empty else f" = {one.default!r}"
        lines.append(f"{one.name}: {one.annotation}{default}")
    return f"def {function.__name__}({', '.join(lines)}) -> {signature.return_annotation}: ..."


if __name__ == "__main__":
    print(stub(), end="")
