"""The ``--help`` of a verb: arguments, options in their groups, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semisonic.apps.cli.values import describe

if TYPE_CHECKING:
    from semisonic.apps.cli.parser import Verb


def write(verb: Verb, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write all sections below the usage line and the text."""
    arguments = [(flag.name.upper(), describe(flag)) for flag in verb.flags if flag.is_argument]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    for heading, rows in sections(verb, ctx).items():
        with formatter.section(heading):
            formatter.write_dl(rows)
    if verb.examples:
        with formatter.section("Examples"):
            for line in verb.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def sections(verb: Verb, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options under their headings, the common ones last."""
    from semisonic.apps.cli.parser import COMMON, group_of

    found: dict[str, list[tuple[str, str]]] = {}
    common: list[tuple[str, str]] = []
    for parameter in verb.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or isinstance(parameter, click.Argument):
            continue
        if parameter.name == "help":
            record = (record[0], "show this text")
        group = group_of(verb, parameter)
        (common if group == COMMON else found.setdefault(group, [])).append(record)
    return {**found, COMMON: common}
