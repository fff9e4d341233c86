"""Every example of every help runs as it stands, on small recordings with the examples' names."""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
import shlex
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import click
import numpy as np
import pytest
import soundfile as sf

from calls import cli
from semisonic import recipes
from semisonic.classifier import start as synthetic
from semisonic.classifier.options import FindRateOptions
from semisonic.cli.main import Verbs, command
from semisonic.cli.parser import Verb
from semisonic.core import progress
from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import make_synth
from semisonic.training.options import FitOptions

pytestmark = pytest.mark.slow

RATE = 8000
CLASSES = ("fox", "owl", "siren")
TESTS = Path(__file__).parents[1]
MADE_FIRST = (
    'semisonic train path/to/labelled -o runs/model --model "(4)3c-4p-gp" --method supervised'
    " --n-mels 16 --sample-rate 8000 --duration 1 --n-fft 256 --hop-length 256",
    'semisonic pretrain path/to/pool -o runs/encoder --model "(4)3c-4p-gp" --n-mels 16'
    " --sample-rate 8000 --duration 1 --n-fft 256 --hop-length 256",
    "semisonic embed runs/model path/to/recordings -o runs/index",
    "semisonic project new path/to/recordings --encoder runs/model -o runs/project",
    "semisonic project suggest runs/project -n 18",
    "semisonic suggest runs/model path/to/recordings -n 9",
    "semisonic encoder get yamnet --source yamnet.onnx --duration 1",
    "semisonic detect runs/model night.wav --truth events.csv --save-thresholds thresholds.csv"
    " -o runs/made-first",
)
"""What examples presuppose, in this order."""

NO_MICROPHONE = "sounddevice"
ENDS_OTHERWISE = {
    # The project of these tests has an encoder of its own.
    "semisonic project improve runs/project": (2, "not from the encoder that comes"),
    "semisonic encoder get yamnet": (2, "give --yes"),
    "semisonic listen runs/model": (2, NO_MICROPHONE),
    "semisonic listen --list-devices": (2, NO_MICROPHONE),
    "semisonic listen runs/model --classes siren --min-duration 2 --on-event './alarm.sh'": (
        2,
        NO_MICROPHONE,
    ),
}
"""Examples that need a microphone, or somebody to ask, run up to the error that says so."""


def every_verb(group: Verbs = command) -> Iterator[Verb]:
    for name in group.verbs:
        found = group.get_command(click.Context(group), name)
        yield from every_verb(found) if isinstance(found, Verbs) else [found]


SMALL_INPUT = shlex.split(
    "--model (4)3c-4p-gp --sample-rate 8000 --duration 1 --n-fft 256 --hop-length 256 --n-mels 16"
)
SMALLER = {
    "run": ("--quick", "--workers", "1"),
    "tune": ("--trials", "2", "--inner-folds", "2", "--workers", "1"),
    "curve": ("--folds", "1", "--draws", "1", "--workers", "1", *SMALL_INPUT),
}
"""What is added to the examples of verbs that train dozens of networks or draw many pictures."""

EXAMPLES = [(verb.name, line) for verb in every_verb() for line in verb.examples]


