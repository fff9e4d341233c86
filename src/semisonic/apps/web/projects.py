"""Projects below the folder of runs, made of opened folders and nothing else."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from semisonic.apps.web.places import Places
from semisonic.apps.web.runs import Runs
from semisonic.base.errors import DataError, OptionError
from semisonic.base.files import read_json
from semisonic.base.options import from_mapping
from semisonic.data.outputs import check_folder
from semisonic.inference.modelfile import encoder_file
from semisonic.inference.synthetic import SYNTH
from semisonic.labeling.project import ABOUT, Project
from semisonic.labeling.project_options import ProjectOptions
from semisonic.labeling.starting import AUTO, BEGUN

_NAME = re.compile(r"\w[\w .-]{0,59}")
_MOST = 200


class Projects:
    """What the page may make projects of, and those that are there.

    Parameters
    ----------
    runs : Runs
        Projects lie in its folder.
    places : Places
        Recordings lie in these.
    encoder : Path, optional
        One that new projects may use, beside those of runs.
    device : str
    """

    def __init__(
        self, runs: Runs, places: Places, encoder: Path | None = None, device: str = "auto"
    ) -> None:
        self._runs, self._places, self._encoder = runs, places, encoder
        self._device = device
        if encoder is not None:
            encoder_file(encoder)  # a wrong one is told when the app is started

    def all(self) -> list[dict[str, Any]]:
        """Name, whether it is finished, and where its recordings are; the newest first."""
        folder = self._runs.folder
        if not folder.is_dir():
            return []
        found = [
            path for path in folder.iterdir()
            if (path / BEGUN).is_file() or (path / ABOUT).is_file()
        ]  # fmt: skip
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [self._facts(path) for path in found[:_MOST]]

    def encoders(self) -> list[dict[str, str]]:
        """What may make the vectors: a value to be asked for, and what it is."""
        given = []
        if self._encoder is not None:
            given.append({"value": "given", "title": f"{self._encoder.name}, given with --encoder"})
        kinds = {run.name: run.facts()["kind"] for run in self._runs.all()}
        return [
            *given,
            {"value": AUTO, "title": "Learn from these recordings (best; some minutes)"},
            {"value": SYNTH, "title": "Learn from made-up sounds only (faster)"},
            *(
                {"value": f"run:{name}", "title": f"That of {name}"}
                for name, kind in kinds.items() if kind
            ),
        ]  # fmt: skip

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
            When the folder is not opened or holds links that lead out of it, or the name is
            taken or no name.
        """
        recordings = self._places.folder_below(folder, below)
        output = self._output(name)
        try:
            check_folder(output, "a project", ())
        except OptionError as error:
            raise DataError(f"'{name}' is there already; choose another name") from error
        return ProjectOptions(
            recordings,
            output,
            encoder=self._encoder_of(encoder),
            clusters=clusters or AUTO,
            several_labels=several_labels,
            device=self._device,
        )

    def again(self, name: str) -> ProjectOptions:
        """The options of a project that was begun, to go on.

        Raises
        ------
        DataError
            When there is none, or its recordings are not in an opened folder.
        """
        output = self._output(name)
        if not (output / BEGUN).is_file():
            raise DataError(f"no project '{name}' was begun below {self._runs.folder}")
        begun = read_json(output / BEGUN)
        recordings = Path(begun.pop("recordings"))
        self._places.require(recordings)
        options = from_mapping(ProjectOptions, begun)
        return replace(options, recordings=recordings, output=output, device=self._device)

    def finished(self, name: str) -> Project:
        """A project that is ready to be asked from.

        Raises
        ------
        DataError
            When there is none, or one of its recordings is not in an opened folder.
        """
        project = Project.open(self._output(name))
        clips = project.index.clips
        for file in sorted(set(clips.file.tolist())):
            self._places.require(clips.root / file)
        return project

    def _facts(self, path: Path) -> dict[str, Any]:
        is_done = (path / ABOUT).is_file()
        try:
            about = read_json(path / (ABOUT if is_done else BEGUN))
            recordings = Path(os.path.abspath(path / str(about.get("recordings", ""))))
        except (OSError, ValueError):
            return {"name": path.name, "is_done": False, "recordings": "", "is_open": False}
        return {
            "name": path.name, "is_done": is_done, "recordings": str(recordings),
            "is_open": self._places.holds(recordings),
        }  # fmt: skip

    def _output(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
            raise DataError(
                f"'{name}': not a name for a project; letters, digits, '-', '_' and spaces will do"
            )
        return self._runs.folder / name

    def _encoder_of(self, value: str) -> str:
        if value in (AUTO, SYNTH):
            return value
        if value == "given" and self._encoder is not None:
            return str(self._encoder)
        if value.startswith("run:"):
            return str(self._runs.get(value.removeprefix("run:")).path)
        raise DataError(f"'{value}': no encoder of this page")
