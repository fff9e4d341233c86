"""The command itself: which verbs there are, and how every call ends."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import click

from semisonic.cli.parser import common_options
from semisonic.cli.session import Session, Status
from semisonic.core.errors import SemisonicError
from semisonic.core.options import nearest

# A verb's module is imported when the verb is called, so that ``semisonic --help`` is there
# at once.


DATA_VERBS = {
    "info": ("data_verbs:data_info", "Count clips, classes, folds and recordings."),
    "check": ("data_verbs:data_check", "Look for leaks between folds and for duplicates."),
    "build": (
        "data_verbs:data_build",
        "Decode and resample all clips into a sample store.",
    ),
    "labels": (
        "data_verbs:data_labels",
        "Convert label files of other tools, or cut windows.",
    ),
    "mix": (
        "data_verbs:data_mix",
        "Mix clips into background: windows to train a detector on.",
    ),
    "get": ("data_verbs:data_get", "Fetch a published data set."),
    "synth": ("data_verbs:data_synth", "Make the synthetic data set."),
}
PROJECT_VERBS = {
    "new": (
        "labeling_verbs:project_new",
        "Start from a folder of recordings without labels.",
    ),
    "suggest": (
        "labeling_verbs:project_suggest",
        "Write the table of what to listen to next.",
    ),
    "learn": (
        "labeling_verbs:project_learn",
        "Learn from all answers so far, and measure.",
    ),
}
VERBS = {
    "scan": (
        "data_verbs:scan",
        "Look at a disk of recordings: what is there, and what is wrong.",
    ),
    "pretrain": (
        "training_verbs:pretrain",
        "Learn an encoder from recordings without labels.",
    ),
    "train": ("training_verbs:train", "Train a classifier from labelled recordings."),
    "convert": (
        "training_verbs:convert",
        "Make an encoder of a published network's weight file.",
    ),
    "find-rate": ("training_verbs:find_rate", "Try learning rates on the training clips."),
    "evaluate": ("training_verbs:evaluate", "Measure a classifier on labelled recordings."),
    "calibrate": (
        "training_verbs:calibrate",
        "Make a classifier's scores mean what they say.",
    ),
    "predict": ("listening_verbs:predict", "Say what is heard in recordings."),
    "listen": ("listening_verbs:listen", "Name sounds as they are heard."),
    "export": (
        "listening_verbs:export",
        "Write a model for use without Semisonic, as ONNX or torch.",
    ),
    "embed": (
        "labeling_verbs:embed",
        "Turn recordings into vectors, to search and to look at.",
    ),
    "search": ("labeling_verbs:search", "Find the recordings that sound like an example."),
    "map": ("labeling_verbs:draw_map", "Draw recordings as points to listen to; find clusters."),
    "detect": (
        "listening_verbs:detect",
        "Find sounds in long recordings: from when to when.",
    ),
    "suggest": (
        "labeling_verbs:suggest",
        "Say which stretches to listen to and to label next.",
    ),
    "project": ("main:project_command", "From a folder without labels to a first classifier."),
    "suspects": (
        "training_verbs:suspects",
        "Find labels that look wrong, to be listened to.",
    ),
    "curve": (
        "experiment_verbs:curve",
        "Tell how many labels are needed, and what the pool brings.",
    ),
    "run": ("experiment_verbs:run", "Run a recipe: a whole experiment with its report."),
    "tune": (
        "experiment_verbs:tune",
        "Search over a recipe's options, on training clips alone.",
    ),
    "data": ("main:data_command", "Look at recordings, check, decode, make or fetch them."),
    "cache": ("system_verbs:cache", "List or delete what is kept for all runs."),
    "app": (
        "system_verbs:app",
        "A page in your browser: try, listen live, label, look at runs.",
    ),
    "info": (
        "system_verbs:info",
        "Say what a model or a run is, and what this machine has.",
    ),
}


class Verbs(click.Group):
    """A group that imports a verb when it is called; a verb is named ``module:function``."""

    def __init__(self, verbs: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        own = attributes.pop("params", [])
        super().__init__(
            subcommand_metavar="VERB ...",
            options_metavar="",
            params=[*own, *common_options()],
            **attributes,
        )
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order people need them."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, imported now."""
        if cmd_name not in self.verbs:
            return None
        module, name = self.verbs[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"semisonic.cli.{module}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take 'help VERB' for 'VERB --help', and 'version' for '--version'."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        elif args == ["version"] and ctx.parent is None:
            args = ["--version"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or suggest the nearest."""
        if args and args[0] not in self.verbs and not args[0].startswith("-"):
            raise click.UsageError(f"no verb '{args[0]}': {nearest(args[0], self.verbs)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in self.verbs.items()])


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from semisonic import __version__

        click.echo(f"semisonic {__version__}")
        ctx.exit()


command = Verbs(
    VERBS,
    name="semisonic",
    help="Learn to recognise sounds from a few labels and many unlabelled recordings.",
    epilog="'semisonic VERB --help' shows the options of a verb, with defaults and examples.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (see :class:`Status`).

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``semisonic``; by default what the process was started with.
    """
    session = Session()
    _speak_anything()
    try:
        with command.make_context(
            "semisonic", list(sys.argv[1:] if arguments is None else arguments), obj=session
        ) as ctx:
            return int(command.invoke(ctx) or Status.OK)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return Status.WRONG_USE
    except click.UsageError as error:
        return _wrong_use(error.format_message(), error.ctx)
    except SemisonicError as error:
        return _failed(session, str(error), Status.WRONG_USE)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(session)
    except BrokenPipeError:
        # The reader of our output, such as 'head', has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.OK
    except Exception as error:
        return _bug(session, error)


def _speak_anything() -> None:
    """Print what a terminal has no letter for as an escape, instead of ending there."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _wrong_use(message: str, ctx: click.Context | None) -> Status:
    path = ctx.command_path if ctx else "semisonic"
    click.echo(f"{path}: {message}\nSee '{path} --help'.", err=True)
    return Status.WRONG_USE


def _failed(session: Session, message: str, status: Status) -> Status:
    if session.traceback:
        traceback.print_exc()
    click.echo(f"semisonic: {message}", err=True)
    return status


def _interrupted(session: Session) -> Status:
    advice = " The same command goes on where it stopped." if session.resumes else ""
    click.echo(f"\nInterrupted.{advice}", err=True)
    return Status.INTERRUPTED


def _bug(session: Session, error: Exception) -> Status:
    if isinstance(error, OSError) and error.strerror:
        # A full disk, a missing permission: nothing that a look into our code could mend.
        where = f"{error.filename}: " if error.filename else ""
        advice = ""
        if error.errno == errno.ENOSPC:
            advice = ". Make room on the disk, and give the same command again"
        return _failed(session, f"{where}{error.strerror}{advice}", Status.WRONG_USE)
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"this is a bug of ours: {type(error).__name__}: {error} ({last.filename}:{last.lineno})"
    if session.log is not None and session.log.is_file():
        text += f"\nWhat led to it stands in {session.log}."
    elif not session.traceback:
        text += "\nThe same command with --traceback shows what led to it."
    return _failed(session, text, Status.OUR_BUG)


data_command = Verbs(
    DATA_VERBS, name="data", help="Look at recordings, check, decode, make or fetch them."
)


project_command = Verbs(
    PROJECT_VERBS, name="project", help="From a folder without labels to a first classifier."
)
