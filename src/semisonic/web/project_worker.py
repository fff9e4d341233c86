"""A project is made in a process of its own, so that the page stays quick and may be closed."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from semisonic.core import progress
from semisonic.core.errors import SemisonicError
from semisonic.core.options import from_mapping
from semisonic.web.background import in_words

_PATIENCE = 20.0
_NICE = 5


def main() -> None:
    """Make the project that the first line asks for."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch, daemon=True).start()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)  # the page comes first
    progress.listen(
        lambda label, n, total, left: _say(label=label, n=n, total=total, seconds_left=left)
    )
    try:
        from semisonic.labeling.options import ProjectOptions
        from semisonic.labeling.start import start_project

        named = {"recordings", "output", "cache"} & asked.keys()
        paths = {name: Path(asked[name]) for name in named if asked[name] is not None}
        started = start_project(
            from_mapping(ProjectOptions, {**asked, **paths}), tell=lambda step: _say(step=step)
        )
    except (SemisonicError, OSError) as error:
        _say(error=in_words(error))
    except KeyboardInterrupt:
        _say(stopped=True)
    else:
        _say(
            done=True,
            n_recordings=started.n_recordings,
            n_clusters=started.n_clusters,
            notes=list(started.notes),
            failures=[list(one) for one in started.failures],
            n_found=started.n_found,
        )


def _watch() -> None:
    """Wait for the end of the input, then stop the work in an orderly way, or else at once."""
    sys.stdin.read()
    _thread.interrupt_main()
    threading.Event().wait(_PATIENCE)
    os._exit(130)


def _say(**message: Any) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(0)  # the thread that watches still reads
