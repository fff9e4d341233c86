"""The errors of the package; each says what happened, where, what was found, and what to do.

All have one root, so that a caller can catch them by one name. Wrong data and wrong options are
also a ``ValueError``, as in numpy, pandas and scikit-learn. The command line turns each error into
one message and exit status 2; any other exception is a bug and ends with status 1.
"""

from __future__ import annotations


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
        return type(error).__name__ == "OutOfMemoryError" or "not enough memory" in str(error)
    return isinstance(error, MemoryError)


class TrainingError(SemisonicError):
    """A training cannot continue, for example because its loss is no longer finite."""
