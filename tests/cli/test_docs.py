"""Commands in the docs: each is one that the parser accepts, each target is in the Makefile."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import pydoc
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import click
import numpy as np
import pytest
import soundfile as sf

import semisonic
from semisonic import recipes
from semisonic.cli.main import command
from semisonic.cli.parser import Session, Verb

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?[^)]*\)")
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]


def _lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                yield page.name, line.strip()


def _commands() -> list[str]:
    return sorted({line for _, line in _lines() if line.startswith("semisonic ")})


def parse(line: str) -> None:
    """Parse a command line as the program would, without running the verb."""
    arguments = shlex.split(line, comments=True)[1:]
    group: click.Command = command
    ctx = click.Context(command, info_name="semisonic", obj=Session())
    while isinstance(group, click.Group):
        if arguments[:1] in (["--help"], ["--version"], []):
            return
        _, found, arguments = group.resolve_command(ctx, arguments)
        assert found is not None
        group = found
    if arguments == ["--help"]:
        return
    assert isinstance(group, Verb)
    with group.make_context(group.name, arguments, parent=ctx) as inner:
        if "--config" not in arguments:
            group.options_from(inner, None)


@pytest.mark.parametrize("line", _commands())
def test_a_command_of_the_docs_is_understood(line) -> None:
    parse(line)


def test_a_wrong_command_would_be_seen() -> None:
    with pytest.raises(click.UsageError):
        parse("semisonic data info folder --no-such-option")


@pytest.mark.slow
def test_the_page_on_python_runs_from_top_to_bottom(tmp_path, monkeypatch) -> None:
    _write_sounds(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/guides/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = tmp_path / "page.py"
    script.write_text("\n".join([*blocks, "assert len(found.to_frame()) == 4"]), encoding="utf-8")
    ended = subprocess.run([sys.executable, script.name], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert {"birds.model", "mine.model", "entropy.model"} <= {f.name for f in tmp_path.iterdir()}


def _write_sounds(folder: Path) -> None:
    """What the page on Python speaks of: class folders, a table of them, and recordings."""
    rng = np.random.default_rng(0)
    time = np.arange(8000) / 8000
    rows = ["path,species"]
    for number in range(8):
        for kind, pitch in (("owl", 400), ("wren", 2500)):
            path = folder / "labelled" / kind / f"{number // 2}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = 0.3 * np.sin(2 * np.pi * (pitch + 20 * number) * time)
            sf.write(path, wave + rng.normal(0, 0.01, len(time)), 8000)
            rows.append(f"{path.relative_to(folder).as_posix()},{kind}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "recordings").mkdir()
    for name in "abcd":
        sf.write(folder / "recordings" / f"{name}.wav", rng.normal(0, 0.1, 8000), 8000)


def test_targets_of_the_docs_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    used = {m.group(1) for _, line in _lines() if (m := re.match(r"make ([a-z]+)", line))}
    assert used
    missing = {target for target in used if f"\n{target}:" not in makefile}
    assert not missing


def _site() -> ModuleType:
    """The functions that the site is built with: they make the pages of all commands."""
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = _site()
MADE = {f"{SITE.COMMANDS}/index.md", *(page for page, _, _ in SITE.command_pages())}


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain.lower()).strip())
        found.add(slug if slug not in found else f"{slug}_1")
    return found


def test_links_between_pages_lead_somewhere() -> None:
    dead = []
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
            file = Path(os.path.normpath(page.parent / target)) if target else page
            made = file.is_relative_to(ROOT / "docs") and (
                file.relative_to(ROOT / "docs").as_posix() in MADE
            )
            if not (made or file.exists()) or (
                anchor and file.suffix == ".md" and not made and anchor not in _anchors(file)
            ):
                dead.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert not dead


def test_pictures_of_the_docs_are_there_and_described() -> None:
    pictures = [
        (page, text, target)
        for page in PAGES
        for text, target in re.findall(
            r"!\[([^]]*)\]\((?!https:)([^)\s]+)", page.read_text(encoding="utf-8")
        )
    ]
    assert len(pictures) > 5
    for page, text, target in pictures:
        assert (page.parent / target).is_file(), f"{page.name}: {target}"
        assert len(text) > 10, f"{page.name}: {target} has no description"


def test_each_page_stands_once_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"([\w/-]+\.(?:md|ipynb))\s*$", NAVIGATION, re.MULTILINE)
    pages = [*PAGES, *(ROOT / "docs").rglob("*.ipynb")]
    written = {p.relative_to(ROOT / "docs").as_posix() for p in pages if "docs" in p.parts}
    assert sorted(listed) == sorted(
        {*written, *SITE.ROOT_PAGES.values(), f"{SITE.COMMANDS}/index.md"}
    )


def test_the_site_searches_from_a_disk_and_fetches_nothing_from_elsewhere() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "\n  - offline\n" in settings  # which takes its script from elsewhere unless it is named
    (named,) = re.findall(r"polyfills: \[([^\]]+)\]", settings)
    assert "iframe-worker" in named
    for script in named.split(", "):
        text = (ROOT / "docs" / script).read_text(encoding="utf-8")
        assert "https://unpkg" not in text
        assert "Permission is hereby granted" in text


@pytest.mark.parametrize(("site_url", "base"), [("", "."), ("https://owner.example/it/", "/it/")])
def test_the_page_for_a_wrong_address_finds_its_files(site_url: str, base: str) -> None:
    said_by_mkdocs = {"base_url": "/it/" if site_url else "/"}
    config = SimpleNamespace(site_url=site_url)
    assert SITE.on_template_context(said_by_mkdocs, "404.html", config)["base_url"] == base


def test_each_public_name_stands_once_in_the_reference() -> None:
    documented = _documented()
    public = {name.removeprefix("semisonic.") for name in documented if name.count(".") == 1}
    assert public == set(semisonic.__all__) - {"__version__"}
    assert len(documented) == len(set(documented))


def _documented() -> list[str]:
    pages = sorted((ROOT / "docs/reference/api").iterdir())
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^::: (semisonic\.[\w.]+)$", text, re.MULTILINE)


def _programs() -> Iterator[tuple[Path, str]]:
    """The Python code of pages, notebooks and examples."""
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            yield page, block
    for notebook in sorted((ROOT / "docs").rglob("*.ipynb")):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield notebook, "".join(cell["source"])
    for example in sorted((ROOT / "examples").glob("*.py")):
        yield example, example.read_text(encoding="utf-8")


def _taught(code: str) -> Iterator[str]:
    """The names of the package that a program imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("semisonic."):
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.startswith("semisonic."))


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("from semisonic.data.clips import Clips as C, join", ["Clips", "join"]),
        ("def f():\n    import semisonic.data.clips", [""]),
        ("import semisonic\nfrom semisonics import x", []),
    ],
)
def test_an_import_of_the_docs_would_be_seen(code: str, names: list[str]) -> None:
    assert list(_taught(code)) == [f"semisonic.data.clips.{name}".rstrip(".") for name in names]


