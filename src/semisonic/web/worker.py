"""Long work in a process of its own, so that the page stays quick and may be closed.

The first line of the input is JSON with a ``task``; the end of the input stops the work. Lines of
the output report progress: ``step``; ``label``, ``n``, ``total`` and ``seconds_left``; and at the
end ``done``, ``stopped`` or ``error``.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.core import progress
from semisonic.core.errors import SemisonicError
from semisonic.core.options import from_mapping
from semisonic.web.background import FIND, IMPROVE, PROJECT, SOUNDS, in_words

if TYPE_CHECKING:
    from semisonic.labeling.project import Project

_PATIENCE = 20.0
_NICE = 5
PREDICTIONS = "predictions.csv"


def main() -> None:
    """Do the task of the first line."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch, daemon=True).start()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)  # the page comes first
    progress.listen(
        lambda label, n, total, left: _say(label=label, n=n, total=total, seconds_left=left)
    )
    try:
        found = _TASKS[asked.pop("task")](asked)
    except (SemisonicError, OSError) as error:
        _say(error=in_words(error))
    except KeyboardInterrupt:
        _say(stopped=True)
    else:
        _say(done=True, **found)


def _make_project(asked: dict[str, Any]) -> dict[str, Any]:
    """Make a project, as ``semisonic project new`` does; of a demo also the recordings."""
    from semisonic.data.synth.dataset import make_synth
    from semisonic.labeling.options import ProjectOptions
    from semisonic.labeling.start import start_project
    from semisonic.web.projects import DEMO_SOUNDS

    named = {"recordings", "output", "cache"} & asked.keys()
    if asked.pop("is_demo", False):
        _say(step=SOUNDS)
        make_synth(Path(asked["recordings"]).parent, DEMO_SOUNDS)
    paths = {name: Path(asked[name]) for name in named if asked[name] is not None}
    started = start_project(
        from_mapping(ProjectOptions, {**asked, **paths}), tell=lambda step: _say(step=step)
    )
    return {
        "n_recordings": started.n_recordings,
        "n_clusters": started.n_clusters,
        "notes": list(started.notes),
        "failures": [list(one) for one in started.failures],
        "n_found": started.n_found,
    }


def _find(asked: dict[str, Any]) -> dict[str, Any]:
    """Write the tables of ``semisonic detect`` and ``semisonic predict`` for a folder."""
    from semisonic.classifier.detection.detect import run_detect
    from semisonic.classifier.model_file import open_model
    from semisonic.classifier.options import EventOptions
    from semisonic.classifier.predict import predict_files
    from semisonic.labeling.project import ABOUT, Project

    model, files, output = Path(asked["model"]), [Path(asked["recordings"])], Path(asked["output"])
    project = Project.open(model.parent) if (model.parent / ABOUT).is_file() else None
    if project is not None and project.index.is_elsewhere:
        return _find_segments(project, files[0], output)
    _say(step="events")
    events = run_detect(model, files, output, EventOptions(), device=asked["device"])
    _say(step="predictions")
    opened = open_model(model).to(asked["device"])
    whole = predict_files(opened, files, output=output / PREDICTIONS, device=asked["device"])
    failures = {**dict(whole.failures), **dict(events.failures)}
    return {
        "n_recordings": len(events.recordings),
        "n_events": len(events.events),
        "failures": [list(one) for one in failures.items()],
    }


def _find_segments(project: Project, recordings: Path, output: Path) -> dict[str, Any]:
    """Write the predictions for a project's segments, if other sounds cannot be embedded."""
    import pandas as pd

    from semisonic.classifier.events import DEFAULT
    from semisonic.core.errors import ModelError
    from semisonic.core.files import write_frame
    from semisonic.data.events import BACKGROUND

    if Path(os.path.abspath(recordings)) != project.recordings:
        raise ModelError(
            f"the vectors of '{project.folder.name}' were made elsewhere, so its classifier can "
            f"search only {project.recordings}"
        )
    _say(step="events")
    segments = pd.read_csv(project.folder / PREDICTIONS, encoding_errors="surrogateescape")
    heard = segments[(segments.label != BACKGROUND) & (segments.score >= DEFAULT)]
    write_frame(output / "events.csv", heard)
    _say(step="predictions")
    best = segments.sort_values("score", ascending=False, kind="stable").drop_duplicates("file")
    write_frame(output / PREDICTIONS, best.sort_values("file"))
    return {"n_recordings": len(best), "n_events": len(heard), "failures": []}


def _improve(asked: dict[str, Any]) -> dict[str, Any]:
    """Compute the vectors of ``semisonic project improve``; the app decides whether to use them."""
    from semisonic.labeling.improve import learn_vectors

    learn_vectors(Path(asked["project"]), device=asked["device"], tell=lambda step: _say(step=step))
    return {}


_TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    PROJECT: _make_project,
    FIND: _find,
    IMPROVE: _improve,
}


def _watch() -> None:
    """Wait for the end of the input, then interrupt the work; after a while, kill it."""
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
