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

from semisonic.cli.parser import Session, Status, common_options, ending_option
from semisonic.core.errors import SemisonicError, is_of_memory, memory_text
from semisonic.core.files import why_refused
from semisonic.core.options import nearest
from semisonic.core.text import visible

# A verb is named by the module that it lies in, which is imported when the verb is called, so that
# ``semisonic --help`` is there at once. Its function has its name, for ``data info`` data_info.
DATA_VERBS = {
    "info": ("data_verbs", "Count clips, classes, folds and recordings."),
    "check": ("data_verbs", "Find copies of clips, and recordings that are in several folds."),
    "labels": ("data_verbs", "Convert label files of other tools, or cut windows."),
    "mix": ("data_verbs", "Mix clips into background, as windows to train a detector on."),
    "get": ("data_verbs", "Download a published data set."),
    "synth": ("data_verbs", "Make a data set of synthetic sounds."),
}
ENCODER_VERBS = {
    "list": (
        "encoder_verbs",
        "List the general encoders, their licences, and which are installed.",
    ),
    "get": ("encoder_verbs", "Download an encoder, or install one from a file."),
}
PROJECT_VERBS = {
    "new": ("labeling_verbs", "Start from a folder of recordings without labels."),
    "suggest": ("labeling_verbs", "Write the table of segments to listen to next."),
    "learn": ("labeling_verbs", "Learn from all answers so far, and measure."),
    "improve": ("labeling_verbs", "Train the encoder on the recordings."),
}
VERBS = {
    "scan": ("data_verbs", "Check a disk of recordings: what it contains, and what is damaged."),
    "pretrain": ("training_verbs", "Learn an encoder from recordings without labels."),
    "train": ("training_verbs", "Train a classifier from labelled recordings."),
    "encoder": ("main", "List general encoders, and get one by its name."),
    "find-rate": ("training_verbs", "Find a learning rate for a training."),
    "evaluate": ("training_verbs", "Measure a classifier on labelled recordings."),
    "calibrate": ("training_verbs", "Calibrate a classifier's scores."),
    "predict": ("listening_verbs", "Name the sounds in recordings."),
    "listen": ("listening_verbs", "Detect sounds live."),
    "export": (
        "listening_verbs",
        "Write a model to a file that runs without Semisonic (ONNX or torch).",
    ),
    "embed": ("labeling_verbs", "Turn recordings into embeddings, for search and map."),
    "search": ("labeling_verbs", "Find the recordings that sound like an example."),
    "map": ("labeling_verbs", "Draw a map of recordings to listen to; find groups."),
    "detect": ("listening_verbs", "Find when sounds begin and end in long recordings."),
    "suggest": ("labeling_verbs", "Choose the segments to listen to and label next."),
    "project": ("main", "Go from a folder without labels to a first classifier."),
    "suspects": ("training_verbs", "Find labels that look wrong, to check by listening."),
    "curve": (
        "experiment_verbs",
        "Estimate how many labels are needed, and whether the pool helps.",
    ),
    "run": ("experiment_verbs", "Run a recipe: a whole experiment with its report."),
    "tune": (
        "experiment_verbs",
        "Search for the best options of a recipe, on training clips only.",
    ),
    "data": ("main", "Inspect, check, convert, mix, download or make data sets."),
    "cache": ("system_verbs", "List or delete files that are kept for all runs."),
    "app": ("system_verbs", "Open a page in the browser: try a model, listen, label, see runs."),
    "info": ("system_verbs", "Describe a model, a run or this machine."),
}


class Verbs(click.Group):
    """A group that imports a verb when it is called.

    Parameters
    ----------
    verbs : mapping
        From a verb, in the order in which people need them, to its module and what it does.
    prefix : str
        The prefix of the names of their functions.
    """

    def __init__(
        self, verbs: Mapping[str, tuple[str, str]], prefix: str = "", **attributes: Any
    ) -> None:
        own = attributes.pop("params", [])
        super().__init__(
            subcommand_metavar="VERB ...",
            options_metavar="",
            params=[*own, *common_options()],
            **attributes,
        )
        self.verbs, self.prefix = verbs, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which people need them."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, imported now."""
        if cmd_name not in self.verbs:
            return None
        module = importlib.import_module(f"semisonic.cli.{self.verbs[cmd_name][0]}")
        command: click.Command = getattr(module, self.prefix + cmd_name.replace("-", "_"))
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


data = Verbs(DATA_VERBS, "data_", name="data", help=VERBS["data"][1])
encoder = Verbs(ENCODER_VERBS, "encoder_", name="encoder", help=VERBS["encoder"][1])
project = Verbs(PROJECT_VERBS, "project_", name="project", help=VERBS["project"][1])


def _show_version(_: click.Context) -> None:
    from semisonic import __version__

    click.echo(f"semisonic {__version__}")


command = Verbs(
    VERBS,
    name="semisonic",
    help="Learn to recognise sounds from a few labels and many unlabelled recordings.",
    epilog="'semisonic VERB --help' shows the options of a verb, with defaults and examples.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[ending_option("version", "Show the version and exit.", _show_version)],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (see :class:`Status`).

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``semisonic``; by default those that the process was started with.
    """
    session = Session()
    for stream in (sys.stdout, sys.stderr):  # what a terminal has no letter for is an escape
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
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
        path = error.ctx.command_path if error.ctx else "semisonic"
        message = f"{path}: {error.format_message()}\nSee '{path} --help'."
        click.echo(visible(message), err=True)
        return Status.WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        advice = " The same command continues where it stopped." if session.resumes else ""
        click.echo(f"\nInterrupted.{advice}", err=True)
        return Status.INTERRUPTED
    except Exception as error:
        if _is_of_closed_pipe(error):  # the reader of our output, such as 'head', has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Status.OK
        if session.traceback:
            traceback.print_exc()
        status, text = _told(error, session)
        click.echo(visible(f"semisonic: {text}"), err=True)
        return status


def _is_of_closed_pipe(error: Exception) -> bool:
    """Whether a stream could not be written because nobody reads it; Windows says EINVAL then."""
    is_einval = isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and is_einval)


def _told(error: Exception, session: Session) -> tuple[Status, str]:
    """The exit status for an error, and the message."""
    if isinstance(error, SemisonicError):
        return Status.WRONG_USE, str(error)
    if is_of_memory(error):
        return Status.WRONG_USE, memory_text(error)
    if isinstance(error, OSError) and error.strerror:
        # A full disk, a missing permission: nothing that a look into our code could mend.
        return Status.WRONG_USE, why_refused(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = (
        f"this is a bug in Semisonic: {type(error).__name__}: {error} "
        f"({last.filename}:{last.lineno})"
    )
    if session.log is not None and session.log.is_file():
        text += f"\nThe traceback is in {session.log}."
    elif not session.traceback:
        text += "\nRun the same command with --traceback to see where it arose."
    return Status.OUR_BUG, text
