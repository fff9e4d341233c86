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
from semisonic.core.errors import SemisonicError
from semisonic.core.options import nearest

# A verb is named by the module that it lies in, which is imported when the verb is called, so that
# ``semisonic --help`` is there at once. Its function has its name, for ``data info`` data_info.
DATA_VERBS = {
    "info": ("data_verbs", "Count clips, classes, folds and recordings."),
    "check": ("data_verbs", "Look for leaks between folds and for duplicates."),
    "labels": ("data_verbs", "Convert label files of other tools, or cut windows."),
    "mix": ("data_verbs", "Mix clips into background: windows to train a detector on."),
    "get": ("data_verbs", "Fetch a published data set."),
    "synth": ("data_verbs", "Make the synthetic data set."),
}
ENCODER_VERBS = {
    "list": ("encoder_verbs", "Say which there are, under which licence, and which are here."),
    "get": ("encoder_verbs", "Fetch one, or take one from a file."),
}
PROJECT_VERBS = {
    "new": ("labeling_verbs", "Start from a folder of recordings without labels."),
    "suggest": ("labeling_verbs", "Write the table of what to listen to next."),
    "learn": ("labeling_verbs", "Learn from all answers so far, and measure."),
    "improve": ("labeling_verbs", "Let the encoder learn from the recordings."),
}
VERBS = {
    "scan": ("data_verbs", "Look at a disk of recordings: what is there, and what is wrong."),
    "pretrain": ("training_verbs", "Learn an encoder from recordings without labels."),
    "train": ("training_verbs", "Train a classifier from labelled recordings."),
    "encoder": ("main", "General encoders: list them, and get one by name."),
    "find-rate": ("training_verbs", "Try learning rates on the training clips."),
    "evaluate": ("training_verbs", "Measure a classifier on labelled recordings."),
    "calibrate": ("training_verbs", "Calibrate a classifier's scores."),
    "predict": ("listening_verbs", "Name the sounds in recordings."),
    "listen": ("listening_verbs", "Name sounds as they are heard."),
    "export": ("listening_verbs", "Write a model for use without Semisonic, as ONNX or torch."),
    "embed": ("labeling_verbs", "Turn recordings into vectors, to search and to look at."),
    "search": ("labeling_verbs", "Find the recordings that sound like an example."),
    "map": ("labeling_verbs", "Draw recordings as points to listen to; find clusters."),
    "detect": ("listening_verbs", "Find sounds in long recordings: from when to when."),
    "suggest": ("labeling_verbs", "Say which segments to listen to and to label next."),
    "project": ("main", "From a folder without labels to a first classifier."),
    "suspects": ("training_verbs", "Find labels that look wrong, to be listened to."),
    "curve": ("experiment_verbs", "Tell how many labels are needed, and what the pool brings."),
    "run": ("experiment_verbs", "Run a recipe: a whole experiment with its report."),
    "tune": ("experiment_verbs", "Search over a recipe's options, on training clips alone."),
    "data": ("main", "Look at recordings, check, decode, make or fetch them."),
    "cache": ("system_verbs", "List or delete what is kept for all runs."),
    "app": ("system_verbs", "A page in your browser: try, listen live, label, look at runs."),
    "info": ("system_verbs", "Say what a model or a run is, and what this machine has."),
}


class Verbs(click.Group):
    """A group that imports a verb when it is called.

    Parameters
    ----------
    verbs : mapping
        From a verb, in the order people need them, to its module and what it does.
    prefix : str
        What the names of their functions begin with.
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
        """The verbs in the order people need them."""
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
        What stands after ``semisonic``; by default what the process was started with.
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
        click.echo(f"{path}: {error.format_message()}\nSee '{path} --help'.", err=True)
        return Status.WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        advice = " The same command goes on where it stopped." if session.resumes else ""
        click.echo(f"\nInterrupted.{advice}", err=True)
        return Status.INTERRUPTED
    except Exception as error:
        if _is_of_closed_pipe(error):  # the reader of our output, such as 'head', has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Status.OK
        if session.traceback:
            traceback.print_exc()
        status, text = _told(error, session)
        click.echo(f"semisonic: {text}", err=True)
        return status


def _is_of_closed_pipe(error: Exception) -> bool:
    """Whether a stream could not be written because nobody reads it; Windows says EINVAL then."""
    is_einval = isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and is_einval)


def _told(error: Exception, session: Session) -> tuple[Status, str]:
    """How a command ends that an error ended, and what is said of it."""
    if isinstance(error, SemisonicError):
        return Status.WRONG_USE, str(error)
    if isinstance(error, OSError) and error.strerror:
        # A full disk, a missing permission: nothing that a look into our code could mend.
        where = f"{error.filename}: " if error.filename else ""
        full = ". Make room on the disk, and give the same command again"
        return Status.WRONG_USE, f"{where}{error.strerror}{full * (error.errno == errno.ENOSPC)}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"this is a bug of ours: {type(error).__name__}: {error} ({last.filename}:{last.lineno})"
    if session.log is not None and session.log.is_file():
        text += f"\nWhat led to it stands in {session.log}."
    elif not session.traceback:
        text += "\nThe same command with --traceback shows what led to it."
    return Status.OUR_BUG, text
