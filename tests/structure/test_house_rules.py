"""Rules of the house that a machine can check: options, packages, paths."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "semisonic"
CODE = sorted(
    file
    for folder in ("src", "tests", "benchmarks", "examples", "docs")
    for file in (ROOT / folder).rglob("*.py")
)

# They install beside the CPU build of torch and then fail at import, or bring gigabytes.
FORBIDDEN = re.compile(r"^(torchaudio|torchvision|torchcodec|timm|lightning|nvidia[-_].*)$")


def test_no_package_that_breaks_beside_the_cpu_build_of_torch() -> None:
    import torch

    names = {str(package.name).lower() for package in importlib.metadata.distributions()}
    forbidden = {name for name in names if FORBIDDEN.match(name)}
    if torch.version.cuda:  # a CUDA build needs its libraries
        forbidden = {name for name in forbidden if not name.startswith("nvidia")}
    assert not forbidden, f"uninstall {', '.join(sorted(forbidden))}"


def _options_classes() -> list[type]:
    """Every options class of the package: a frozen dataclass with fields made by option()."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if "option(" not in file.read_text(encoding="utf-8"):
            continue
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(p for p in parts if p != "__init__"))
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and dataclasses.is_dataclass(value)
                and value.__module__ == module.__name__
                and any("help" in field.metadata for field in dataclasses.fields(value))
            ):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return list(found.values())


def _names_read() -> dict[str, set[str]]:
    """The attributes that are read in each file of the package."""
    return {
        file.as_posix(): {
            node.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        }
        for file in PACKAGE.rglob("*.py")
    }


def test_every_option_is_read_somewhere() -> None:
    read = set().union(*_names_read().values())
    unused = [
        f"{cls.__qualname__}.{field.name}"
        for cls in _options_classes()
        for field in dataclasses.fields(cls)
        if field.name not in read
    ]
    assert not unused, f"options without effect: {', '.join(unused)}"


def _is_nested(field: dataclasses.Field[object]) -> bool:
    """Whether a field holds options of its own, or a list of such."""
    if field.default_factory is not dataclasses.MISSING:
        return True
    value = field.default
    inner = value if isinstance(value, tuple) else (value,)
    return bool(inner) and all(dataclasses.is_dataclass(one) for one in inner)


def test_every_option_has_a_help_text() -> None:
    silent = [
        f"{cls.__qualname__}.{field.name}"
        for cls in _options_classes()
        for field in dataclasses.fields(cls)
        if not field.metadata.get("help") and not _is_nested(field)
    ]
    assert not silent, f"options that --help cannot explain: {', '.join(silent)}"


def _nodes(file: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def test_only_the_command_line_prints() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}: {node.lineno}"
        for file in PACKAGE.rglob("*.py")
        if not file.is_relative_to(PACKAGE / "cli")
        for node in _nodes(file)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not found


def test_users_get_errors_and_no_assertions() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}: {node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in _nodes(file)
        if isinstance(node, ast.Assert)
    ]
    assert not found


def _leaves_encoding_to_the_system(call: ast.Call) -> bool:
    """Whether text is read or written in an encoding that differs between systems."""
    if {"encoding", None} & {word.arg for word in call.keywords}:
        return False
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name not in ("open", "TemporaryFile", "NamedTemporaryFile"):
        return False
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    texts = [one.value for one in given if isinstance(one, ast.Constant)]
    modes = [one for one in texts if isinstance(one, str) and re.fullmatch("[rwax][bt+]*", one)]
    if modes:
        return "b" not in modes[-1]
    return name == "open" and isinstance(call.func, ast.Name)


def test_text_files_have_one_encoding_on_every_system() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {node.lineno}"
        for file in CODE
        for node in _nodes(file)
        if isinstance(node, ast.Call)
        and _leaves_encoding_to_the_system(node)
        and ast.unparse(node.func) != "av.open"
    ]
    assert not found, f"give encoding='utf-8': {', '.join(found)}"


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("file.read_text()", True),
        ("file.write_text('a')", True),
        ("open(file)", True),
        ("file.open('a')", True),
        ("file.open(mode='w', newline='')", True),
        ("file.read_text('utf-8')", False),
        ("file.write_text('a', encoding='utf-8')", False),
        ("open(file, 'rb')", False),
        ("open(file, **how)", False),
        ("Project.open(file)", False),
    ],
)
def test_an_encoding_that_is_left_to_the_system_would_be_seen(code: str, is_found: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert _leaves_encoding_to_the_system(call) == is_found


# Written in two parts so that this file does not find itself.
PATH_OF_A_MACHINE = re.compile(r"(?<![\w.~}])/(?:work|home|root|Users|farm)" + r"/[\w.-]+")


def _tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_path_of_a_machine_is_written_down() -> None:
    found = []
    for file in _tracked_files():
        if not file.is_file() or file.is_relative_to(ROOT / "tests"):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{file.relative_to(ROOT)}: {m.group()}" for m in PATH_OF_A_MACHINE.finditer(text)
        ]
    assert not found


def test_a_path_of_a_machine_would_be_seen() -> None:
    home = "/ho" + "me/"
    assert PATH_OF_A_MACHINE.search(f"see {home}anna/sounds")
    assert not PATH_OF_A_MACHINE.search(f"https://example.org{home}page")


def test_names_of_test_files_are_unique() -> None:
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"pytest cannot tell apart: {', '.join(twice)}"
