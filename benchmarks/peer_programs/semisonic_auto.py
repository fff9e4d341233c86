"""Semisonic by its two commands, to know their time and memory."""

import os
import shlex
import subprocess
import sys

import way

COMMANDS = [
    # what a user writes
    "semisonic train labelled --unlabelled pool -o model",
    "semisonic predict model new -o predictions.csv",
    # end
]


def user(_: way.Job) -> None:
    for command in COMMANDS:
        words = [sys.executable, "-m", *shlex.split(command)]
        subprocess.run(words, check=True, env={**os.environ, "SEMISONIC_CACHE": "cache"})


if __name__ == "__main__":
    way.by_folders(user, ["semisonic", "torch"])
