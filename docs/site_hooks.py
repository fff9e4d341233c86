"""What the site has beyond its pages: every command with its options, and files that pages name.

mkdocs calls the functions whose names begin with ``on_``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click

from semisonic.cli.main import Verbs, command
from semisonic.cli.parser import Flag, Verb

ROOT = Path(__file__).parents[1]
COMMANDS = "reference/commands"
API = "reference/api"
COPIES = "files"
"""Where the site keeps files that stand outside ``docs``, under the paths that they have."""
ROOT_PAGES = {
    "CONTRIBUTING.md": "development/contributing.md",
    "CHANGELOG.md": "development/changelog.md",
    "SECURITY.md": "development/security.md",
}
"""Pages of the repository's root, and where the site has them."""
HEAD = """# Commands

The terminal shows the same: `semisonic --help`, `semisonic VERB --help` for what is needed first,
`semisonic VERB --help-all` for every option. An option may be written with hyphens or underscores
(`--n-mels`, `--n_mels`). In a file for `--config` it is written with underscores, without the
dashes at the front.

| command | what it does |
| --- | --- |
"""
_LINK = re.compile(r"(\]\()((?!https?:|#|mailto:)[^)#\s]+)([^)]*\))")
_ROLE = re.compile(r":(?:py:)?(?:func|class|meth|mod|data|attr|exc):<code>~?")
_MERMAID = re.compile(
    r'<script type="module">(?:(?!</script>).)*?mermaid.*?</script>', re.DOTALL | re.IGNORECASE
)
_NAMED = re.compile(r"(?<!\[)`([\w./-]+\.(?:json|py|toml))`(?!\])")
RESULTS = "benchmarks/results"
"""Where a page that names a file alone, such as ``few-labels-4.json``, finds it."""


