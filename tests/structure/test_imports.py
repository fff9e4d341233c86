"""Who may import whom, read from the files themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from waiting import LONG

PACKAGE = Path(__file__).parents[2] / "src" / "semisonic"

LOW = {"core"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "recipes": LOW,
    "audio": LOW,
    "features": LOW,
    "data": LOW | {"audio"},
    "models": LOW | {"features"},
    "learning": LOW | {"models", "features"},
    "training": LOW | {"data", "learning", "models", "features"},
    "evaluation": LOW | {"audio", "data"},
    "classifier": LOW
    | {"audio", "features", "data", "models", "learning", "training", "evaluation"},
    "labeling": LOW
    | {"audio", "features", "data", "models", "training", "evaluation", "classifier"},
    "experiments": LOW
    | {"recipes", "audio", "features", "data", "models", "learning", "training"}
    | {"evaluation", "classifier"},
    "cli": set(),  # glue: may import all
    "web": set(),
}
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_")
FILES = sorted(PACKAGE.rglob("*.py"))
# What a room may not import when it is imported itself: torch takes a second to start.
QUICK_ROOMS = ("core", "recipes", "audio", "data", "evaluation", "cli")


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in a file, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name, not a relative one"
            yield f"{node.module}", node.lineno
            for name in node.names:
                yield f"{node.module}.{name.name}", node.lineno


def faults(source: str, room: str) -> list[str]:
    """The imports of a file of a room that go up the list or sideways."""
    found: dict[tuple[int, str], str] = {}
    for module, line in imported_modules(ast.parse(source)):
        parts = module.split(".")
        if parts[0] != "semisonic" or len(parts) < 2 or parts[1] not in MAY_IMPORT:
            continue
        if room not in ("cli", "web") and parts[1] != room and parts[1] not in MAY_IMPORT[room]:
            found.setdefault((line, parts[1]), f"line {line}: {room} imports {module}")
    return list(found.values())


def test_every_room_has_its_place_in_the_order() -> None:
    assert set(ROOMS) <= set(MAY_IMPORT), "add the new room to MAY_IMPORT and to DESIGN"


def test_imports_go_down_only() -> None:
    found = [
        f"{place.as_posix()}: {fault}"
        for file in FILES
        if (place := file.relative_to(PACKAGE)).parts[0] in MAY_IMPORT
        for fault in faults(file.read_text(encoding="utf-8"), place.parts[0])
    ]
    assert not found


@pytest.mark.parametrize(
    ("source", "room", "n_faults"),
    [
        ("import semisonic.training.loop", "learning", 1),
        ("def f():\n    from semisonic.classifier.predict import predict", "data", 1),
        ("from semisonic import web", "classifier", 1),
        ("from semisonic.core.errors import DataError", "audio", 0),
        ("from semisonic.audio.read import read", "data", 0),
        ("from semisonic.audio.read import read", "models", 1),
        ("from semisonic import training", "web", 0),
    ],
)
def test_the_check_itself_sees_a_wrong_import(source: str, room: str, n_faults: int) -> None:
    assert len(faults(source, room)) == n_faults


def _without_type_hints(tree: ast.AST) -> ast.AST:
    """A file without what it imports for type hints alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            node.body = [ast.Pass()] if node.test.id == "TYPE_CHECKING" else node.body
    return tree


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle, wherever the import stands; none if there is no
    circle.
    """
    needs = {
        name: {
            module
            for module, _ in imported_modules(_without_type_hints(ast.parse(source)))
            if module in sources and module != name
        }
        for name, source in sources.items()
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    names = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in FILES]
    texts = [file.read_text(encoding="utf-8") for file in FILES]
    assert not circle(dict(zip(names, texts, strict=True)))


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("from semisonic.b import f", True),
        ("def g():\n    import semisonic.b", True),
        ("from semisonic import b", True),
        ("if TYPE_CHECKING:\n    from semisonic.b import f", False),
        ("import semisonic.c", False),
    ],
)
def test_a_circle_would_be_seen(source: str, is_found: bool) -> None:
    sources = {
        "semisonic.a": source,
        "semisonic.b": "from semisonic.a import g",
        "semisonic.c": "",
    }
    assert bool(circle(sources)) == is_found


def _loaded_after(*modules: str) -> set[str]:
    """The modules in memory after an import, in a process of its own."""
    code = f"import sys, {', '.join(modules)}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=LONG
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_no_library() -> None:
    loaded = _loaded_after("semisonic", "semisonic.api", "semisonic.cli.main")
    heavy = {"torch", "numpy", "pandas", "sklearn", "matplotlib", "scipy", "markupsafe", "PIL"}
    assert not loaded & heavy


def test_quick_rooms_do_not_import_torch() -> None:
    rooms = [f"semisonic.{room}" for room in QUICK_ROOMS if room in ROOMS]
    assert "torch" not in _loaded_after(*rooms)


SCRIPTS = sorted(
    file
    for folder in ("benchmarks", "examples")
    for file in (Path(__file__).parents[2] / folder).glob("*.py")
    if file.name != "onnx_without_semisonic.py"  # acts at once; test_export.py runs it
)
IMPORT_EACH = """
import runpy, sys
from pathlib import Path

folders, packages = {str(Path(name).parent) for name in sys.argv[1:]}, sys.path[1:]
for name in sys.argv[1:]:
    sys.path[:] = [str(Path(name).parent), *packages]
    before = set(sys.modules)
    try:
        runpy.run_path(name, run_name="imported")
    except Exception as error:
        print(f"{name}: {error!r}")
    for new in set(sys.modules) - before:  # a script finds nothing that another one imported
        if str(Path(getattr(sys.modules[new], "__file__", None) or "").parent) in folders:
            del sys.modules[new]
"""


def _failing_imports(scripts: list[Path]) -> list[str]:
    """What is said of those that cannot be imported, all in one process that is new."""
    command = [sys.executable, "-c", IMPORT_EACH, *map(str, scripts)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONG)
    return done.stdout.splitlines()


def test_every_script_can_be_imported_alone() -> None:
    assert len(SCRIPTS) >= 50
    assert not _failing_imports(SCRIPTS)


def test_a_script_that_counts_on_another_one_is_seen(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = tmp_path / "a/first.py", tmp_path / "b/second.py"
    first.write_text(
        f"import sys\nsys.path.append({str(second.parent)!r})\nimport second\n", encoding="utf-8"
    )
    second.write_text("here = 1\n", encoding="utf-8")
    third = tmp_path / "a/third.py"
    third.write_text("import second\n", encoding="utf-8")
    (said,) = _failing_imports([first, second, third])
    assert said.startswith(f"{third}: ModuleNotFoundError")
