"""Use the Semisonic that is installed as a newcomer would: sounds, a model, events, the app.

The Python of its environment runs this, from anywhere: ``python .ci/try.py``. It takes about a
minute on one core, and leaves nothing behind.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from pathlib import Path

LONG = 300.0  # seconds; for what hangs


def main() -> None:
    """Try everything in a folder of its own; an error ends it."""
    import semisonic

    here = Path(semisonic.__file__).resolve()
    if not here.is_relative_to(Path(sysconfig.get_path("purelib")).resolve()):
        sys.exit(f"found {here}, expected the installed package")
    if "torch" in sys.modules:
        sys.exit("import semisonic imports torch")
    for module in pkgutil.walk_packages(semisonic.__path__, "semisonic."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as place:
        commands(Path(place))
        app(Path(place))


def command() -> str:
    """The path of the command."""
    for name in ("semisonic", "semisonic.exe"):
        path = Path(sysconfig.get_path("scripts"), name)
        if path.is_file():
            return str(path)
    sys.exit("found no command 'semisonic' beside this Python")


def commands(place: Path) -> None:
    """From sounds to events."""
    call(place, "--help")
    print(call(place, "--version").strip(), flush=True)
    made = ("--n-classes", "3", "--clips-per-class", "5", "--clips-per-recording", "1")
    call(place, "data", "synth", "sounds", *made, "--n-pool", "4")
    call(place, "data", "info", "sounds/labels.csv")
    call(place, "run", "demo", "--dry-run", "-o", "dry")
    call(place, "train", "sounds/labels.csv", "-o", "model")
    call(place, "predict", "model", "sounds/pool", "-o", "predictions.csv")
    call(place, "detect", "model", "sounds/pool", "-o", "events")
    for name in ("model/model.zip", "predictions.csv", "events/events.csv"):
        if not (place / name).is_file():
            sys.exit(f"found no {name}")


def call(place: Path, *arguments: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        [command(), *arguments],
        cwd=place,
        capture_output=True,
        timeout=LONG,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        sys.exit(f"semisonic {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def app(place: Path) -> None:
    """The page answers, and goes with Ctrl-C."""
    own_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    process = subprocess.Popen(
        [command(), "app", "model", "--port", "0", "--no-browser"],
        cwd=place,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        creationflags=own_group,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        found = next(filter(None, (re.search(r"http://\S+", line) for line in lines)), None)
        if found is None:
            sys.exit(f"semisonic app: exit status {process.wait(LONG)}, no address")
        with urllib.request.urlopen(found[0], timeout=LONG) as answer:
            page = answer.read().decode()
        if "Semisonic" not in page:
            sys.exit(f"{found[0]}: found a page without the word 'Semisonic'")
        process.send_signal(signal.CTRL_BREAK_EVENT if own_group else signal.SIGINT)
        process.communicate(timeout=LONG)
        if process.returncode and not own_group:
            sys.exit(f"semisonic app: exit status {process.returncode} after Ctrl-C")
        print(f"the app answered at {found[0]}", flush=True)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