def on_config(config: Any) -> Any:
    """Each command stands in the navigation, where ``mkdocs.yml`` has the page of all commands."""
    place = next(
        entry for entry in _entries(config.nav) if entry.get("Commands") == f"{COMMANDS}/index.md"
    )
    place["Commands"] = [f"{COMMANDS}/index.md", *(page for page, _, _ in command_pages())]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of commands, pages of the repository's root, and the files that pages name."""
    from mkdocs.structure.files import File

    pages = {f"{COMMANDS}/index.md": index_of_commands()}
    for name, verb_path, verb in command_pages():
        pages[name] = command_page(verb_path, verb)
    for source, target in ROOT_PAGES.items():
        pages[target] = _moved((ROOT / source).read_text(encoding="utf-8"), source, target)
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for name in sorted(set(_files_named(files))):
        files.append(File.generated(config, f"{COPIES}/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files outside ``docs`` lead to their copies; a file named in a text is a link."""
    here = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        target = _outside(here, match[2])
        return match[1] + posixpath.relpath(target, here or ".") + match[3] if target else match[0]

    def linked(match: re.Match[str]) -> str:
        name = _file_named(match[1])
        if name is None:
            return match[0]
        return f"[{match[0]}]({posixpath.relpath(f'{COPIES}/{name}', here or '.')})"

    return _NAMED.sub(linked, _LINK.sub(inside, markdown))


def on_template_context(context: Any, template_name: str, config: Any) -> Any:
    """The page for a wrong address finds its files on a disk too, where the site has no address."""
    if template_name == "404.html" and not config.site_url:
        context["base_url"] = "."
    return context


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Names in docstrings, which are written for Sphinx (``:func:`name```), are code.

    In the reference of Python, a command is a link to its page. From pages of notebooks a script
    is taken that could load Mermaid from elsewhere.
    """
    html = _MERMAID.sub("", _ROLE.sub(r"<code>", html))
    if not page.file.src_uri.startswith(f"{API}/"):
        return html
    for name, path, _ in command_pages():
        address = posixpath.relpath(name, API).replace(".md", ".html")
        html = html.replace(f"<code>{path}</code>", f'<a href="{address}"><code>{path}</code></a>')
    return html


def verbs(group: Verbs = command, path: str = "semisonic") -> Iterator[tuple[str, Verb]]:
    """All verbs below a group with their full names."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if isinstance(found, Verbs):
            yield from verbs(found, f"{path} {name}")
        elif isinstance(found, Verb):
            yield f"{path} {name}", found


@cache
def command_pages() -> list[tuple[str, str, Verb]]:
    """Of each command its page, its full name and itself."""
    return [(f"{COMMANDS}/{'-'.join(path.split()[1:])}.md", path, verb) for path, verb in verbs()]


def index_of_commands() -> str:
    """The page of all commands: a line each."""
    rows = "\n".join(
        f"| [{path}]({posixpath.basename(page)}) | {(verb.help or '').partition(chr(10))[0]} |"
        for page, path, verb in command_pages()
    )
    return HEAD + rows + "\n"


def command_page(path: str, verb: Verb) -> str:
    """One command: what it does, examples, arguments, and a table for each group of options."""
    arguments = [flag for flag in verb.flags if flag.is_argument]
    places = " ".join(flag.place for flag in arguments)
    lines = [f"# {path}", "", f"`{path} {places}`".replace(" `", "`"), ""]
    lines += [(verb.help or "").replace("\n    ", "\n"), ""]
    lines += ["```bash", *verb.examples, "```", ""]
    for flag in arguments:
        lines.append(f"* `{flag.name.upper()}`: {flag.rule['help']}")
    for heading, members in verb.groups(click.Context(verb)).items():
        lines += ["", f"## {heading}", ""]
        lines += ["| option | what | allowed | default |", "| --- | --- | --- | --- |"]
        lines += [_row(*member) for member in members if "--help" not in member[0].opts]
    return "\n".join([*lines, ""])


def _row(parameter: click.Option, flag: Flag | None) -> str:
    cells = [_names(parameter, flag), parameter.help or "", "", ""]
    if flag is not None:
        allowed = ", ".join(flag.rule.get("choices") or ()) or flag.limits
        cells[1:] = [str(flag.rule["help"]), allowed, flag.shown]
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _names(parameter: click.Option, flag: Flag | None) -> str:
    """How an option is typed, with a letter for its value."""
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        return f"{names}, `{parameter.secondary_opts[0]}`"
    if flag is None or flag.rule.get("choices"):
        return names
    return names.removesuffix("`") + f" {flag.metavar}`"


def _entries(nav: Any) -> Iterator[dict[str, Any]]:
    for entry in nav if isinstance(nav, list) else ():
        if isinstance(entry, dict):
            yield entry
            for below in entry.values():
                yield from _entries(below)


def _outside(here: str, link: str) -> str | None:
    """Where the site has what a page in the folder ``here`` of ``docs`` links to outside it."""
    path = posixpath.normpath(posixpath.join("docs", here, link))
    if path.startswith(("docs/", "..")) or not (ROOT / path).is_file():
        return None
    return ROOT_PAGES.get(path, f"{COPIES}/{path}")


def _file_named(name: str) -> str | None:
    """The path of a file that a text names: from the repository's root, or a result alone."""
    if name.startswith(("benchmarks/", "recipes/", "examples/")) and (ROOT / name).is_file():
        return name
    return f"{RESULTS}/{name}" if (ROOT / RESULTS / name).is_file() else None


def _files_named(files: Any) -> Iterator[str]:
    for file in files.documentation_pages():
        here = posixpath.dirname(file.src_uri)
        text = file.content_string
        for match in _LINK.finditer(text):
            target = _outside(here, match[2])
            if target and target.startswith(f"{COPIES}/"):
                yield target.removeprefix(f"{COPIES}/")
        for match in _NAMED.finditer(text):
            if name := _file_named(match[1]):
                yield name


def _moved(text: str, source: str, target: str) -> str:
    """The text of a page of the repository's root, with its links as seen from its new place."""
    here = posixpath.dirname(target)

    def sub(match: re.Match[str]) -> str:
        path = posixpath.normpath(match[2])
        if path.startswith("docs/"):
            new = posixpath.relpath(path.removeprefix("docs/"), here)
        elif path in ROOT_PAGES:
            new = posixpath.relpath(ROOT_PAGES[path], here)
        else:
            new = posixpath.relpath(path, posixpath.join("docs", here))
        return match[1] + new + match[3]

    return _LINK.sub(sub, text)
