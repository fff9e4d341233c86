"""``verb``: makes a command of a function and the description of its options; and its help."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from semisonic.cli.flags import (
    Flag,
    FlagType,
    as_toml,
    describe,
    flags_of,
    gathered,
    metavar,
    options_of,
    place_of,
    read_config,
    shown,
)
from semisonic.cli.session import Session

# ``-q``, ``-v``, ``--traceback`` and ``--plugin``: for every verb; before or after it.


_FLAGS = (
    (("-q", "--quiet"), "results and errors only"),
    (("-v", "--verbose"), "also say what is being done"),
    (("--traceback",), "show where in the program an error arose"),
)


def common_options() -> list[click.Parameter]:
    """The options, for a verb or for what stands before it."""
    flags: list[click.Parameter] = [
        click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)
        for names, text in _FLAGS
    ]
    plugin = click.Option(
        ["--plugin"],
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        callback=_plug,
        help="import a Python file or module that registers networks or augmentations; may be "
        "given several times",
    )
    return [*flags, plugin]


def _plug(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    ctx.ensure_object(Session).plugins += names


def _remember(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and parameter.name is not None:
        setattr(ctx.ensure_object(Session), parameter.name, True)


# The ``--help`` of a verb: arguments, options in their groups, examples.


COMMON = "Common options"
_COMMON_FIELDS = ("output", "seed", "device", "workers")
_BASIC_COMMON = ("config", "dry_run", "help", "help_all")
ALL = "semisonic.help_all"
"""Key of a context: whether the help is to show all options."""


def write_help(command: Verb, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write all sections below the usage line and the text of a verb.

    The short help holds the verb's ``basic`` options, the long one all in their groups.
    """
    flags = command.flags
    arguments = [(flag.name.upper(), describe(flag)) for flag in flags if flag.is_argument]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    if command.basic and not ctx.meta.get(ALL):
        _write_basic(command, ctx, formatter)
    else:
        again = repeated_groups(flags)
        for heading, rows in sections(flags, ctx).items():
            with formatter.section(heading):
                if heading in again:
                    _write_text(again[heading], formatter)
                else:
                    formatter.write_dl(rows)
    if command.examples:
        with formatter.section("Examples"):
            for line in command.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _write_basic(command: Verb, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options that a person needs first, in the order of the verb's list."""
    records = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and not isinstance(parameter, click.Argument):
            is_help = "--help" in parameter.opts
            records["help" if is_help else parameter.name] = (
                (record[0], "show this text") if is_help else record
            )
    names = [*command.basic, *(name for name in _BASIC_COMMON if name in records)]
    with formatter.section("Options"):
        formatter.write_dl([records[name] for name in names])
    formatter.write_paragraph()
    rest = len(records) - len(names)
    formatter.write(f"{rest} more options: {ctx.command_path} --help-all\n")


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
        if "--help" in parameter.opts:
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


# The command that a verb is.


SHORT = {"output": "-o", "k": "-k", "n": "-n"}
Work = Callable[..., int | None]


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
        self.function = function
        self.basic = basic.split()
        self.examples = tuple(examples)
        self.resumes = resumes
        self.flags = flags_of(self.options_class, arguments, optional)
        common = _common(plans, bool(basic))
        super().__init__(
            name or function.__name__.replace("_", "-"),
            params=[*map(_parameter, self.flags), *extra, *common],
            help=(function.__doc__ or "").strip(),
            callback=self._start,
            context_settings={
                "token_normalize_func": _hyphens,
                "help_option_names": ["-h", "--help"],
            },
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments, options in their groups, and the examples."""
        write_help(self, ctx, formatter)

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
            click.echo(as_toml(options, complete=session.verbose), nl=False)
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


def ending_option(name: str, text: str, show: Callable[[click.Context], None]) -> click.Option:
    """A flag that shows something in place of what the verb does."""

    def act(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            show(ctx)
            ctx.exit()

    return click.Option(
        [f"--{name}"], is_flag=True, is_eager=True, expose_value=False, callback=act, help=text
    )


def _show_all(ctx: click.Context) -> None:
    ctx.meta[ALL] = True
    click.echo(ctx.get_help(), color=ctx.color)


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


def _common(plans: bool, hides: bool) -> list[click.Parameter]:
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
        *common_options(),
    ]
    if plans:
        options.insert(
            1,
            click.Option(
                ["--dry-run"],
                is_flag=True,
                help="show the options that are not as by default (as a file for --config; with "
                "-v all) and what would be done",
            ),
        )
    help_all = ending_option("help-all", "show all options", _show_all)
    help_all.hidden = not hides
    return [*options, help_all]


def _hyphens(name: str) -> str:
    return name.replace("_", "-")
