"""``verb`` makes a command from a function and the typed description of its options, and its help.

Options dataclasses become flags and back: names, values, defaults from a file. A verb prints and
ends through its :class:`Session`.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import sys
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from semisonic.core.errors import OptionError
from semisonic.core.files import parse_json, parse_toml
from semisonic.core.options import (
    GIVEN,
    ValueType,
    default_of,
    field_types,
    from_mapping,
    given,
    given_names,
    nearest,
    toml_value,
)
from semisonic.core.text import visible

FAILURES_SHOWN = 10


class Status(IntEnum):
    """The exit status of the command."""

    OK = 0
    OUR_BUG = 1
    WRONG_USE = 2
    SOME_FAILED = 3
    INTERRUPTED = 130


class Session:
    """How one call of the command prints and ends.

    Attributes
    ----------
    quiet, verbose, traceback, dry_run : bool
        As given on the command line.
    resumes : bool
        Whether the same command continues an interrupted run.
    log : Path or None
        The log of the run, once a verb has a run folder; error messages name it.
    plugins : list of str
        Modules to import before anything is done.
    """

    def __init__(self) -> None:
        self.quiet = self.verbose = self.dry_run = self.traceback = self.resumes = False
        self.log: Path | None = None
        self.plugins: list[str] = []

    def start(self, *, resumes: bool) -> None:
        """Set up progress bars and messages as the options say, and what makes long work faster."""
        if self.quiet and self.verbose:
            raise click.UsageError("-q and -v contradict each other: give one of them")
        from semisonic.core import plugins, progress
        from semisonic.core.parallel import allow_processes, keep_freed_memory

        self.resumes = resumes
        progress.show_progress(not self.quiet)
        keep_freed_memory()
        allow_processes()
        level = logging.INFO if self.verbose else logging.WARNING
        _speak(logging.ERROR if self.quiet else level)
        for name in self.plugins:
            plugins.load(name)

    def say(self, text: str = "") -> None:
        """Print a line of the answer."""
        click.echo(visible(text))

    def note(self, text: str) -> None:
        """Print a remark on standard error; not with ``-q``."""
        if not self.quiet:
            click.echo(visible(text), err=True)

    def tell_cache(self) -> None:
        """Print the size of the run folder's cache, if there is one."""
        folder = self.log.parent / "cache" if self.log is not None else None
        if folder is not None and not self.dry_run and folder.is_dir():
            from semisonic.core.text import bytes_text
            from semisonic.core.user_cache import disk_size

            size = bytes_text(disk_size(folder))
            self.note(f"cache: {size} in {folder}; you can delete it, it is made again when needed")

    def failed(
        self,
        failures: Sequence[tuple[str, str]],
        listed_in: Path | None = None,
        what: str = "file",
    ) -> Status:
        """Name what failed, the first few in full, and give the exit status.

        Parameters
        ----------
        failures : sequence of (file, reason)
        listed_in : Path, optional
            The file that has the whole list.
        what : str
            What one failure is, in the singular.
        """
        if not failures:
            return Status.OK
        things = what if len(failures) == 1 else f"{what}s"
        click.echo(f"{len(failures)} {things} could not be used:", err=True)
        for file, reason in failures[:FAILURES_SHOWN]:
            # Some reasons repeat the file's name in front.
            click.echo(visible(f"  {file}: {reason.removeprefix(f'{file}: ')}"), err=True)
        if len(failures) > FAILURES_SHOWN:
            rest = f"  and {len(failures) - FAILURES_SHOWN} more"
            click.echo(f"{rest}, all in {listed_in}" if listed_in else rest, err=True)
        return Status.SOME_FAILED


class _Calm(logging.Formatter):
    """Messages alone, as a terminal can show them."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _speak(level: int) -> None:
    """Send the package's log messages to standard error, in a calm form."""
    logger = logging.getLogger("semisonic")
    logger.handlers = [h for h in logger.handlers if not getattr(h, "of_command", False)]
    handler = logging.StreamHandler(sys.stderr)
    handler.of_command = True  # type: ignore[attr-defined]
    handler.setLevel(level)
    handler.setFormatter(_Calm("%(message)s"))
    # The run folder logs traces, and what ended a run. The command says it itself.
    handler.addFilter(
        lambda one: not one.exc_info and not (one.name == "semisonic" and one.levelno >= 40)
    )
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.level or logging.INFO))


