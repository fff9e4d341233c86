"""The ``--help`` of a verb: arguments, options in their groups, examples."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from semisonic.apps.cli.flags import Flag
from semisonic.apps.cli.values import describe, shown

COMMON = "Common options"
_COMMON_FIELDS = ("output", "seed", "device", "workers")


def write(
    flags: Sequence[Flag],
    examples: Sequence[str],
    ctx: click.Context,
    formatter: click.HelpFormatter,
) -> None:
    """Write all sections below the usage line and the text of a verb, the context's command."""
    arguments = [(flag.name.upper(), describe(flag)) for flag in flags if flag.is_argument]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    again = repeated_groups(flags)
    for heading, rows in sections(flags, ctx).items():
        with formatter.section(heading):
            if heading in again:
                _write_text(again[heading], formatter)
            else:
                formatter.write_dl(rows)
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def repeated_groups(flags: Sequence[Flag]) -> dict[str, str]:
    """A sentence for each group that repeats an earlier one's options with a word in front."""
    tables: dict[tuple[str, ...], list[Flag]] = {}
    for flag in flags:
        if len(flag.path) > 1:
            tables.setdefault(flag.path[:-1], []).append(flag)
    sentences: dict[str, str] = {}
    seen: dict[tuple[str, ...], list[Flag]] = {}
    for place, members in tables.items():
        first = seen.setdefault(tuple(flag.path[-1] for flag in members), members)
        if first is not members and all(flag.name == "_".join(flag.path) for flag in members):
            sentences[members[0].group] = _as_before(first, members, "-".join(place))
    return sentences


def _as_before(first: Sequence[Flag], members: Sequence[Flag], prefix: str) -> str:
    changed = [
        f"--{flag.name.replace('_', '-')} {shown(flag)}"
        for flag, twin in zip(members, first, strict=True)
        if flag.default != twin.default
    ]
    differ = f" Other defaults: {', '.join(changed)}." if changed else ""
    example = f"--{members[0].name.replace('_', '-')}"
    return f"As '{first[0].group}', with '{prefix}-' in front, such as {example}.{differ}"


def _write_text(text: str, formatter: click.HelpFormatter) -> None:
    """Write a paragraph without parting the names of options at their hyphens."""
    indent = " " * formatter.current_indent
    lines = textwrap.wrap(
        text,
        formatter.width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    formatter.write("\n".join(lines) + "\n")


def sections(flags: Sequence[Flag], ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options under their headings, the common ones last."""
    found: dict[str, list[tuple[str, str]]] = {}
    common: list[tuple[str, str]] = []
    for parameter in ctx.command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or isinstance(parameter, click.Argument):
            continue
        if parameter.name == "help":
            record = (record[0], "show this text")
        group = group_of(flags, parameter)
        (common if group == COMMON else found.setdefault(group, [])).append(record)
    return {**found, COMMON: common}


def group_of(flags: Sequence[Flag], parameter: click.Parameter) -> str:
    """The heading that a parameter stands under."""
    flag = next((flag for flag in flags if flag.name == parameter.name), None)
    if flag is None or (len(flag.path) == 1 and flag.name in _COMMON_FIELDS):
        return COMMON
    return flag.group
