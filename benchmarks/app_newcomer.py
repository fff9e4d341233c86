"""From a folder to a classifier on the page, by somebody who knows the sounds and never hesitates.

    python benchmarks/app_newcomer.py path/to/esc10 path/to/animals -o FILE

Each try copies 15 clips of each class under plain numbers into one folder and goes the way of the
page over its HTTP routes: makes a project, names groups until there are 20 answers, makes the first
classifier, answers what is asked one by one and learns every 20 answers. Answers are the true
classes. What the page then says is compared with what it claims (the accuracy on all segments, each
judged by a classifier that heard nothing of its recording), and told beside the accuracy on what
nobody answered about. Clicks and keys are those that the page takes: a class that has no key yet is
typed letter by letter. The first try of each set opens each recording as the page does, and its
times are told; the others leave that out, as nobody listens.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from app_pictures import served
from measuring import head, rounded
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.labeling.answers import label_index
from semisonic.labeling.probe import learn_probe, score_out_of_fold
from semisonic.labeling.project import Project
from semisonic.web.state import AppState

N_EACH, KEYS, POLL = 15, 9, 0.05
ROUNDS = (20, 40, 60, 80)
ANNOTATOR = "newcomer"
_PART = re.compile(r"-Part\d+$")
"""Of folders that hold parts of one class."""


def recordings_of(data: Path, folder: Path, seed: int) -> dict[str, str]:
    """Copy clips of a set into one folder, of different recordings if there are; their classes."""
    clips = load_clips(data)
    rng = generator(seed, "newcomer", data.name)
    by_class: dict[str, list[tuple[bool, Path]]] = {}
    seen: set[str] = set()
    for row in rng.permutation(len(clips)).tolist():
        group = str(clips.group[row])
        name = _PART.sub("", clips.labels[row][0])
        by_class.setdefault(name, []).append((group in seen, clips.paths[row]))
        seen.add(group)
    chosen = [
        (name, path)
        for name, found in sorted(by_class.items())
        for _, path in sorted(found, key=lambda one: one[0])[:N_EACH]
    ]
    folder.mkdir(parents=True)
    truth = {}
    for number, place in enumerate(rng.permutation(len(chosen)).tolist()):
        name, path = chosen[place]
        file = f"REC_{number:04d}{path.suffix}"
        shutil.copyfile(path, folder / file)
        truth[file] = name
    return truth


class Page:
    """The page as somebody uses it: its routes, and what has been pressed.

    Parameters
    ----------
    address : str
    truth : dict of str to str
        The class of each recording.
    """

    def __init__(self, address: str, truth: dict[str, str]) -> None:
        self.address, self.truth = address.partition("/#")[0], truth
        self.clicks = self.keys = self.n_answers = 0
        self.listened = 0.0
        self.classes: list[str] = []

    def get(self, route: str, **query: str) -> Any:
        """What a route answers."""
        return self._asked(f"{route}?{urllib.parse.urlencode(query)}" if query else route)

    def post(self, route: str, **body: Any) -> Any:
        """What a route answers to a body."""
        return self._asked(route, json.dumps(body).encode())

    def _asked(self, route: str, data: bytes | None = None) -> Any:
        headers = {"Origin": self.address, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/api/{route}", data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def wait(self, look: Callable[[], Any]) -> Any:
        """The first thing that is found."""
        while not (found := look()):
            time.sleep(POLL)
        return found

    def make(self, encoder: str) -> dict[str, Any]:
        """Start a project from the folder, and open it."""
        new = {"folder": 0, "below": "", "name": "mine", "encoder": encoder, "clusters": ""}
        self.post("projects", **new)
        self.clicks += 2  # Label, Start

        def ended() -> Any:
            making = self.get("projects/making")["making"]
            return making["state"] != "runs" and making

        made = self.wait(ended)
        if made["state"] != "done":
            raise RuntimeError(made["reason"])
        found: dict[str, Any] = made["found"]
        self.clicks += bool(found["failures"] or found["n_recordings"] < found["n_found"])  # Go on
        self.post("projects/open", name="mine")
        return found

    def name_of(self, sound: dict[str, Any]) -> str:
        """Listen to a sound, and know what it is."""
        self.listened += sound["end_time"] - sound["start_time"]
        return self.truth[Path(sound["file"]).name]

    def press(self, name: str) -> None:
        """Give a name: its key, or its letters between "/" and Enter."""
        if name not in self.classes:
            self.classes.append(name)
            self.keys += len(name) + 2
        else:
            self.keys += 1 if self.classes.index(name) < KEYS else len(name) + 2

    def name_groups(self, enough: int) -> None:
        """Name groups until there are enough answers: with one name, or sound by sound."""
        for group in self.get("label/groups")["groups"]:
            if self.n_answers >= enough:
                return
            sounds = group["sounds"]
            names = [self.name_of(sound) for sound in sounds]
            self.keys += len(sounds)  # Space plays
            if len(set(names)) == 1:
                self.press(names[0])
            else:
                self.keys += 1 + sum(len(name) + 1 for name in names)  # M; a name and Enter each
                self.classes += [n for n in dict.fromkeys(names) if n not in self.classes]
            fields = ("file", "start_time", "end_time", "source")
            about = {"presence": "positive", "annotator": ANNOTATOR}
            answers = [
                {**{key: sound[key] for key in fields}, "labels": [name], **about}
                for sound, name in zip(sounds, names, strict=True)
            ]
            self.post("label/answers/batch", answers=answers)
            self.n_answers += len(answers)

    def answer(self, until: int) -> None:
        """Answer what is asked; the page plays it without a key."""
        while self.n_answers < until:
            item = self.get("label/next", annotator=ANNOTATOR)["item"]
            if item is None:
                return
            name = self.name_of(item)
            self.press(name)
            guess, score = (item["predictions"] or [["", 0.0]])[0]
            place = {key: item[key] for key in ("file", "start_time", "end_time", "source")}
            asked = [item["start_time"], item["end_time"]]
            said = {"labels": [name], "presence": "positive", "annotator": ANNOTATOR}
            self.post("label/answers", **place, **said, guess=guess, guess_score=score, asked=asked)
            self.n_answers += 1

    def learn(self) -> dict[str, Any]:
        """Learn from the answers; the last step of the history as the page shows it."""
        self.post("label/learn")
        self.clicks += 1

        def ended() -> Any:
            learning = self.get("label")["learning"]
            return not learning["runs"] and learning

        learning = self.wait(ended)
        if learning["reason"]:
            raise RuntimeError(learning["reason"])
        step: dict[str, Any] = learning["history"][-1]
        return step

    def export(self) -> int:
        """Look through the whole folder; for how many recordings the saved table has a class."""
        self.post("find", where="")

        def ended() -> Any:
            work = self.get("find", where="")["work"]
            return work["state"] != "runs" and work

        if (work := self.wait(ended))["state"] != "done":
            raise RuntimeError(work["reason"])
        with urllib.request.urlopen(f"{self.address}/api/find/tables/predictions") as answer:
            rows = csv.DictReader(answer.read().decode().splitlines())
        return len({row["file"] for row in rows})


def right_by(project: Project, truth: dict[str, str]) -> dict[str, float]:
    """Shares that are right: of all, each judged by a classifier that heard nothing of its
    recording, which is what the page claims; and of what is left, by the classifier.
    """
    index = project.index
    labelled, matched, _ = label_index(project.log, index)
    name = np.array([truth[Path(file).name] for file in index.clips.file.tolist()])
    right = np.zeros(len(index), np.bool_)
    logits, _ = score_out_of_fold(index, labelled, matched.rows, seed=project.seed)
    classes = np.array(labelled.classes)
    right[labelled.rows] = classes[logits.argmax(axis=1)] == name[labelled.rows]
    rest = np.setdiff1d(np.arange(len(index)), matched.rows)
    pool = project.pool()
    best = np.array([pool.predictions(row)[0][0] for row in rest.tolist()])
    right[rest] = best == name[rest]
    left = float(right[rest].mean())
    group = index.clips.group
    for one in np.unique(group[rest][np.isin(group[rest], labelled.group)]).tolist():
        without = labelled[labelled.group != one]
        there = without.targets.sum(axis=0) > 0
        others, rows = rest[group[rest] != one], rest[group[rest] == one]
        logits = learn_probe(index.vectors, without, others, seed=project.seed).logits(
            index.vectors[rows]
        )
        logits[:, ~there] = -np.inf
        right[rows] = classes[logits.argmax(axis=1)] == name[rows]
    return {"truth": float(right.mean()), "what is left": left, "n left": len(rest)}


def one_try(data: Path, place: Path, seed: int, encoder: str, *, is_timed: bool) -> dict[str, Any]:
    """One newcomer."""
    truth = recordings_of(data, place / "recordings", seed)
    app_state = AppState(folder=(place / "recordings",), runs=place / "runs", device="cpu")
    if not is_timed:
        app_state.open_recording = lambda path, name: SimpleNamespace(id="")  # type: ignore
    with served(app_state) as address:
        page, began = Page(address, truth), time.perf_counter()
        found = page.make(encoder)
        seconds = {"project": time.perf_counter() - began}
        groups = page.get("label/groups")["groups"]
        seconds["first sound"] = time.perf_counter() - began
        heard = [{truth[Path(one["file"]).name] for one in group["sounds"]} for group in groups]
        named = {
            "groups": len(groups),
            "largest": max(group["size"] for group in groups),
            "of one class": sum(len(one) == 1 for one in heard),
            "answers": sum(len(group["sounds"]) for group in groups),
            "classes": len(set().union(*heard)),
        }
        rounds, first = [], {}
        for n in ROUNDS:
            page.name_groups(n) if not rounds else page.answer(n)
            step = page.learn()
            if not first:
                seconds["first classifier"] = time.perf_counter() - began
                first = {"clicks": page.clicks, "keys": page.keys}
                first |= {"seconds of sound": round(page.listened, 1)}
            assert app_state.session is not None
            right = right_by(app_state.session.project, truth)
            said = step["by_random"]
            rounds.append(
                {
                    "answers": page.n_answers,
                    "classes": step["n_classes"],
                    "truth": rounded(right["truth"]),
                    "what is left": rounded(right["what is left"]),
                    "n left": right["n left"],
                    "said": rounded(said["accuracy"]) if said["n"] else None,
                    "low": rounded(said["low"]) if said["n"] else None,
                    "high": rounded(said["high"]) if said["n"] else None,
                    "of": said["n"],
                    "holds": said["low"] <= right["truth"] <= said["high"] if said["n"] else None,
                    "keys": page.keys,
                }
            )
        exported = page.export() if is_timed else None
        app_state.close()
    return {
        "seed": seed,
        "recordings": len(truth),
        "used": found["n_recordings"],
        "segments": sum(group["size"] for group in groups),
        "all groups": named,
        "first classifier": first,
        **({"exported": exported} if is_timed else {}),
        **({"seconds": {k: round(v, 1) for k, v in seconds.items()}} if is_timed else {}),
        "rounds": rounds,
    }


def summary(tries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each round the means over the tries, and how often the interval held the truth."""
    told = []
    for number, n in enumerate(ROUNDS):
        steps = [one["rounds"][number] for one in tries]
        row: dict[str, Any] = {"answers": n}
        for name in ("classes", "truth", "what is left", "said", "low", "high", "keys"):
            values = [step[name] for step in steps if step[name] is not None]
            row[name] = rounded(float(np.mean(values))) if values else None
        claims = [step["holds"] for step in steps if step["holds"] is not None]
        told.append({**row, "claims": len(claims), "held": sum(claims)})
    return told


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--encoder", default="synth", help="synth, as the page proposes; or auto")
    how = parser.parse_args()
    sets = {}
    for data in how.data:
        tries = []
        for seed in range(how.tries):
            with tempfile.TemporaryDirectory() as place:
                made = one_try(data, Path(place), seed, how.encoder, is_timed=not seed)
            tries.append(made)
            print(data.name, json.dumps(made), flush=True)
        sets[data.name] = {"summary": summary(tries), "tries": tries}
        print(json.dumps(sets[data.name]["summary"], indent=1), flush=True)
        if how.output is not None:  # after each set, as all take half an hour
            names = " ".join(path.name.upper() for path in how.data)
            command = f"python benchmarks/app_newcomer.py {names} --encoder {how.encoder} -o FILE"
            what = "a newcomer on the page: what it takes, and whether what the page says is true"
            seeds = list(range(how.tries))
            write_json(how.output, {"what": what, **head(command, seeds), "sets": sets})


if __name__ == "__main__":
    sys.exit(main())