MAIN_GROUP = "Options"
COMMON = "Common options"
_COMMON_FIELDS = ("output", "seed", "device", "workers")
_SHORT = {"output": "-o", "k": "-k", "n": "-n"}
_METAVARS = {int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class Flag:
    """One option or argument of a verb.

    Attributes
    ----------
    key : str
        Where its value is in the options: ``mel.n_mels``.
    name : str
        Its name on the command line, with underscores. If two classes have a field of the same
        name, the outer one keeps it and the inner one is prefixed by the name of its group:
        ``duration`` and ``mel_duration``.
    type : ValueType
    default : object
    rule : mapping
        Help, unit, choices and range; see :func:`semisonic.core.options.option`.
    group : str
        The heading that lists it.
    is_argument, is_required : bool
        Whether it is given by its position, and whether it must be given.
    """

    key: str
    name: str
    type: ValueType
    default: Any
    rule: Mapping[str, Any]
    group: str
    is_argument: bool = False
    is_required: bool = False

    @property
    def place(self) -> str:
        """An argument as the usage line shows it: FILE, FILE... or [FILE]."""
        name = self.name.upper() + "..." * self.type.is_list
        return name if self.is_required else f"[{name}]"

    @property
    def has_commas(self) -> bool:
        """Whether commas separate several values: for numbers and choices, as free text may have
        commas.
        """
        is_free_text = self.type.kind in (str, Path) and not self.rule.get("choices")
        return self.type.is_list and not self.is_argument and not is_free_text

    @property
    def metavar(self) -> str:
        """The placeholder of the value in the help: N, X, TEXT, PATH or the choices."""
        choices = "|".join(self.rule.get("choices") or ())
        if choices and len(choices) <= 24:
            return choices
        return _METAVARS.get(self.type.kind, "TEXT") + ",…" * self.has_commas

    @property
    def unit(self) -> str:
        """The unit behind a number, with a space before it."""
        return f" {self.rule['unit']}" if self.rule.get("unit") else ""

    @property
    def limits(self) -> str:
        """The range of a number in words, empty when it has none."""
        low, high = self.rule.get("minimum"), self.rule.get("maximum")
        if low is None:
            return "" if high is None else f"at most {high:g}{self.unit}"
        return f"at least {low:g}{self.unit}" if high is None else f"{low:g} to {high:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The default as the help shows it, with its unit."""
        if self.default is None or self.default in ("", ()):
            return "none"
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        values = self.default if isinstance(self.default, tuple) else (self.default,)
        return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) + self.unit

    @property
    def help(self) -> str:
        """The description, the choices or range, and the default with its unit."""
        choices = ", ".join(self.rule.get("choices") or ())
        is_named = "|" in self.metavar and not self.is_argument
        parts = [f"one of {choices}"] if choices and not is_named else []
        parts += [self.limits] if self.limits else []
        text = str(self.rule.get("help", ""))
        is_told = self.default is None and "by default" in text
        parts += [] if self.is_argument or is_told else [f"default: {self.shown}"]
        return f"{text}  [{'; '.join(parts)}]" if parts else text

    def parameter(self) -> click.Parameter:
        """The parameter of click, which passes on what was typed; see :meth:`parsed`."""
        many = self.type.is_list
        if self.is_argument:
            n = -1 if many else 1
            return click.Argument([self.name], required=False, nargs=n, metavar=self.place)
        spelled = self.name.replace("_", "-")
        names = [self.name, f"--{spelled}"]
        if self.type.kind is bool:
            names[1] += f"/--no-{spelled}"
            return click.Option(names, help=self.help, default=None)
        names += [_SHORT[self.name]] if self.name in _SHORT else []
        return click.Option(names, help=self.help, metavar=self.metavar, multiple=many, type=str)

    def parsed(self, typed: Any) -> Any:
        """The value of what was typed: one text, or several for a list, also separated by commas.

        A text that is not a number stays text; the check of all options refuses it.
        """
        if not isinstance(typed, str | tuple):
            return typed
        texts = (typed,) if isinstance(typed, str) else typed
        if self.has_commas:
            texts = tuple(part.strip() for part in ",".join(texts).split(",") if part.strip())
        if self.type.may_be_none and not self.is_argument and "none" in map(str.lower, texts):
            return None
        values = tuple(map(self._one, texts))
        return values if self.type.is_list else values[0]

    def _one(self, text: str) -> Any:
        kind = self.type.kind
        try:
            return kind(text) if kind in (int, float, Path) else text
        except ValueError:
            return text


def flags_of(
    options_class: type, arguments: Collection[str] = (), optional: Collection[str] = ()
) -> list[Flag]:
    """All flags of an options class and its nested classes, outer ones first.

    Arguments are the fields without a default and those named in ``arguments``; those named
    in ``optional`` may be left out.
    """
    flags: dict[str, Flag] = {}
    found = _walk(options_class, dataclasses.MISSING, "", MAIN_GROUP)
    for flag in sorted(found, key=lambda flag: flag.key.count(".")):
        name = flag.key.replace(".", "_") if flag.name in flags else flag.name
        if name in flags:
            raise TypeError(f"{options_class.__name__} has two options '{name}'")
        required = flag.default is dataclasses.MISSING or name in arguments
        flags[name] = dataclasses.replace(
            flag, name=name, is_argument=required or name in optional, is_required=required
        )
    return list(flags.values())


