"""``-q``, ``-v``, ``--traceback`` and ``--plugin``: for every verb; before or after it."""

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
    flags: list[click.Parameter] = [
        click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)
        for names, text in _FLAGS
    ]
    plugin = click.Option(
        ["--plugin"], multiple=True, metavar="MODULE", expose_value=False, callback=_plug,
        help="import a Python file or module that registers networks or augmentations; may be "
        "given several times",
    )  # fmt: skip
    return [*flags, plugin]


def _plug(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    ctx.ensure_object(Session).plugins += names


def _remember(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and parameter.name is not None:
        setattr(ctx.ensure_object(Session), parameter.name, True)
