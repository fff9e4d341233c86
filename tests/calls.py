"""The command line, called as people type it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from semisonic.cli.main import main


def cli(*words: object) -> int:
    """The exit status of a command.

    Parameters
    ----------
    *words : str, path, or several
        A text is split into words; a path, a number and what stands in a list stays as it is.
    """
    arguments: list[str] = []
    for word in words:
        if isinstance(word, str):
            arguments += word.split()
        elif isinstance(word, Iterable) and not isinstance(word, os.PathLike):
            arguments += map(str, word)
        else:
            arguments.append(str(word))
    return main(arguments)
