"""``command_from``: a verb of the command line, made from its options dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from semisonic.apps.cli import help as help_text
from semisonic.apps.cli.config import read_config
from semisonic.apps.cli.flags import Flag, flags_of, options_of, place_of
from semisonic.apps.cli.manner import manner
from semisonic.apps.cli.session import Session
from semisonic.apps.cli.values import FlagType, as_toml, describe, gathered, metavar

SHORT = {"output": "-o", "k": "-k", "n": "-n"}


class Verb(click.Command):
    """A click command that knows its options class, its groups and its examples."""

    def __init__(
        self,
        options_class: type,
        function: Callable[[Any, Session], int | None],
        *,
        name: str,
        arguments: Sequence[str] = (),
        optional: Sequence[str] = (),
        examples: Sequence[str] = (),
        resumes: bool = False,
        plans: bool = False,
    ) -> None:
        self.options_class = options_class
        self.function = function
        self.examples = tuple(examples)
        self.resumes = resumes
        self.flags = flags_of(options_class, arguments, optional)
        super().__init__(
            name,
            params=[*map(_parameter, self.flags), *_common(plans)],
            help=(function.__doc__ or "").strip(),
            callback=self._start,
            context_settings={
                "token_normalize_func": _hyphens,
                "help_option_names": ["-h", "--help"],
            },
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments, options in their groups, and the examples."""
        help_text.write(self.flags, self.examples, ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; a path too many is most often the pool."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            has_pool = any(flag.name == "unlabelled" for flag in self.flags)
            if not (has_pool and "unexpected extra argument" in error.message):
                raise
            advice = "recordings without labels are given with --unlabelled"
            raise click.UsageError(f"{error.message}; {advice}", ctx) from error

    def options_from(self, ctx: click.Context, config: Path | None) -> Any:
        """Build the options: the command line wins over the file, the file over defaults."""
        values = read_config(config, self.flags) if config else {}
        for flag in self.flags:
            if ctx.get_parameter_source(flag.name) is ParameterSource.COMMANDLINE:
                values[flag.path] = gathered(flag, ctx.params[flag.name])
        for flag in self.flags:
            if flag.is_required and not values.get(flag.path):
                raise click.UsageError(
                    f"{flag.name.upper()} is missing: {flag.rule.get('help', '')}", ctx
                )
        return options_of(self.options_class, self.flags, values)

    def _start(self, *, config: Path | None, dry_run: bool = False, **_: Any) -> int:
        ctx = click.get_current_context()
        session = ctx.ensure_object(Session)
        session.start(resumes=self.resumes)
        options = self.options_from(ctx, config)
        session.dry_run = dry_run
        if dry_run:
            click.echo(as_toml(options), nl=False)
        status = self.function(options, session) or 0
        session.tell_cache()
        return status


def command_from(
    options_class: type,
    function: Callable[[Any, Session], int | None],
    *,
    name: str,
    arguments: Sequence[str] = (),
    optional: Sequence[str] = (),
    examples: Sequence[str] = (),
    resumes: bool = False,
    plans: bool = False,
) -> Verb:
    """Make a verb.

    Parameters
    ----------
    options_class : type
        A frozen dataclass made with :func:`semisonic.base.options.option`. A field without
        a default becomes a positional argument, every other one ``--name``; nested options
        classes become groups.
    function : callable
        Gets the options and the :class:`Session`; gives the exit status (None is 0). The
        first line of its docstring is the help of the verb.
    arguments : sequence of str
        Fields with a default that must be given all the same, by their place.
    optional : sequence of str
        Fields with a default that may be given, by their place.
    examples : sequence of str
        Command lines that stand at the end of the help.
    resumes : bool
        Whether the same command goes on after an interruption; the closing line says so.
    plans : bool
        Whether ``--dry-run`` has a meaning: the function is then called with
        ``session.dry_run`` and must do nothing but say what it would do.
    """
    return Verb(
        options_class,
        function,
        name=name,
        arguments=arguments,
        optional=optional,
        examples=examples,
        resumes=resumes,
        plans=plans,
    )


def _parameter(flag: Flag) -> click.Parameter:
    if flag.is_argument:
        return click.Argument(
            [flag.name],
            type=FlagType(flag),
            required=False,
            nargs=-1 if flag.is_list else 1,
            metavar=place_of(flag),
        )
    spelled = _hyphens(flag.name)
    names = [flag.name, f"--{spelled}"]
    if flag.name in SHORT:
        names.append(SHORT[flag.name])
    if flag.is_switch:
        names[1] = f"--{spelled}/--no-{spelled}"
        return click.Option(names, help=describe(flag), default=None)
    return click.Option(
        names,
        type=FlagType(flag),
        help=describe(flag),
        metavar=metavar(flag),
        multiple=flag.is_list,
        default=None,
    )


def _common(plans: bool) -> list[click.Parameter]:
    """What every verb has and no options class needs to know."""
    file = click.Path(path_type=Path, dir_okay=False)
    options: list[click.Parameter] = [
        click.Option(
            ["--config"],
            type=file,
            metavar="FILE",
            help="options from a TOML file, or from the run.json of an earlier run; "
            "the command line wins",
        ),
        *manner(),
    ]
    if plans:
        options.insert(
            1,
            click.Option(
                ["--dry-run"],
                is_flag=True,
                help="show all options (as a file for --config) and what would be done",
            ),
        )
    return options


def _hyphens(name: str) -> str:
    return name.replace("_", "-")