def _walk(options_class: type, defaults: Any, above: str, group: str) -> Iterator[Flag]:
    """Go through the fields; ``defaults`` is the outer class's default for this one."""
    hints = field_types(options_class)
    for field in sorted(dataclasses.fields(options_class), key=lambda field: bool(field.kw_only)):
        hint, key = hints[field.name], f"{above}{field.name}"
        is_missing = defaults is dataclasses.MISSING
        default = default_of(field) if is_missing else getattr(defaults, field.name)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            text = field.metadata.get("help") or hint.__doc__ or hint.__name__
            title = text.strip().splitlines()[0].rstrip(".:").replace("`", "")
            yield from _walk(hint, default, f"{key}.", title[:1].upper() + title[1:])
        else:
            heading = COMMON if not above and field.name in _COMMON_FIELDS else group
            yield Flag(key, field.name, ValueType(hint), default, field.metadata, heading)


def options_of(options_class: type, values: Mapping[str, Any]) -> Any:
    """The options with these values, by the key of their flag; others have their defaults.

    Raises
    ------
    OptionError
        For a value of the wrong type, choice or range.
    """
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        here = tree
        for group in groups:
            here = here.setdefault(group, {})
        here[name] = value
    options: Any = from_mapping(options_class, tree)
    return options.settled() if hasattr(options, "settled") else options


def as_toml(options: Any, flags: Sequence[Flag], *, complete: bool = False) -> str:
    """The options as a TOML text that ``--config`` reads back.

    Options left to ``auto`` are comments.

    Parameters
    ----------
    options : dataclass
        Options of a verb.
    flags : sequence of Flag
        Those of the class.
    complete : bool
        Whether to write all options, or only those that were given or differ from their defaults.
    """
    left = getattr(options, "left_to_auto", ())
    held = set(given_names(options, left)) if left else set()
    tables: dict[str, list[str]] = {"": []}
    for flag in flags:
        table, _, name = flag.key.rpartition(".")
        value = attrgetter(flag.key)(options)
        above = attrgetter(table)(options) if table else options
        if flag.key not in held and (flag.key in left or table in left):
            line = f"# {name}: chosen by auto" * complete
        elif not complete and value == flag.default and name not in given(above, above):
            continue
        else:
            line = f"# {name}: not set" if value is None else f"{name} = {toml_value(value)}"
        tables.setdefault(table, []).append(line)
    parts = (
        []
        if complete
        else [("# all other options have their defaults or are chosen by auto (-v shows them)")]
    )
    for table, lines in tables.items():
        shown = list(filter(None, lines))
        parts += [f"\n[{table}]" * bool(table), *shown] if shown else []
    return "\n".join(parts).lstrip("\n") + "\n"


# Defaults from a file: a TOML of one's own, or the ``run.json`` of an earlier run.


def read_config(file: Path, flags: Sequence[Flag]) -> dict[str, Any]:
    """The values in a file, by the key of their flag; see :func:`values_of`.

    Raises
    ------
    OptionError
        If the file cannot be read or has a key that is not an option; it names the nearest.
    """
    kind = "JSON" if file.suffix == ".json" else "TOML"
    try:
        text = file.read_text(encoding="utf-8")
        found = parse_json(text) if kind == "JSON" else parse_toml(text)
    except OSError as error:
        raise OptionError(f"--config {file}: {error.strerror}") from error
    except ValueError as error:
        raise OptionError(f"--config {file}: not {kind}: {error}") from error
    if kind == "JSON" and isinstance(found, dict):
        found = found.get("options", found)  # a run record has versions, seeds and so on beside
    if not isinstance(found, dict):
        raise OptionError(f"--config {file}: found a {type(found).__name__}, expected options")
    held = found.pop(GIVEN, None)
    values = values_of(found, flags, f"--config {file}: ")
    if held is None:
        return values
    # A record of a run that left options to ``auto``: what nobody gave is left to it again.
    default = {flag.key: flag.default for flag in flags}
    return {key: one for key, one in values.items() if one != default[key] or key in held}


