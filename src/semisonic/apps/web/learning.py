"""Learning from the answers, in the background, one round at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError, SemisonicError
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
        threading.Thread(target=self._run, name="learning", daemon=True).start()

    def facts(self) -> dict[str, Any]:
        """Whether it runs, how the last round ended, and the learning curve."""
        began = self._began
        steps = [
            {key: None if value != value else value for key, value in asdict(step).items()}
            for step in self._project.history
        ]
        return {
            "runs": began is not None,
            "seconds": 0.0 if began is None else time.monotonic() - began,
            "said": self._said,
            "reason": self._reason,
            "history": steps,
        }

    def _run(self) -> None:
        try:
            done = self._project.learn()
            self._learned(done.model)
            self._said = done.summary()
        except SemisonicError as error:
            self._reason = str(error)
        except Exception as error:
            _log.exception("a round of learning failed")
            self._reason = f"failed: {type(error).__name__}: {error}"
        finally:
            self._began = None
