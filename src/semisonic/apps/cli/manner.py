"""``-q``, ``-v`` and ``--traceback``: how a call speaks; before or after the verb."""

from __future__ import annotations

import click

from semisonic.apps.cli.session import Session

_FLAGS = (
    (("-q", "--quiet"), "results and errors only"),
    (("-v", "--verbose"), "also say what is being done"),
    (("--traceback",), "show where in the program an error arose"),
)


def manner() -> list[click.Parameter]:
    """The options, for a verb or for what stands before it."""
    return [
        click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)
        for names, text in _FLAGS
    ]


def _remember(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and parameter.name is not None:
        setattr(ctx.ensure_object(Session), parameter.name, True)
