"""Write ``docs/reference/options.md``: every verb with its options, from the options classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from semisonic.cli.main import Verbs, command
from semisonic.cli.parser import Flag, Verb

TARGET = Path(__file__).parent / "reference" / "options.md"
HEAD = """# All options

Made from the program by `make docs`; do not edit by hand. `semisonic VERB --help-all` shows
the same. An option may be written with hyphens or underscores (`--n-mels`, `--n_mels`). In a
file for `--config` it is written with underscores, without the dashes at the front.
"""


def reference() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for path, verb in verbs(command, "semisonic"):
        parts.append("\n".join(_section(path, verb)))
    return "\n".join(parts)


def verbs(group: Verbs, path: str) -> Iterator[tuple[str, Verb]]:
    """All verbs below a group with their full names."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if isinstance(found, Verbs):
            yield from verbs(found, f"{path} {name}")
        elif isinstance(found, Verb):
            yield f"{path} {name}", found


def _section(path: str, verb: Verb) -> Iterator[str]:
    arguments = [flag for flag in verb.flags if flag.is_argument]
    places = " ".join(flag.place for flag in arguments)
    yield f"## {path} {places}".rstrip()
    yield ""
    yield (verb.help or "").replace("\n    ", "\n")
    yield ""
    yield from ("```bash", *verb.examples, "```", "")
    for flag in arguments:
        yield f"* `{flag.name.upper()}`: {flag.rule['help']}"
    if arguments:
        yield ""
    for heading, members in verb.groups(click.Context(verb)).items():
        yield from (f"**{heading}**", "")
        yield from ("| option | what | allowed | default |", "| --- | --- | --- | --- |")
        for parameter, flag in members:
            if "--help" not in parameter.opts:
                yield _row(parameter, flag)
        yield ""


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


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