def sound(kind: str, number: int, seconds: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng([CLASSES.index(kind), number])
    time_s = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(200, 300)
    wave = {
        "fox": lambda: rng.normal(0, 0.15, len(time_s)),
        "owl": lambda: 0.4 * np.sin(2 * np.pi * pitch * time_s),
        "siren": lambda: 0.4 * np.sin(2 * np.pi * (500 + 3 * pitch * time_s) * time_s),
    }[kind]()
    return wave + rng.normal(0, 0.01, len(time_s))


def write_table(file: Path, *rows: tuple[object, ...], delimiter: str = ",") -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


def write_recordings(folder: Path) -> None:
    """All that examples name and that is not made by a verb."""
    to = folder / "path" / "to"
    for name in ("disk/2026-05-01", "some", "quiet", "pool"):
        (to / name).mkdir(parents=True)
    sizes = {"labelled": 6, "recordings": 15, "test": 6, "validation": 15}
    for at, (place, size) in enumerate(sizes.items()):
        for kind in CLASSES:
            (to / place / kind).mkdir(parents=True)
            for number in range(size):
                made = sound(kind, number + 20 * at)
                sf.write(to / place / kind / f"{kind}{number}.wav", made, RATE)
    for number in range(6):
        for kind in CLASSES:
            sf.write(to / "pool" / f"{kind}{number}.wav", sound(kind, 100 + number), RATE)
        file = to / "disk" / "2026-05-01" / f"SMU01_20260501_0{number}0000.wav"
        sf.write(file, sound("owl", 200 + number), RATE)
        sf.write(to / "quiet" / f"{number}.wav", 0.1 * sound("fox", 300 + number, 3), RATE)
        sf.write(to / "some" / f"{number}.wav", sound("siren", 400 + number), RATE)
    shutil.copytree(to / "recordings", to / "annotated")
    (to / "annotated" / "owl" / "owl0.txt").write_text("0.2\t0.8\towl\n", encoding="utf-8")
    for name in ("esc10", "esc50"):
        write_esc(to / name)
    for name in ("a.wav", "b.ogg", "recording.wav", "example.wav", "night.wav", "bark.wav"):
        sf.write(folder / name, sound("owl", 500, 2), RATE)
    sf.write(folder / "night1.wav", sound("owl", 501, 4), RATE)
    sf.write(folder / "long.wav", sound("siren", 502, 16), RATE)
    shutil.copytree(to / "recordings", folder / "recordings")
    write_table(
        folder / "labels.csv",
        ("file", "label", "site"),
        *(
            (f"path/to/recordings/{kind}/{kind}{n}.wav", kind, f"site{n}")
            for kind in CLASSES
            for n in range(15)
        ),
    )
    np.save(folder / "birdnet.npy", np.eye(8, dtype=np.float32))
    write_table(
        folder / "segments.csv",
        ("path", "start_time", "end_time"),
        *(("long.wav", second, second + 1) for second in range(8)),
    )
    write_table(
        folder / "events.csv",
        ("file", "start_time", "end_time", "label"),
        ("night.wav", 0.5, 1.5, "owl"),
    )
    write_table(
        folder / "night1.Table.1.selections.txt",
        (
            "Selection",
            "View",
            "Channel",
            "Begin Time (s)",
            "End Time (s)",
            "Low Freq (Hz)",
            "High Freq (Hz)",
            "Species",
        ),
        (1, "Spectrogram 1", 1, 0.5, 1.5, 100, 900, "owl"),
        delimiter="\t",
    )
    (folder / "recipes").mkdir()
    source = recipes.find("cae-pretraining")
    shutil.copyfile(source, folder / "recipes" / source.name)
    shutil.copyfile(recipes.find("tune-demo"), folder / "my-recipe.toml")
    (folder / "alarm.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "alarm.sh").chmod(0o755)


def write_esc(folder: Path) -> None:
    """Eight clips of each class in each of five folds."""
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    rows = []
    for fold in range(1, 6):
        for target, kind in enumerate(CLASSES):
            for take in "ABCDEFGH":
                name = f"{fold}-{fold}{target}{ord(take)}-{take}-{target}.wav"
                number = 600 + 100 * fold + ord(take)
                sf.write(folder / "audio" / name, sound(kind, number, 0.5), RATE)
                rows.append((name, fold, target, kind, True, name.split("-")[1], take))
    write_table(
        folder / "meta" / "esc50.csv",
        ("filename", "fold", "target", "category", "esc10", "src_file", "take"),
        *rows,
    )


def write_published(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Files with the published names and layouts, random weights, and few of them."""
    import torch

    from semisonic.models.published import read_yamnet

    patch.syspath_prepend(TESTS / "models")
    from published_standins import Yamnet, shaken
    from test_general import yamnet_graph
    from tiny_graph import write_graph

    write_graph(folder / "tower.onnx")
    states = folder / "yamnet.pt"
    torch.save(shaken(Yamnet()).state_dict(), states)
    tensors = {name: value.numpy() for name, value in read_yamnet(states).items()}
    (folder / "yamnet.onnx").write_bytes(yamnet_graph(tensors).SerializeToString())


def write_answers(folder: Path) -> None:
    """What somebody said about half of the recordings: a project's log, and queues filled in."""
    from semisonic.labeling.label_log import LabelLog

    project = folder / "runs" / "project"
    answers = LabelLog(project / "labels.jsonl", folder / "path" / "to" / "recordings")
    for kind in CLASSES:
        for number in range(3):
            answers.append(f"{kind}/{kind}{number}.wav", 0.0, 1.0, kind)
    for queue in (project / "queue.csv", folder / "queue.csv"):
        with queue.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        with queue.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, list(rows[0]))
            table.writeheader()
            table.writerows({**row, "label": Path(row["file"]).parent.name} for row in rows)


def fewer_sounds(whole: Callable[..., Any]) -> Callable[..., Any]:
    def make(folder: Path, options: SynthOptions | None = None, *rest: Any, **others: Any) -> Any:
        asked = options or SynthOptions()
        less = dataclasses.replace(
            asked,
            clips_per_class=min(asked.clips_per_class, 5),
            clips_per_recording=1,
            n_pool=min(asked.n_pool, 6),
            duration=1.0,
        )
        return whole(folder, less, *rest, **others)

    return make


@pytest.fixture(scope="module")
def small_budgets() -> Iterator[pytest.MonkeyPatch]:
    """Two steps for each training, a few synthetic sounds; no example says otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FitOptions, "n_steps", lambda *_: 2)
        sounds = dataclasses.replace(synthetic.SYNTH_SOUNDS, n_classes=3, clips_per_class=5)
        patch.setattr(synthetic, "SYNTH_SOUNDS", sounds)
        # processes would not know of all this
        patch.setattr("semisonic.experiments.runner.count_workers", lambda _: 1)
        fewer = fewer_sounds(make_synth)
        for user in ("data.synth.dataset", "classifier.start"):
            patch.setattr(f"semisonic.{user}.make_synth", fewer)
        patch.setitem(sys.modules, "sounddevice", None)
        patch.setattr(webbrowser, "open", lambda _: True)
        yield patch


@pytest.fixture(scope="module")
def world(tmp_path_factory, small_budgets) -> Path:
    """A folder in which all is that examples presuppose."""
    folder = tmp_path_factory.mktemp("examples") / "world"
    write_recordings(folder)
    write_published(folder, small_budgets)
    here = Path.cwd()
    os.chdir(folder)
    try:
        for line in MADE_FIRST:
            assert cli(shlex.split(line)[1:]) == 0, line
        write_answers(folder)
        shutil.copytree("runs/model", "runs/other")
    finally:
        os.chdir(here)
    return folder


def stopped_once_it_serves(patch: pytest.MonkeyPatch) -> None:
    """The app serves at a free port and is stopped as soon as it does."""
    from semisonic.web import serving
    from semisonic.web.application import Server

    bind, startup = serving._bind, Server.startup

    async def begin_and_end(server: Server, *arguments: Any, **others: Any) -> None:
        await startup(server, *arguments, **others)
        server.should_exit = True

    patch.setattr(serving, "_bind", lambda host, _: bind(host, 0))
    patch.setattr(Server, "startup", begin_and_end)


@contextmanager
def own_server(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server on this machine stands in for those of the published data sets."""
    patch.syspath_prepend(TESTS / "data")
    from get_server import Site, serving, zipped

    from semisonic.data.datasets import catalogue
    from semisonic.data.datasets.catalogue import RemoteFile

    names = [
        archive.folder
        for name in ("esc50", "fsdkaggle2019")
        for archive in catalogue.SETS[name].archives
    ]
    files = {f"{name}.zip": zipped({f"{name}/a.txt": b"a"}) for name in names}
    with serving(Site(files)) as site:
        for name in ("esc50", "fsdkaggle2019"):
            real = catalogue.SETS[name]
            archives = tuple(
                dataclasses.replace(
                    one,
                    files=(RemoteFile(f"{one.folder}.zip", f"{site.address}/{one.folder}.zip"),),
                )
                for one in real.archives
            )
            record = f"{site.address}/record"
            near = dataclasses.replace(real, archives=archives, record=record)
            patch.setitem(catalogue.SETS, name, near)
        yield


@contextmanager
def a_stream_of(data: bytes) -> Iterator[IO[str]]:
    with tempfile.TemporaryFile("r+", encoding="utf-8") as stream:
        os.write(stream.fileno(), data)
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        yield stream


def started_verbs(patch: pytest.MonkeyPatch) -> list[str]:
    """Names of the verbs that begin from now on."""
    begun: list[str] = []
    start = Verb._start

    def noted(verb: Verb, **options: Any) -> int:
        begun.append(str(verb.name))
        return start(verb, **options)

    for verb in every_verb():
        patch.setattr(verb, "callback", functools.partial(noted, verb))
    return begun


def test_every_verb_has_an_example() -> None:
    assert {verb.name for verb in every_verb()} == {name for name, _ in EXAMPLES}


@pytest.mark.parametrize(("verb", "line"), EXAMPLES)
def test_an_example_of_the_help_runs(verb, line, world, tmp_path, monkeypatch, capsys) -> None:
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    status, words = ENDS_OTHERWISE.get(line, (0, ""))
    arguments = [*shlex.split(line)[1:], *SMALLER.get(verb, ())]
    if "-o" in arguments:  # what the world has of it already
        there = Path(arguments[arguments.index("-o") + 1])
        if there.is_dir():
            shutil.rmtree(there)
        there.unlink(missing_ok=True)
    begun = started_verbs(monkeypatch)
    with ExitStack() as around:
        if arguments[0] == "find-rate":  # which asks for so many at least
            monkeypatch.setattr(FitOptions, "n_steps", lambda *_: 20)
            fewer = tuple(20 if d == 140 else d for d in FindRateOptions.__init__.__defaults__)
            monkeypatch.setattr(FindRateOptions.__init__, "__defaults__", fewer)
        if arguments[0] == "app":
            stopped_once_it_serves(monkeypatch)
        if arguments[:2] == ["data", "get"]:
            around.enter_context(own_server(monkeypatch))
        if arguments[0] == "listen":
            raw = (sound("owl", 700) * 32767).astype("<i2").tobytes()
            monkeypatch.setattr(sys, "stdin", around.enter_context(a_stream_of(raw)))
        around.callback(progress.show_progress, False)
        found = cli(arguments)
    said = capsys.readouterr()
    assert found == status, said.err
    assert begun == [verb]
    assert words in said.err