def test_all_that_pages_notebooks_and_examples_import_is_in_the_reference() -> None:
    documented = [pydoc.locate(name) for name in _documented()]
    assert None not in documented
    named = {(name, page.name) for page, code in _programs() for name in _taught(code)}
    for page in PAGES:
        for name in re.findall(r"`(semisonic\.\w+\.[\w.]+)(?:\(\))?`", page.read_text("utf-8")):
            if not isinstance(pydoc.locate(name), ModuleType):
                named.add((name, page.name))
    assert len(named) > 30
    missing = {f"{page}: {name}" for name, page in named if pydoc.locate(name) not in documented}
    assert not missing, "put them into docs/reference/api, or do not teach them"


PACKAGE_WITH_CONSTANTS = """
import inspect
from dataclasses import dataclass

A, B = "a", "b"

@dataclass
class Options:
    n: int = 1 + 1
    name: str = A

DEFAULT = Options(name=B)

def f(x: str, kind: str = B, to: Options = DEFAULT, **options: int) -> None: ...

more = inspect.Parameter("size", inspect.Parameter.KEYWORD_ONLY, default=3, annotation="int")
seen = inspect.signature(f)
f.__signature__ = seen.replace(parameters=[*list(seen.parameters.values())[:-1], more])
"""


def test_signatures_of_the_reference_show_values_and_options(tmp_path, monkeypatch) -> None:
    griffe = pytest.importorskip("griffe")
    (tmp_path / "with_constants.py").write_text(PACKAGE_WITH_CONSTANTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    extensions = griffe.load_extensions("dataclasses", str(ROOT / "docs/site_signatures.py"))
    package = griffe.load("with_constants", search_paths=[tmp_path], extensions=extensions)
    shown = {one.name: str(one.default) for one in package["f"].parameters}
    assert shown == {"x": "None", "kind": "'b'", "to": "Options(name='b')", "size": "3"}
    assert [str(one.default) for one in package["Options"].parameters][1:] == ["2", "'a'"]


def test_python_blocks_of_the_docs_are_python() -> None:
    for path, code in _programs():
        compile(code, str(path), "exec")


def test_the_page_of_a_command_has_all_its_options() -> None:
    """Made in a process of its own: other tests register networks and augmentations in this one."""
    code = """
import site_hooks, click
for _, path, verb in site_hooks.command_pages():
    page = site_hooks.command_page(path, verb)
    missing = [o for p in verb.get_params(click.Context(verb)) if isinstance(p, click.Option)
               for o in p.opts if not o.startswith("--help") and f"`{o}" not in page]
    assert not missing, (path, missing)
    assert path in site_hooks.index_of_commands()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs", check=True)


def test_every_verb_has_help_and_examples_that_are_understood() -> None:
    seen = list(SITE.verbs())
    assert len(seen) >= 10
    for path, verb in seen:
        assert verb.help, path
        assert verb.examples, path
        for line in verb.examples:
            assert line.startswith(path), f"{path}: {line}"
            parse(line)


def test_the_recipe_of_the_docs_is_valid(tmp_path) -> None:
    from semisonic.experiments.recipe import read_recipe

    page = (ROOT / "docs/guides/experiments.md").read_text(encoding="utf-8")
    block, part = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "recipe.toml"
    file.write_text(part, encoding="utf-8")
    assert read_recipe(file).settings[0].segments.copies == ("pitch", "white")
    file.write_text(block, encoding="utf-8")
    assert len(read_recipe(file).settings) == 4
    assert read_recipe(file, quick=True).settings[0].fit.epochs == 5


def test_the_table_of_recipes_is_complete() -> None:
    page = (ROOT / "docs/guides/experiments.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \| .* \|$", page, re.MULTILINE)) >= set(recipes.names())


def test_recipes_of_the_docs_are_in_the_package() -> None:
    """Recipes by name; a path to a file is somebody's own."""
    pattern = re.compile(r" (?:run|tune) (?:recipes/)?([\w-]+)(?=\s|\.toml|$)")
    named = {name for line in _commands() for name in pattern.findall(line)}
    assert {"demo", "tune-demo"} <= named
    assert named - {"my-recipe"} <= set(recipes.names())


def test_the_tests_that_the_docs_name_are_there() -> None:
    named = set(
        re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs/results/seeds.md").read_text("utf-8"))
    )
    assert len(named) > 40
    assert not [name for name in sorted(named) if not (ROOT / name).is_file()]
