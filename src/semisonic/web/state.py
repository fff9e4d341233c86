"""The state of the app: a model, opened folders, open recordings, work in the background."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from semisonic.audio.find import OTHER_SUFFIXES
from semisonic.audio.remote import stamp_of
from semisonic.classifier.config import AUTO
from semisonic.classifier.events import DEFAULT, thresholds_for
from semisonic.classifier.model_file import open_model
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.files import digest
from semisonic.core.options import to_dict
from semisonic.labeling.improve import IMPROVE_STEPS, take_vectors, why_not
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.start import CONTRAST, STEPS
from semisonic.models.sound_model import SoundModel
from semisonic.training.devices import choose_device
from semisonic.web.analysis import Analysis
from semisonic.web.background import (
    IMPROVE,
    PROJECT,
    SOUNDS,
    BackgroundProcess,
    BackgroundWorker,
    in_words,
)
from semisonic.web.checking import Checker
from semisonic.web.labelling import LabelingSession
from semisonic.web.projects import DEMO_RECORDINGS, Projects
from semisonic.web.recordings import READY, OpenRecording, OpenRecordings, Tiles
from semisonic.web.runs import AllowedFolders, Runs

_ROOM = 4
"""How many files of the largest size the uploads may take up."""


class AppState:
    """The state behind the page. All methods may be called from any thread.

    The parameters are those of ``semisonic app``.

    Raises
    ------
    OptionError
        When a path is not a folder, or the thresholds do not fit the model. Those of models that
        are chosen later are not used then, and the page says so.
    ModelError
        When the model cannot be opened.
    """

    def __init__(
        self,
        *,
        model: Path | None = None,
        folder: tuple[Path, ...] = (),
        project: Path | None = None,
        runs: Path = Path("runs"),
        encoder: Path | None = None,
        threshold: str = AUTO,
        max_megabytes: float = 1000.0,
        max_hours: float = 12.0,
        device: str = "auto",
    ) -> None:
        self.max_bytes = int(max_megabytes * 1e6)
        self.max_seconds = max_hours * 3600
        self.device = str(choose_device(device))
        self._lock = threading.RLock()
        self.folders = AllowedFolders(folder, own=runs / DEMO_RECORDINGS)
        self.runs = Runs(runs)
        self.projects = Projects(self.runs, self.folders, encoder, device)
        self.making: BackgroundProcess | None = None
        self.finding: BackgroundProcess | None = None
        self.improving: BackgroundProcess | None = None
        self.recordings = OpenRecordings(_ROOM * self.max_bytes)
        self._model: SoundModel | None = None
        self._gives_way = True
        self.model_path: Path | None = None
        self._given_threshold, self.threshold, self._no_threshold = threshold, AUTO, ""
        if model is not None:
            self.take_model(model)
            if self._no_threshold:
                raise OptionError(self._no_threshold)
        self.session: LabelingSession | None = None
        if project is not None:
            self.take_project(Project.open(project))
        self._checker = Checker(self.recordings.folder)
        self._looking, self._listening = BackgroundWorker("looking"), BackgroundWorker("listening")

    @property
    def model(self) -> SoundModel:
        """The model in use.

        Raises
        ------
        ModelError
            When no model is open.
        """
        if self._model is None:
            raise ModelError("no model is open: choose one under Models")
        return self._model

    def take_model(self, path: Path, *, of_project: bool = False) -> None:
        """Use another model; open recordings are analysed again when they are shown.

        The model of a project is replaced by that of the next project; a chosen one stays.

        Raises
        ------
        ModelError
            When it cannot be opened.
        """
        opened, self._no_threshold = open_model(path).to(self.device), ""
        self.threshold = self._given_threshold
        if self.threshold != AUTO:
            try:
                thresholds_for(opened, self.threshold)
            except OptionError as error:
                self.threshold, self._no_threshold = AUTO, str(error)
        self._model, self.model_path, self._gives_way = opened, path, of_project

    def take_project(self, project: Project) -> None:
        """Switch to another project; its classifier is used if no model was chosen."""
        if self.improving is not None and self.improving.runs:
            self.improving.cancel()
        self.session = session = LabelingSession(project, self._learned)
        self.improving = None
        if not why_not(project) and not project.is_stopped:
            self.improve(session)
        if self._gives_way and project.model is not None:
            self.take_model(project.model, of_project=True)

    def improve(self, session: LabelingSession) -> None:
        """Start or continue computing better vectors for a project, in the background.

        Raises
        ------
        DataError
            When this is already running, or not possible.
        """
        project = session.project
        with self._lock:
            if self.improving is not None and self.improving.runs:
                raise DataError("the encoder is already being trained")
            if reason := why_not(project):
                raise DataError(reason)
            if project.is_stopped:
                project.stop_vectors(False)
            asked = {"project": project.folder, "device": self.device}
            self.improving = BackgroundProcess(
                IMPROVE, project.folder.name, asked, IMPROVE_STEPS, lambda: self._improved(session)
            )

    def _improved(self, session: LabelingSession) -> None:
        """Use better vectors; if the project is still open, its classifier is trained on them."""
        session.learning.wait()
        found = take_vectors(session.project)
        if found.is_used and self.session is session:
            self.take_project(Project.open(session.project.folder))
            if self.session.project.model is not None:
                self.session.learning.start()

    def make_project(
        self, name: str, options: ProjectOptions, *, is_demo: bool = False
    ) -> BackgroundProcess:
        """Start or continue making a project in the background; of a demo also the recordings.

        Raises
        ------
        DataError
            When a project is already being made.
        """

        def done() -> None:
            if self.session is None:
                self.take_project(Project.open(options.output))

        # A step for which the recordings are too few is left out later.
        left_out = () if options.encoder == AUTO else (CONTRAST,)
        plan = [*[SOUNDS] * is_demo, *(step for step in STEPS if step not in left_out)]
        asked = {**to_dict(options), "is_demo": is_demo}
        with self._lock:
            if self.making is not None and self.making.runs:
                raise DataError(f"'{self.making.name}' is being made; cancel it, or wait")
            self.making = BackgroundProcess(PROJECT, name, asked, plan, done)
            return self.making

    def open(self, sound: OpenRecording) -> OpenRecording:
        """Open a recording; check, draw and analyse it in the background."""
        kept = self.recordings.add(sound)
        if kept.folder_is_gone and kept.path.exists():  # it is there again
            self.recordings.remove(kept.id)
            kept = self.recordings.add(sound)
        for old in self.recordings.too_many(kept):
            self.recordings.remove(old.id)
        if kept is sound:
            self._looking.add(self._prepare(sound), lambda error: sound.fail(in_words(error)))
        return kept

    def open_in_folder(self, folder: int, name: str) -> OpenRecording:
        """Open a recording of an opened folder."""
        path = self.folders.recording(folder, name)
        identity = digest("place", path.resolve(), *stamp_of(path))
        return self.open(OpenRecording(name, path, identity, is_own=False))

    def open_recording(self, path: Path, name: str) -> OpenRecording:
        """Open a recording to label: it is shown, but neither listed nor analysed."""
        made: tuple[int, ...] = ()
        with contextlib.suppress(OSError):  # what is gone is told when it is checked
            made = stamp_of(path)
        identity = digest("label", path, *made)
        return self.open(OpenRecording(name, path, identity, is_own=False, is_listed=False))

    def analysis(self, sound: OpenRecording) -> Analysis | None:
        """What the model hears in a recording; the first call starts the analysis."""
        model = self._model
        if sound.state != READY or model is None or not sound.is_listed:
            return None
        with self._lock:
            found = sound.analysis
            if found is not None and found.model is model:
                return found
            if found is not None:
                found.close()
            analysis = sound.analysis = Analysis(model, sound.path, sound.name, self.device)

        def failed(error: BaseException) -> None:
            analysis.reason, analysis.is_done = in_words(error), True

        self._listening.add(analysis.work(), failed)
        return analysis

    def close(self) -> None:
        """Stop the work and remove uploaded files."""
        for process in (self.making, self.finding, self.improving):
            if process is not None:
                process.close()
        self._checker.close()
        self._looking.stop()
        self._listening.stop()
        self.recordings.close()

    def _learned(self, path: Path) -> None:
        """Use a project's new classifier, unless another model was chosen."""
        if self.session is not None:
            self.session.refresh()
        if self._gives_way or self.model_path is None:
            self.take_model(path, of_project=True)
        elif self.model_path.resolve() == path.resolve():
            self.take_model(path)

    def _prepare(self, sound: OpenRecording) -> Generator[None, None, None]:
        self._checker.check(sound.path, sound.name, self.max_seconds)
        info = sound.open()
        sound.tiles = tiles = Tiles(sound, info.duration, info.sample_rate)
        sound.state = READY
        self.analysis(sound)
        yield from tiles.make_overview()

    def facts(self) -> dict[str, Any]:
        """What the page shows about the state."""
        facts: dict[str, Any] = {
            "folders": [folder.resolve().name or str(folder) for folder in self.folders.folders],
            "max_bytes": self.max_bytes,
            "max_seconds": self.max_seconds,
            "unread_suffixes": sorted(OTHER_SUFFIXES),
            "model": None,
            "has_project": self.session is not None,
            "project": "" if self.session is None else self.session.project.folder.name,
        }
        if self._model is not None:
            mel = self._model.mel
            facts["model"] = {
                "name": self._model.name,
                "is_chosen": not self._gives_way,
                "path": str(self.model_path),
                "classes": list(self._model.classes),
                "has_thresholds": bool(self._model.decision.thresholds),
                "threshold": self.threshold,
                "no_threshold": self._no_threshold,
                "default_threshold": DEFAULT,
                "multi_label": self._model.multi_label,
                "sample_rate": mel.sample_rate,
                "duration": mel.duration,
            }
        return facts
