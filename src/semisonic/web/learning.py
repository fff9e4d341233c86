"""Learning from the answers of a project in the background, one round at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError, SemisonicError
from semisonic.core.files import json_ready
from semisonic.labeling.project import Project
from semisonic.labeling.rounds import NOTE_SEPARATOR, estimates_of
from semisonic.web.background import in_words

_log = logging.getLogger(__name__)


class Learning:
    """Learning from the answers of a project, in the background, one round at a time.

    Parameters
    ----------
    project : Project
    learned : callable
        Called with the file of the new classifier.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self._project, self._learned = project, learned
        self._lock = threading.Lock()
        self._began: float | None = None
        self._said, self._reason, self._share = "", "", 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start a round.

        Raises
        ------
        DataError
            When a round is already running.
        """
        with self._lock:
            if self._began is not None:
                raise DataError("the model is already learning")
            self._began, self._said, self._reason, self._share = time.monotonic(), "", "", 0.0
            self._thread = threading.Thread(target=self._run, name="learning", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the current round."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        def tell(n: int, total: int) -> None:
            self._share = n / total

        try:
            done = self._project.learn(tell=tell)
            self._learned(done.model)
            self._said = done.summary()
        except Exception as error:
            if not isinstance(error, (SemisonicError, OSError)):
                _log.exception("a round of learning failed")
            self._reason = in_words(error)
        finally:
            self._began = None

    def facts(self) -> dict[str, Any]:
        """Whether a round is running, the result of the last one, and the learning curve."""
        began = self._began
        return {
            "runs": began is not None,
            "seconds": 0.0 if began is None else time.monotonic() - began,
            "share": self._share,
            "said": self._said,
            "reason": self._reason,
            "history": [_step(dict(row)) for _, row in self._project.history.iterrows()],
        }


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    """A round for the page: its numbers, and both accuracies as texts."""
    estimates = estimates_of(row)
    notes = [note for note in row["notes"].split(NOTE_SEPARATOR) if note]
    # A space before "%" where no line ends.
    said = {name: str(estimate).replace(" %", "\u00a0%") for name, estimate in estimates.items()}
    step: dict[str, Any] = json_ready({**row, **estimates, "notes": notes, "said": said})
    return step
