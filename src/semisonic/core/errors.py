"""The errors of the package: what happened, where, what was found, what to do.

One root, so that a caller can catch everything of ours with one name. Wrong data and wrong options
are ``ValueError`` as well, as numpy, pandas and scikit-learn have it. The command line turns each
into one message and the exit status 2; any other exception is a bug and ends with status 1.
"""

from __future__ import annotations


class SemisonicError(Exception):
    """Root of all errors that the package raises on purpose."""


class AudioError(SemisonicError):
    """A recording that cannot be used. ``reason`` is the short form for tables."""

    def __init__(self, file: object, reason: str, advice: str = "") -> None:
        self.file = str(file)
        self.reason = reason
        self.advice = advice
        super().__init__(f"{self.file}: {reason}" + (f". {advice}" if advice else ""))

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str, str]]:
        """So that it comes whole out of another process."""
        return AudioError, (self.file, self.reason, self.advice)


class DataError(SemisonicError, ValueError):
    """A table, a folder or a split that does not hold what it should."""


class OptionError(SemisonicError, ValueError):
    """An option or a key of a recipe that is unknown, of the wrong type or out of range."""


class ModelError(SemisonicError):
    """A model file, an architecture or weights that do not fit."""


class TrainingError(SemisonicError):
    """A training that cannot go on, such as one whose loss is no longer a finite number."""
