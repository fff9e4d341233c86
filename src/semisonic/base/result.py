"""What verbs give back: a line for the prompt, a text for a terminal, a table for pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """Base of the results of verbs, which are frozen dataclasses."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            # In the class itself, so that a dataclass does not make one that prints every array.
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        first = self.summary().strip().splitlines()
        return f"<{type(self).__name__}: {first[0] if first else 'nothing'}>"

    def summary(self) -> str:
        """What a person wants to know, for a terminal."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """The main table, for pandas."""
        raise NotImplementedError
