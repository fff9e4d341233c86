"""Which epoch was the best, what its weights were, and when to stop."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest

_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "db2")


def lower_is_better(column: str) -> bool:
    """Whether a column of the history improves by falling, told from its name.

    Losses and errors (names that end in loss, error, mse, mae or db2) fall; everything else,
    such as an accuracy or an average precision, rises.
    """
    return column.lower().endswith(_LOWER_IS_BETTER)


def improves(column: str, value: float, best: float) -> bool:
    """Whether ``value`` is strictly better than ``best``; NaN never is, and loses to all."""
    if math.isnan(value):
        return False
    if math.isnan(best):
        return True
    return value < best if lower_is_better(column) else value > best


class EarlyStopping:
    """Follows one column of the history and keeps the weights of its best epoch.

    Of several epochs that are equally good, the first is kept.

    Parameters
    ----------
    monitor : str
        The column.
    patience : int
        Epochs without improvement after which :attr:`stop` is true; 0 never stops.
    keep_weights : bool
        Whether to keep the best weights.
    """

    def __init__(self, monitor: str, patience: int, keep_weights: bool = True) -> None:
        self.monitor = monitor
        self.patience = patience
        self.keep_weights = keep_weights
        self.best_epoch = 0
        self.best_value = math.nan
        self.best_weights: dict[str, Tensor] = {}
        self.waited = 0

    @property
    def stop(self) -> bool:
        """Whether patience is used up."""
        return 0 < self.patience <= self.waited

    def look(self, row: dict[str, float], weights: dict[str, Tensor]) -> bool:
        """Take the row of an epoch and its weights (copied); say whether it is the best.

        Raises
        ------
        OptionError
            When the history has no such column.
        """
        if self.monitor not in row:
            raise OptionError(
                f"option 'monitor': the history has no column '{self.monitor}'; "
                f"{nearest(self.monitor, row)}"
            )
        better = improves(self.monitor, row[self.monitor], self.best_value)
        if better or self.best_epoch == 0:
            self.best_epoch = int(row["epoch"])
            self.best_value = row[self.monitor]
            if self.keep_weights:
                self.best_weights = {name: t.detach().clone() for name, t in weights.items()}
        self.waited = 0 if better else self.waited + 1
        return better

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "best_weights": self.best_weights,
            "waited": self.waited,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_epoch = state["best_epoch"]
        self.best_value = state["best_value"]
        self.best_weights = state["best_weights"]
        self.waited = state["waited"]
