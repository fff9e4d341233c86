"""The command as a whole: help, lazy verbs, exit statuses, messages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from calls import cli
from semisonic.cli import main as command_module
from semisonic.cli.main import DATA_VERBS, VERBS
from semisonic.cli.parser import Session, Status
from semisonic.cli.parser import verb as as_verb
from semisonic.core import progress
from semisonic.core.errors import AudioError, DataError
from semisonic.core.options import option
from systems import NAMES_OF_BYTES
from waiting import LONG


@dataclass(frozen=True)
class AskOptions:
    """What the verb of these tests is to do."""

    do: str = option("nothing", "what to do")


def ask(options: AskOptions, session: Session) -> int | None:
    """Do what is asked."""
    errors: dict[str, BaseException] = {
        "bug": ZeroDivisionError("three apples"),
        "data": DataError("clips.csv, row 3: found no label, expected one"),
        "audio": AudioError("a.wav", "empty", "record it again"),
        "memory": MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"),
        "torch": RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 400000000000 bytes. Error code 12"
        ),
        "map": OSError(12, "Cannot allocate memory", "features.bin"),
        "disk": OSError(28, "No space left on device", "runs/x"),
        "ctrl-c": KeyboardInterrupt(),
        "pipe": BrokenPipeError(),
    }
    if options.do in errors:
        raise errors[options.do]
    if options.do == "speak":
        session.say("answer")
        session.note("remark")
    if options.do == "fail":
        return session.failed([(f"{i}.wav", f"{i}.wav: empty") for i in range(12)])
    return None


@pytest.fixture(autouse=True)
def a_verb_that_does_what_is_asked(monkeypatch) -> Iterator[None]:
    verb = as_verb(AskOptions, resumes=True)(ask)
    monkeypatch.setitem(sys.modules, "semisonic.cli.the_verb_ask", SimpleNamespace(ask=verb))  # type: ignore[arg-type]
    monkeypatch.setitem(command_module.VERBS, "ask", ("the_verb_ask", "Ask."))
    yield
    progress.show_progress(False)


@pytest.mark.parametrize(
    ("do", "status", "message"),
    [
        ("nothing", 0, ""),
        ("bug", 1, "bug in Semisonic: ZeroDivisionError: three apples"),
        ("data", 2, "semisonic: clips.csv, row 3: found no label, expected one\n"),
        ("audio", 2, "semisonic: a.wav: empty. record it again\n"),
        ("disk", 2, "semisonic: runs/x: cannot be written (No space left on device). Make room"),
        ("memory", 2, "is not enough (Unable to allocate 7.45 GiB for an array"),
        ("torch", 2, "is not enough (400000000000 bytes were needed for one array). Close"),
        ("map", 2, "is not enough ([Errno 12] Cannot allocate memory: 'features.bin'). Close"),
        ("fail", 3, "12 files could not be used:\n  0.wav: empty\n"),
        ("fail", 3, "and 2 more"),
        ("ctrl-c", 130, "\nInterrupted. The same command continues where it stopped.\n"),
    ],
)
def test_how_a_call_ends(do, status, message, tells) -> None:
    error = tells(status, "ask --do", do).err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("do", ["bug", "data"])
def test_traceback_on_request(do, capsys) -> None:
    cli("ask --do", do, "--traceback")
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "in ask" in error


def test_quiet_leaves_the_answer(capsys) -> None:
    cli("ask --do speak")
    assert capsys.readouterr() == ("answer\n", "remark\n")
    assert progress._shown
    for quiet in (["ask", "-q", "--do", "speak"], ["-q", "ask", "--do", "speak"]):
        progress.show_progress(True)
        cli(quiet)
        assert capsys.readouterr() == ("answer\n", "")
        assert not progress._shown


def test_how_to_speak_may_be_said_before_or_after_the_verb(tells) -> None:
    assert "Traceback" in tells(2, "--traceback ask --do data").err
    assert "-q and -v contradict each other" in tells(2, "-q ask -v").err
    assert "no such file or folder" in tells(2, "data -q info nowhere").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aks"], "semisonic: no verb 'aks': did you mean 'ask'?\nSee 'semisonic --help'.\n"),
        (["data", "ifno"], "semisonic data: no verb 'ifno': did you mean 'info'?"),
        (["ask", "--od", "x"], "semisonic ask: No such option '--od'. Did you mean '--do'?"),
        (["ask", "more"], "unexpected extra argument"),
        (["ask", "--do"], "requires an argument"),
        (["--nothing"], "No such option"),
    ],
)
def test_wrong_use_ends_with_2_and_a_suggestion(arguments, message, tells) -> None:
    assert message in tells(Status.WRONG_USE, arguments).err


@NAMES_OF_BYTES
def test_a_name_that_is_no_unicode_is_said_with_escapes(tmp_path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    with open(folder + b"/a.wav", "wb") as stream:
        stream.write(b"no sound")
    found = subprocess.run(
        [sys.executable, "-m", "semisonic", "data", "info", "--fast", folder],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0
    assert r"name        \udcff" in found.stdout


def test_help_and_version(tells) -> None:
    from semisonic import __version__

    text = tells(0, "--help").out
    assert all(f"  {verb} " in text for verb in VERBS)
    text = tells(0, "data --help").out
    assert all(f"  {verb} " in text for verb in DATA_VERBS)
    assert tells(0, "--version").out == f"semisonic {__version__}\n"


@pytest.mark.parametrize("verb", [[], ["train"], ["predict"], ["run"], ["data", "check"], ["app"]])
def test_help_imports_no_library(verb) -> None:
    code = (
        f"import sys; from semisonic.cli.main import main; main([*{verb}, '--help']); "
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'pandas', 'matplotlib', 'soundfile'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_shows_what_is_needed_first_and_help_all_the_rest(tells) -> None:
    short = tells(0, "train --help").out
    long = tells(0, "train --help-all").out
    assert 10 <= short.count("\n  -") <= 16
    assert long.count("\n  -") > 60
    assert "--n-mels" not in short
    assert "semisonic train --help-all" in short
    assert "--n-mels" in long


def test_the_output_may_be_closed_early() -> None:
    code = (
        "import sys; from semisonic.cli.main import main; "
        "sys.exit(max(main(['--help']) for _ in range(2000)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(LONG)) == ("", 0)


def test_what_is_missing_or_misspelled_is_said_before_torch_is_loaded() -> None:
    script = """
import sys
from semisonic.cli.main import main
for arguments in (["run"], ["run", "dmo"], ["evaluate", "runs/x", "nofolder"], ["run", "--list"]):
    main(arguments)
    assert "torch" not in sys.modules, arguments
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "RECIPE is missing" in done.stderr
    assert "run --list" in done.stderr
    assert "did you mean 'demo'? Expected one of: all-labels" in done.stderr
    assert "nofolder: no such file or folder" in done.stderr
    assert "Do unlabelled recordings help" in done.stdout


def test_help_and_version_are_verbs_too(tells) -> None:
    assert tells(0, "version").out.startswith("semisonic ")
    assert "Verbs" in tells(0, "help").out
    assert "semisonic train" in tells(0, "help train").out