def values_of(table: Mapping[str, Any], flags: Sequence[Flag], where: str = "") -> dict[str, Any]:
    """The values in a mapping, by the key of their flag.

    A key may be the name of a flag (``n_mels``, ``n-mels``) or be in the table of its options
    class (``[mel] n_mels``); an options object may take the place of a table. ``where`` begins
    errors.

    Raises
    ------
    OptionError
        For a key that is not an option; it names the nearest.
    """
    groups = {f.key[:end] for f in flags for end, letter in enumerate(f.key) if letter == "."}
    keys = {flag.name: flag.key for flag in flags} | {flag.key: flag.key for flag in flags}
    values: dict[str, Any] = {}
    for key, value in _flat(table, groups):
        if key not in keys:
            above, _, name = key.rpartition(".")
            known = {one.rpartition(".")[2] for one in (*keys, *groups) if one.startswith(above)}
            raise OptionError(f"{where}unknown option '{key}': {nearest(name, known)}")
        values[keys[key]] = value
    return values


def _flat(table: Mapping[str, Any], groups: Collection[str], above: str = "") -> Iterator[Any]:
    """The dotted keys of a table and of the tables in it, with underscores, and their values."""
    for key, value in table.items():
        name = above + str(key).replace("-", "_")
        if name in groups and dataclasses.is_dataclass(value):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if name in groups and isinstance(value, Mapping):
            yield from _flat(value, groups, f"{name}.")
        else:
            yield name, value


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
        flag("-q", "--quiet", is_flag=True, help="print only results and errors"),
        flag("-v", "--verbose", is_flag=True, help="also print what is being done"),
        flag("--traceback", is_flag=True, help="show where in the program an error arose"),
        flag(
            *("--plugin", "plugins"),
            multiple=True,
            metavar="MODULE",
            help="import a Python file or module that registers networks or augmentations; may "
            "be repeated",
        ),
    ]


def ending_option(
    name: str, text: str, show: Callable[[click.Context], None], **more: Any
) -> click.Option:
    """A flag that prints something instead of running the verb."""

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
        options and the :class:`Session`. Without one, the options are the function's parameters
        after the session, with ``option(...)`` as their defaults; an underscore at the end of a
        parameter's name is not part of the option's. A field without a default becomes a
        positional argument, every other one ``--name``; nested options classes become groups.
    name : str
        The function's by default.
    arguments : sequence of str
        Fields with a default that must still be given, by their position.
    optional : sequence of str
        Fields with a default that may be given, by their position.
    basic : str
        The options that ``--help`` shows, with underscores and spaces between them; ``--help-all``
        shows the rest. If empty, ``--help`` shows all.
    examples : sequence of str
        Command lines for the end of the help.
    resumes : bool
        Whether the same command continues an interrupted run; the last line then says so.
    plans : bool
        Whether there is ``--dry-run``: the function is then called with ``session.dry_run`` and
        must only say what it would do.
    extra : sequence of click.Option
        Options that print something, such as a list, and exit.
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
            help="read options from a TOML file, or from the run.json of an earlier run; the "
            "command line wins",
        )
        dry_run = click.Option(
            ["--dry-run"],
            is_flag=True,
            help="show what would be done, and the options that differ from their defaults (-v: "
            "all) as a file for --config",
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
        """The options under their headings, the common ones last, with their descriptions."""
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

        The short help has the verb's ``basic`` options, the long one all options in their groups.
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
                text = f"{flag.name.upper()} is missing: give {flag.rule.get('help', '')}"
                raise click.UsageError(text, ctx)
        return options_of(self.options_class, values)

    def _start(self, *, config: Path | None, dry_run: bool = False, **_: Any) -> int:
        ctx = click.get_current_context()
        session = ctx.ensure_object(Session)
        session.start(resumes=self.resumes)
        session.dry_run = dry_run
        try:
            options = self.options_from(ctx, config)
            if dry_run:
                click.echo(as_toml(options, self.flags, complete=session.verbose), nl=False)
            if self.takes_options:
                status = self.function(options, session)
            else:
                values = (getattr(options, field.name) for field in dataclasses.fields(options))
                status = self.function(session, *values)
        except OptionError as error:
            raise OptionError(self._as_typed(str(error), ctx)) from error
        session.tell_cache()
        return status or 0

    def _as_typed(self, text: str, ctx: click.Context) -> str:
        """An error message with options named as on the command line."""
        for flag in self.flags:
            typed = ctx.get_parameter_source(flag.name) is ParameterSource.COMMANDLINE
            if typed and not flag.is_argument:
                shown = f"--{flag.name.replace('_', '-')}"
                text = text.replace(f"option '{flag.key}'", f"option '{shown}'")
        return text


def verb(options_class: type | None = None, **settings: Any) -> Callable[[Work], Verb]:
    """Make a command from the function below; the parameters are those of :class:`Verb`.

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
    """An options class of the function's parameters after the session."""
    hints = typing.get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    fields = [(one.name.rstrip("_"), hints[one.name], one.default) for one in parameters]
    return dataclasses.make_dataclass(f"{function.__name__}_options", fields, frozen=True)
