"""``verb``: makes a command of a function and the description of its options; and its help."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from semisonic.cli.flags import COMMON, Flag, as_toml, flags_of, options_of, read_config
from semisonic.cli.session import Session

_BASIC_COMMON = ("config", "dry_run", "help", "help_all")
_ALL = "semisonic.help_all"
"""Key of a context: whether the help is to show all options."""

Work = Callable[..., int | None]


def common_options() -> list[click.Parameter]:
    """``-q``, ``-v``, ``--traceback`` and ``--plugin``, for a verb or before it."""

    def remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        session = ctx.ensure_object(Session)
        if isinstance(value, tuple):
            session.plugins += value
        elif value:
            setattr(session, str(parameter.name), True)

    def flag(*names: str, help: str, **more: Any) -> click.Option:  # noqa: A002
        return click.Option(names, help=help, expose_value=False, callback=remember, **more)

    return [
        flag("-q", "--quiet", is_flag=True, help="results and errors only"),
        flag("-v", "--verbose", is_flag=True, help="also say what is being done"),
        flag("--traceback", is_flag=True, help="show where in the program an error arose"),
        flag(
            *("--plugin", "plugins"),
            multiple=True,
            metavar="MODULE",
            help="import a Python file or module that registers networks or augmentations; may be "
            "given several times",
        ),
    ]


def ending_option(
    name: str, text: str, show: Callable[[click.Context], None], **more: Any
) -> click.Option:
    """A flag that shows something in place of what the verb does."""

    def act(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            show(ctx)
            ctx.exit()

    return click.Option(
        [f"--{name}"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=act,
        help=text,
        **more,
    )


def _show_all(ctx: click.Context) -> None:
    ctx.meta[_ALL] = True
    click.echo(ctx.get_help(), color=ctx.color)


class Verb(click.Command):
    """A click command that knows its options, their groups and its examples.

    Parameters
    ----------
    function : callable
        Does the work; its docstring is the help.
    options_class : type, optional
        A frozen dataclass made with :func:`semisonic.core.options.option`; the function gets the
        options and the :class:`Session`. Without one the options are the function's parameters
        behind the session, with ``option(...)`` as their defaults; an underscore at the end of a
        parameter's name is not part of the option's. A field without a default
        becomes a positional argument, every other one ``--name``; nested options classes become
        groups.
    name : str
        The function's by default.
    arguments : sequence of str
        Fields with a default that must be given all the same, by their place.
    optional : sequence of str
        Fields with a default that may be given, by their place.
    basic : str
        The options that ``--help`` shows, with underscores and spaces between them;
        ``--help-all`` shows the rest. Without any ``--help`` shows all.
    examples : sequence of str
        Command lines that stand at the end of the help.
    resumes : bool
        Whether the same command goes on after an interruption; the closing line says so.
    plans : bool
        Whether ``--dry-run`` has a meaning: the function is then called with
        ``session.dry_run`` and must do nothing but say what it would do.
    extra : sequence of click.Option
        Options that do something else than the verb, such as a list, and end.
    """

    def __init__(
        self,
        function: Work,
        options_class: type | None = None,
        *,
        name: str = "",
        arguments: Sequence[str] = (),
        optional: Sequence[str] = (),
        basic: str = "",
        examples: Sequence[str] = (),
        resumes: bool = False,
        plans: bool = False,
        extra: Sequence[click.Option] = (),
    ) -> None:
        self.takes_options = options_class is not None
        self.options_class = options_class or _described_by(function)
        self.function, self.resumes = function, resumes
        self.basic, self.examples = basic.split(), tuple(examples)
        self.flags = flags_of(self.options_class, arguments, optional)
        config = click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="options from a TOML file, or from the run.json of an earlier run; the command "
            "line wins",
        )
        dry_run = click.Option(
            ["--dry-run"],
            is_flag=True,
            help="show the options that are not as by default (as a file for --config; with -v "
            "all) and what would be done",
        )
        help_all = ending_option("help-all", "show all options", _show_all, hidden=not basic)
        common = [config, *[dry_run] * plans, *common_options(), help_all]
        super().__init__(
            name or function.__name__.replace("_", "-"),
            params=[*(flag.parameter() for flag in self.flags), *extra, *common],
            help=(function.__doc__ or "").strip(),
            callback=self._start,
            context_settings={
                "token_normalize_func": lambda name: name.replace("_", "-"),
                "help_option_names": ["-h", "--help"],
            },
        )

    def groups(self, ctx: click.Context) -> dict[str, list[tuple[click.Option, Flag | None]]]:
        """The options under their headings, the common ones last, with what describes each."""
        flags = {flag.name: flag for flag in self.flags}
        found: dict[str, list[tuple[click.Option, Flag | None]]] = {}
        for parameter in self.get_params(ctx):
            flag = flags.get(parameter.name or "")
            if isinstance(parameter, click.Option) and not parameter.hidden:
                found.setdefault(flag.group if flag else COMMON, []).append((parameter, flag))
        found[COMMON] = found.pop(COMMON)
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments, options in their groups, and the examples.

        The short help holds the verb's ``basic`` options, the long one all in their groups.
        """
        arguments = [(flag.name.upper(), flag.help) for flag in self.flags if flag.is_argument]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        records = {
            heading: {str(one.name): one.get_help_record(ctx) or ("", "") for one, _ in members}
            for heading, members in self.groups(ctx).items()
        }
        if self.basic and not ctx.meta.get(_ALL):
            every = {name: one for group in records.values() for name, one in group.items()}
            shown = [*self.basic, *(name for name in _BASIC_COMMON if name in every)]
            with formatter.section("Options"):
                formatter.write_dl([every[name] for name in shown])
            formatter.write_paragraph()
            rest = len(every) - len(shown)
            formatter.write(f"{rest} more options: {ctx.command_path} --help-all\n")
        else:
            for heading, rows in records.items():
                with formatter.section(heading):
                    formatter.write_dl(list(rows.values()))
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.examples))

    def options_from(self, ctx: click.Context, config: Path | None) -> Any:
        """Build the options: the command line wins over the file, the file over defaults."""
        values = read_config(config, self.flags) if config else {}
        for flag in self.flags:
            if ctx.get_parameter_source(flag.name) is ParameterSource.COMMANDLINE:
                values[flag.key] = flag.parsed(ctx.params[flag.name])
            if flag.is_required and not values.get(flag.key):
                text = f"{flag.name.upper()} is missing: {flag.rule.get('help', '')}"
                raise click.UsageError(text, ctx)
        return options_of(self.options_class, values)

    def _start(self, *, config: Path | None, dry_run: bool = False, **_: Any) -> int:
        ctx = click.get_current_context()
        session = ctx.ensure_object(Session)
        session.start(resumes=self.resumes)
        options = self.options_from(ctx, config)
        session.dry_run = dry_run
        if dry_run:
            click.echo(as_toml(options, self.flags, complete=session.verbose), nl=False)
        if self.takes_options:
            status = self.function(options, session)
        else:
            values = (getattr(options, field.name) for field in dataclasses.fields(options))
            status = self.function(session, *values)
        session.tell_cache()
        return status or 0


def verb(options_class: type | None = None, **settings: Any) -> Callable[[Work], Verb]:
    """Make a command of the function below; the parameters are those of :class:`Verb`.

    Examples
    --------
    >>> from semisonic.core.options import option
    >>> @verb(examples=["semisonic greet you"])
    ... def greet(session: Session, name: str = option(dataclasses.MISSING, "who")) -> None:
    ...     \"\"\"Greet somebody.\"\"\"
    >>> [flag.name for flag in greet.flags]
    ['name']
    """
    return lambda function: Verb(function, options_class, **settings)


def _described_by(function: Work) -> type:
    """An options class with the function's parameters behind the session."""
    hints = typing.get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    fields = [(one.name.rstrip("_"), hints[one.name], one.default) for one in parameters]
    return dataclasses.make_dataclass(f"{function.__name__}_options", fields, frozen=True)
