"""Projects below the folder of runs: list, start, continue and open them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from semisonic.classifier.model_file import encoder_file
from semisonic.classifier.start import SYNTH
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json
from semisonic.core.options import from_mapping
from semisonic.data.label_log import read_log, standing_answers
from semisonic.data.options import SynthOptions
from semisonic.data.outputs import check_folder
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import ABOUT, LOG, Project
from semisonic.labeling.start import AUTO, BEGUN, FEWEST_HEARD
from semisonic.labeling.vectors import holds_vectors
from semisonic.web.runs import AllowedFolders, Runs

_NAME = re.compile(r"\w[\w .-]{0,59}")
_MOST_PROJECTS = 200
DEMO, DEMO_RECORDINGS = "demo", "demo-recordings"
"""The project of examples, and the folder of its recordings beside it."""
DEMO_SOUNDS = SynthOptions(
    n_classes=12, clips_per_class=8, clips_per_recording=1, n_folds=2, n_pool=0, snr_db=30.0
)


class Projects:
    """The projects that the page can open, and the options of new ones.

    Parameters
    ----------
    runs : Runs
        Its folder contains the projects.
    folders : AllowedFolders
        They contain the recordings.
    encoder : Path, optional
        An encoder for new projects, in addition to those of runs.
    device : str
    """

    def __init__(
        self, runs: Runs, folders: AllowedFolders, encoder: Path | None = None, device: str = "auto"
    ) -> None:
        self._runs, self._folders, self._encoder = runs, folders, encoder
        self._device = device
        if encoder is not None and not holds_vectors(encoder):
            encoder_file(encoder)  # a wrong one is told when the app is started

    def all(self) -> list[dict[str, Any]]:
        """Name, recordings, answers and time of last use of each project, the newest first."""
        folder = self._runs.folder
        found = [
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if (path / BEGUN).is_file() or (path / ABOUT).is_file()
        ]
        told = [self._facts(path) for path in found]
        return sorted(told, key=lambda one: one["used"], reverse=True)[:_MOST_PROJECTS]

    def _facts(self, path: Path) -> dict[str, Any]:
        is_done, log = (path / ABOUT).is_file(), path / LOG
        used = (log if log.is_file() else path).stat().st_mtime
        told = {
            "name": path.name,
            "is_done": False,
            "recordings": "",
            "is_open": False,
            "used": datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
            "answers": 0,
        }
        try:
            about = read_json(path / (ABOUT if is_done else BEGUN))
            recordings = Path(os.path.abspath(path / str(about.get("recordings", ""))))
            told["answers"] = len(standing_answers(read_log(log).entries)) if log.is_file() else 0
        except (OSError, ValueError, DataError):
            return told
        is_open = self._folders.holds(recordings)
        return {**told, "is_done": is_done, "recordings": str(recordings), "is_open": is_open}

    def encoders(self) -> list[dict[str, str]]:
        """Encoders for new projects: value and title of each."""
        titles = {
            SYNTH: "The one that comes with Semisonic: ready at once; with "
            f"{FEWEST_HEARD} or more segments, trained on them while you listen",
            AUTO: "The same, trained on the recordings before the first question: takes minutes",
        }
        if self._encoder is not None:
            titles = {"given": f"{self._encoder.name}, given with --encoder", **titles}
        names = (run.name for run in self._runs.all() if run.kind)
        titles |= {f"run:{name}": f"The encoder of {name}" for name in names}
        return [{"value": value, "title": title} for value, title in titles.items()]

    def new(
        self,
        folder: int,
        below: str,
        name: str,
        encoder: str,
        clusters: str,
        several_labels: bool = False,
    ) -> ProjectOptions:
        """The options of a new project.

        Raises
        ------
        DataError
            When the folder is not open or has links that lead out of it, or the name is taken or
            not allowed.
        """
        recordings = self._folders.folder_below(folder, below)
        output = self._output(name)
        try:
            check_folder(output, "a project", ())
        except OptionError as error:
            raise DataError(f"the project '{name}' exists already; choose another name") from error
        return ProjectOptions(
            recordings,
            output,
            encoder=self._encoder_of(encoder),
            clusters=clusters or AUTO,
            several_labels=several_labels,
            device=self._device,
        )

    def demo(self) -> ProjectOptions:
        """The options of a project of example recordings, which are made with it.

        Raises
        ------
        DataError
            When there is one already.
        """
        output = self._output(DEMO)
        if (output / ABOUT).is_file() or (output / BEGUN).is_file():
            raise DataError(f"the project '{DEMO}' exists already: open it in the list")
        recordings = self._runs.folder / DEMO_RECORDINGS / "labelled"
        return ProjectOptions(recordings, output, encoder=SYNTH, device=self._device)

    def again(self, name: str) -> ProjectOptions:
        """The options of an unfinished project, to continue it.

        Raises
        ------
        DataError
            When there is none, or its recordings are not in an opened folder.
        """
        output = self._output(name)
        if not (output / BEGUN).is_file():
            raise DataError(f"found no project '{name}' to continue below {self._runs.folder}")
        begun = read_json(output / BEGUN, {"recordings": str})
        self._folders.require(Path(begun["recordings"]))
        return from_mapping(ProjectOptions, {**begun, "output": output, "device": self._device})

    def finished(self, name: str) -> Project:
        """A finished project.

        Raises
        ------
        DataError
            When there is none, or one of its recordings is not in an opened folder.
        """
        project = Project.open(self._output(name))
        clips = project.index.clips
        for file in sorted(set(clips.file.tolist())):
            self._folders.require(clips.root / file)
        return project

    def _output(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
            raise DataError(
                f"'{name}': not a name for a project; use letters, digits, '-', '_' and spaces"
            )
        return self._runs.folder / name

    def _encoder_of(self, value: str) -> str:
        if value in (AUTO, SYNTH):
            return value
        if value == "given" and self._encoder is not None:
            return str(self._encoder)
        if value.startswith("run:"):
            return str(self._runs.get(value.removeprefix("run:")).path)
        raise DataError(f"'{value}': not an encoder of this page")
