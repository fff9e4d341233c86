"""Search a whole folder with a model in the background; list the results, and save tables.

The tables are those of ``semisonic detect`` and ``semisonic predict``, made by the same functions,
so the numbers are the same. Each model has its own folder of tables.
"""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from semisonic.classifier.model_file import MODEL
from semisonic.core.errors import DataError, ModelError
from semisonic.core.files import csv_line, digest, json_ready, path_from
from semisonic.core.options import nearest
from semisonic.data.events import Events, make_events, segment_key
from semisonic.web.background import FIND, BackgroundProcess
from semisonic.web.downloads import download_labels
from semisonic.web.wire import FileName, download

if TYPE_CHECKING:
    from semisonic.web.state import AppState

EVENTS, PREDICTIONS = "events", "predictions"
"""Events with their times; one prediction for each recording."""
ORDERS = ("surest", "least sure", "file")
PLAN = (EVENTS, PREDICTIONS)
_BYTES = "surrogateescape"  # names of files need not be UTF-8
_MOST_PLACES = 500
_SHOWN = ["file", "start_time", "end_time", "label", "score"]


@dataclass(frozen=True)
class Found:
    """A model, recordings, and the folder of its results.

    Attributes
    ----------
    model : Path
    recordings : Path
        A folder, or a table of recordings.
    place : Path
        Contains a folder for each model.
    """

    model: Path
    recordings: Path
    place: Path

    @property
    def folder(self) -> Path:
        """The folder of the tables."""
        model = self.model.parent if self.model.name == MODEL else self.model
        return self.place / (model.stem or "model")

    @property
    def root(self) -> Path:
        """The folder to which names of recordings on the page are relative."""
        folder = self.recordings if self.recordings.is_dir() else self.recordings.parent
        return Path(os.path.abspath(folder))

    def table(self, kind: str) -> pd.DataFrame:
        """The results: ``file`` (relative to ``root``), ``start_time``, ``end_time``, ``label`` and
        ``score``; a row for each event or, for "predictions", for each recording.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        path = self.path(kind)
        return _read(path, path.stat().st_mtime_ns, self.root)

    def events(self) -> Events:
        """The events, for other programs.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        return make_events(self.table(EVENTS).to_dict("records"))

    def predictions_csv(self) -> str:
        """The table of ``semisonic predict`` and the events of each recording.

        Recordings are named as in the other tables. ``n_events`` is the number of events, and for
        each class with events, ``n_events:NAME`` their number and ``best_score:NAME`` the highest
        score.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        table = pd.read_csv(
            self.path(PREDICTIONS), dtype=str, keep_default_na=False, encoding_errors=_BYTES
        )
        table["file"] = [_relative(file, self.root) for file in table.file]
        counts, by_class = self.event_counts(), dict[str, Any]()
        for name in dict.fromkeys(counts.label):
            its = counts[counts.label == name].set_index("file").reindex(table.file)
            by_class[f"n_events:{name}"] = its.n.fillna(0).astype(int).to_numpy()
            best = its.best.to_numpy()
            by_class[f"best_score:{name}"] = ["" if x != x else f"{x:.4f}" for x in best]
        total = counts.groupby("file").n.sum().reindex(table.file, fill_value=0)
        table = table.assign(n_events=total.to_numpy(), **by_class)
        rows = [list(table), *table.to_numpy().tolist()]
        return "".join(map(csv_line, rows))

    def event_counts(self) -> pd.DataFrame:
        """Number ``n`` and ``best`` score of the events of each ``file`` and ``label``, the most
        frequent class of a recording first.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        groups = self.table(EVENTS).groupby(["file", "label"], as_index=False)
        counts = groups.agg(n=("score", "size"), best=("score", "max"))
        return counts.sort_values(["file", "n", "best"], ascending=[True, False, False])

    def event_places(self, file: str) -> list[list[Any]]:
        """Start, end and class of the events of a recording for its time line, the surest of many.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        table = self.table(EVENTS)
        its = table[table.file == file].nlargest(_MOST_PLACES, "score").sort_values("start_time")
        return its[["start_time", "end_time", "label"]].to_numpy(object).tolist()

    def path(self, kind: str) -> Path:
        """The file of a table.

        Raises
        ------
        DataError
            When the folder was not searched yet.
        """
        if kind not in PLAN:
            raise DataError(f"no table '{kind}': {nearest(kind, PLAN)}")
        path = self.folder / f"{kind}.csv"
        if not path.is_file():
            raise DataError("this model has not searched this folder yet: press Find")
        return path

    def facts(self) -> dict[str, Any]:
        """Whether there are results, of which time, and whether the model has changed since."""
        try:
            made = min(self.path(kind).stat().st_mtime for kind in PLAN)
        except DataError:
            return {"there": False}
        return {
            "there": True,
            "made": datetime.fromtimestamp(made, UTC).isoformat(timespec="seconds"),
            "is_old": made < self.model.stat().st_mtime,
            "n_events": len(self.table(EVENTS)),
            "n_recordings": len(self.table(PREDICTIONS)),
        }


@functools.lru_cache(4)
def _read(path: Path, made: int, root: Path) -> pd.DataFrame:
    """A table for the page; ``made`` is a parameter so that a changed file is read again."""
    del made
    table = pd.read_csv(
        path,
        usecols=_SHOWN,
        dtype={"file": str, "label": str},
        na_values={"score": [""]},
        keep_default_na=False,
        encoding_errors=_BYTES,
    )
    return table.assign(file=[_relative(file, root) for file in table.file])


def _relative(file: str, root: Path) -> str:
    return path_from(file, root)


def found_in(app_state: AppState, where: str) -> Found:
    """The results of the open model in a folder, whether there are any yet or not.

    Parameters
    ----------
    app_state : AppState
    where : str
        The number of an opened folder, or "" for the recordings of the project.

    Raises
    ------
    DataError
        When there is no such folder or project.
    ModelError
        When no model is open.
    """
    model = app_state.model_path
    if model is None:
        raise ModelError("no model is open: choose one under Models, or make one under Label")
    if where:
        folder = app_state.folders.folder_below(int(where), "")
        own = digest(str(folder.resolve()))[:6]  # two folders may have one name
        return Found(model, folder, app_state.runs.folder / f"found-{folder.name}-{own}")
    if app_state.session is None:
        raise DataError("no project is open: start one under Label, or choose a folder")
    project = app_state.session.project
    return Found(model, project.recordings, project.folder / "found")


def find_process(found: Found, device: str) -> BackgroundProcess:
    """Search in a process of its own; finished work is not repeated."""
    asked = {
        "model": found.model,
        "recordings": found.recordings,
        "output": found.folder,
        "device": device,
    }
    return BackgroundProcess(FIND, found.recordings.name, asked, PLAN, _read.cache_clear)


def choose_rows(
    table: pd.DataFrame, *, label: str = "", least: float = 0.0, text: str = "", order: str = ""
) -> pd.DataFrame:
    """Some rows of a table, in an order.

    Parameters
    ----------
    table : DataFrame
        From :meth:`Found.table`.
    label : str
        One class; "" for all.
    least : float
        The lowest score, 0 to 1.
    text : str
        A part of the recording's name; case does not matter.
    order : str
        One of ``ORDERS``.

    Raises
    ------
    DataError
        For another order.
    """
    order = order or ORDERS[0]
    if order not in ORDERS:
        raise DataError(f"order: found '{order}', expected {', '.join(ORDERS)}")
    kept = table.score.fillna(0) >= least
    if label:
        kept &= table.label == label
    if text:
        kept &= table.file.str.casefold().str.contains(text.casefold(), regex=False)
    if order == ORDERS[2]:
        return table[kept].sort_values(["file", "start_time"], kind="stable")
    return table[kept].sort_values("score", ascending=order == ORDERS[1], kind="stable")


# The routes.


_NUMBER = r"^\d{0,4}$"
_Where = Annotated[str, Query(pattern=_NUMBER)]


def finding_routes(app_state: AppState) -> APIRouter:
    """The routes. ``where`` is the number of an opened folder, or "" for the project's."""
    router, turn = APIRouter(prefix="/api/find"), threading.Lock()

    @router.get("")
    def get_state(where: _Where = "") -> dict[str, Any]:
        work = app_state.finding
        return {
            "work": None if work is None else work.facts(),
            **found_in(app_state, where).facts(),
        }

    @router.post("")
    def begin(
        where: Annotated[str, Body(embed=True, pattern=_NUMBER)] = "",
    ) -> dict[str, Any]:
        found = found_in(app_state, where)
        with turn:
            work = app_state.finding
            if work is not None and work.runs:
                raise DataError(f"a search of '{work.name}' is running; stop it, or wait")
            app_state.finding = find_process(found, app_state.device)
        return get_state(where)

    @router.post("/cancel")
    def cancel() -> dict[str, Any]:
        if app_state.finding is not None:
            app_state.finding.cancel()
        return {}

    @router.get("/rows")
    def get_rows(
        kind: Annotated[str, Query(max_length=20)],
        where: _Where = "",
        label: Annotated[str, Query(max_length=500)] = "",
        least: Annotated[float, Query(ge=0, le=1)] = 0.0,
        text: Annotated[str, Query(max_length=500)] = "",
        order: Annotated[str, Query(max_length=20)] = "",
        first: Annotated[int, Query(ge=0)] = 0,
        n: Annotated[int, Query(ge=1, le=200)] = 24,
    ) -> dict[str, Any]:
        found = found_in(app_state, where)
        table = found.table(kind)
        chosen = choose_rows(table, label=label, least=least, text=text, order=order)
        said = {} if where or app_state.session is None else app_state.session.said()
        rows = [
            {**row, "said": said.get(segment_key(row["file"], row["start_time"], row["end_time"]))}
            for row in chosen.iloc[first : first + n].to_dict("records")
        ]
        if kind == PREDICTIONS:
            counts = found.event_counts()
            for row in rows:
                its = counts[counts.file == row["file"]]
                row["events"] = its[["label", "n", "best"]].to_numpy(object).tolist()
                row["places"] = found.event_places(row["file"])
        labels = table.label[table.label != ""].value_counts()
        return {"rows": json_ready(rows), "n": len(chosen), "labels": list(labels.items())}

    @router.post("/open")
    def open_recording(
        file: Annotated[FileName, Body()], where: Annotated[str, Body(pattern=_NUMBER)] = ""
    ) -> dict[str, Any]:
        if where:
            return {"sound": app_state.open_in_folder(int(where), file).id}
        found = found_in(app_state, where)
        if file not in set(found.table(PREDICTIONS).file):
            raise DataError(f"'{file}' is not a recording that was searched")
        return {"sound": app_state.open_recording(found.root / file, file).id}

    @router.get("/tables/{kind}")
    def get_table(kind: str, where: _Where = "") -> Response:
        found = found_in(app_state, where)
        if kind == PREDICTIONS:
            return download(
                f"{found.recordings.name}.predictions.csv", found.predictions_csv(), "text/csv"
            )
        stem = f"{found.recordings.name}.events"
        return download_labels(stem, found.events(), kind, found.root)

    return router
