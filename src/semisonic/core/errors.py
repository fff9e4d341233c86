"""The errors of the package; each says what happened, where, what was found, and what to do.

All have one root, so that a caller can catch them by one name. Wrong data and wrong options are
also a ``ValueError``, as in numpy, pandas and scikit-learn. The command line turns each error into
one message and exit status 2; any other exception is a bug and ends with status 1.
"""

from __future__ import annotations

import errno
import re

_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")
"""What torch's allocators say, by system and device."""
_WANTED = re.compile(r"tried to allocate ([\d.]+ (?:bytes|[KMGT]iB))", re.IGNORECASE)


class SemisonicError(Exception):
    """Root of all errors that the package raises on purpose."""


class AudioError(SemisonicError):
    """A recording cannot be used. ``reason`` is the short form for tables."""

    def __init__(self, file: object, reason: str, advice: str = "") -> None:
        self.file = str(file)
        self.reason = reason
        self.advice = advice
        super().__init__(f"{self.file}: {reason}" + (f". {advice}" if advice else ""))

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str, str]]:
        """Keep all fields when the error comes from another process."""
        return AudioError, (self.file, self.reason, self.advice)


class DataError(SemisonicError, ValueError):
    """A table, a folder or a split does not contain what it should."""


class OptionError(SemisonicError, ValueError):
    """An option or a key of a recipe is unknown, of the wrong type or out of range."""


class ModelError(SemisonicError):
    """A model file, an architecture or weights do not fit."""


def is_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch raises errors of its own."""
    if isinstance(error, RuntimeError):
        text = str(error).lower()
        return type(error).__name__ == "OutOfMemoryError" or any(x in text for x in _OUT_OF_MEMORY)
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError)


def memory_text(error: BaseException) -> str:
    """What was too large, as far as an error of memory says it, and what to do."""
    wanted = _WANTED.search(str(error))
    found = f"{wanted[1]} were needed for one array" if wanted else str(error).partition("\n")[0]
    reason = f" ({found})" if found else ""
    return (
        f"the memory of this machine is not enough{reason}. Close other programs, or choose "
        "shorter clips, a smaller batch or network, or fewer workers"
    )


class TrainingError(SemisonicError):
    """A training cannot continue, for example because its loss is no longer finite."""
