"""Learning from the answers, in the background, one round at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semisonic.apps.web.words import in_words
from semisonic.base.errors import DataError, SemisonicError
from semisonic.evaluation.plain import plain
from semisonic.labeling.history import Step
from semisonic.labeling.project import Project

_log = logging.getLogger(__name__)


class Learning:
    """Rounds of a project.

    Parameters
    ----------
    project : Project
    learned : callable
        Is given the new classifier's file.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self._project, self._learned = project, learned
        self._lock = threading.Lock()
        self._began: float | None = None
        self._said, self._reason = "", ""
        self._share = 0.0

    def start(self) -> None:
        """Begin a round.

        Raises
        ------
        DataError
            When one runs already.
        """
        with self._lock:
            if self._began is not None:
                raise DataError("it is learning already")
            self._began, self._said, self._reason = time.monotonic(), "", ""
            self._share = 0.0
        threading.Thread(target=self._run, name="learning", daemon=True).start()

    def facts(self) -> dict[str, Any]:
        """Whether it runs, how the last round ended, and the learning curve."""
        began = self._began
        return {
            "runs": began is not None,
            "seconds": 0.0 if began is None else time.monotonic() - began,
            "share": self._share,
            "said": self._said,
            "reason": self._reason,
            "history": [_row(step) for step in self._project.history],
        }

    def _run(self) -> None:
        try:
            done = self._project.learn(tell=self._tell)
            self._learned(done.model)
            self._said = done.summary()
        except Exception as error:
            if not isinstance(error, (SemisonicError, OSError)):
                _log.exception("a round of learning failed")
            self._reason = in_words(error)
        finally:
            self._began = None

    def _tell(self, n: int, total: int) -> None:
        self._share = n / total


def _row(step: Step) -> dict[str, Any]:
    """A step for the page: its numbers, and both accuracies in words with what they are of."""
    said = {name: str(getattr(step, name)) for name in ("by_random", "left_out")}
    return {**plain(step), "said": said}
