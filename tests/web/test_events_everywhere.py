"""One model and one recording: the same events, and nothing in silence and noise, in every way."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from app_helpers import ADDRESS, LIVE, RATE, app_of, browsing, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

import semisonic
from semisonic.audio.live import LiveBlock
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.export import export
from semisonic.classifier.live.listen import listen
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import EventOptions
from semisonic.classifier.scoring import network_outputs, score_rows
from semisonic.classifier.unknown import features_of_noise, fit_unknown
from semisonic.classifier.windows import features_of_wave
from semisonic.cli.main import main
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import Decision
from semisonic.models.model_file import save
from semisonic.models.sound_model import SoundModel, build

MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
CLASSES = ("hiss", "hum", "sweep")
RULES = {"threshold": "0.6", "merge_gap": "0.2", "min_duration": "0.15", "edge": "0.7"}
Events = list[tuple[str, float, float, float]]


def heard_model() -> SoundModel:
    """A network that nobody trained, whose class layer is turned to what differs in the scene."""
    model = build("(4)3c-4p-gp", MEL, CLASSES, seed=2)
    model.frontend.standardize.mean.fill_(-45.0)
    model.frontend.standardize.std.fill_(20.0)
    model.eval()
    extract = make_extractor(MEL)
    parts = scene()[: 14 * MEL.n_samples].astype(np.float32).reshape(14, MEL.n_samples)
    features = torch.from_numpy(np.stack([features_of_wave(one, MEL, extract) for one in parts]))
    with torch.no_grad():
        layer = model.head[-1]
        logits = model.from_features(features)
        scale = 3.0 / logits.std(dim=0)
        layer.bias.copy_((layer.bias - logits.mean(dim=0)) * scale)
        layer.weight.mul_(scale[:, None])
    return model


def scene() -> np.ndarray:
    """Hums, hiss and a second of digital silence, 7.3 s."""
    rng = np.random.default_rng(0)
    wave = rng.normal(0, 0.002, round(7.3 * RATE))
    for start, length, hz in ((0.6, 0.8, 220.0), (2.1, 0.3, 300.0), (5.9, 1.1, 180.0)):
        at, n = round(start * RATE), round(length * RATE)
        wave[at : at + n] += 0.4 * np.sin(2 * np.pi * hz * np.arange(n) / RATE)
    wave[3 * RATE : 4 * RATE] += rng.normal(0, 0.2, RATE)
    wave[round(4.2 * RATE) : round(5.6 * RATE)] = 0.0
    return wave


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model, a recording, and one of digital silence."""
    place = tmp_path_factory.mktemp("events")
    save(place / "model.zip", heard_model())
    (place / "sounds").mkdir()
    sf.write(place / "sounds" / "a.wav", scene(), RATE)
    sf.write(place / "sounds" / "nothing.wav", np.zeros(2 * RATE), RATE)
    return place


@pytest.fixture
def client(folder) -> Iterator[Any]:
    pytest.importorskip("fastapi")
    sounds = folder / "sounds"
    app_state = app_of(model=folder / "model.zip", folder=(sounds,), runs=folder)
    yield from browsing(app_state)
    app_state.close()


def flags() -> list[str]:
    return [
        text for name, value in RULES.items() for text in (f"--{name.replace('_', '-')}", value)
    ]


def by_detect(folder: Path, name: str, *more: str) -> Events:
    output = folder / f"detect-{name}{''.join(more)}"
    command = ["detect", str(folder / "model.zip"), str(folder / "sounds" / name), "-q"]
    assert main([*command, "-o", str(output), "--device", "cpu", *flags(), *more]) == 0
    with (output / "events.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return sorted(
        (r["label"], float(r["start_time"]), float(r["end_time"]), float(r["score"])) for r in rows
    )


def of_lines(lines: list[dict[str, Any]]) -> Events:
    return sorted(
        (one["label"], one["start_time"], one["end_time"], one["score"])
        for one in lines
        if one["event"] == "end" and one["reason"] != "too short"
    )


def by_listen(folder: Path, name: str, capsys: pytest.CaptureFixture[str], *more: str) -> Events:
    capsys.readouterr()
    sound = str(folder / "sounds" / name)
    command = ["listen", str(folder / "model.zip"), "--input", sound, "--speed", "0", "-q"]
    assert main([*command, *flags(), *more]) == 0
    return of_lines([json.loads(line) for line in capsys.readouterr().out.splitlines()])


def by_page(client: Any, name: str) -> Events:
    sound = client.post("/api/folders/open", json={"folder": 0, "name": name}).json()["id"]
    wait_for(client, sound)
    found = client.get(f"/api/sounds/{sound}/events", params=RULES).json()["events"]
    return sorted((label, start, end, score) for start, end, label, score in found)


def by_live_page(client: Any, folder: Path, name: str) -> Events:
    samples, _ = sf.read(folder / "sounds" / name, dtype="int16")
    lines = []
    with client.websocket_connect(LIVE, headers={"Origin": ADDRESS}) as socket:
        rules = {k: v if k == "threshold" else float(v) for k, v in RULES.items()}
        socket.send_json({"rate": RATE, **rules})
        assert socket.receive_json()["kind"] == "ready"
        for start in range(0, len(samples), 700):
            socket.send_bytes(samples[start : start + 700].astype("<i2").tobytes())
        socket.send_text("end")
        while (message := socket.receive_json())["kind"] != "end":
            lines.append(message)
    return of_lines([line for line in lines if line["kind"] == "event"])


def assert_same(found: Events, expected: Events) -> None:
    assert [one[:3] for one in found] == [one[:3] for one in expected]
    np.testing.assert_allclose([one[3] for one in found], [one[3] for one in expected], atol=1e-4)


def test_every_way_finds_the_same_events(folder, client, capsys) -> None:
    expected = by_detect(folder, "a.wav")
    assert len(expected) >= 3
    assert len({label for label, *_ in expected}) >= 2
    assert_same(by_listen(folder, "a.wav", capsys), expected)
    assert_same(by_page(client, "a.wav"), expected)
    assert_same(by_live_page(client, folder, "a.wav"), expected)


@pytest.mark.parametrize("more", [("--times", "windows"), ("--hop", "0.1"), ("--classes", "hum")])
def test_options_mean_the_same_in_a_stream(folder, capsys, more) -> None:
    expected = by_detect(folder, "a.wav", *more)
    assert expected
    assert_same(by_listen(folder, "a.wav", capsys, *more), expected)


class Cut:
    """A recording as a source that gives it in pieces of any size."""

    name, sample_rate, speed = "pieces", RATE, 0.0

    def __init__(self, wave: np.ndarray, cuts: list[int]) -> None:
        self.pieces = np.split(wave.astype(np.float32), sorted(cuts))

    def blocks(self) -> Iterator[LiveBlock]:
        for piece in self.pieces:
            yield LiveBlock(piece, time.monotonic())


MODEL = heard_model()
N = len(scene())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, N), max_size=12), st.sampled_from([0, 0, N // 3, 4001, 1500]))
def test_how_a_stream_is_cut_changes_no_event(cuts, end) -> None:
    wave = scene()[: end or N]
    options = EventOptions(
        threshold=RULES["threshold"],
        **{name: float(value) for name, value in RULES.items() if name != "threshold"},
    )
    whole, parts = (list(listen(MODEL, Cut(wave, sizes), options)) for sizes in ([], cuts))
    assert [(e.kind, e.label, e.start_time, e.end_time, e.reason) for e in parts] == [
        (e.kind, e.label, e.start_time, e.end_time, e.reason) for e in whole
    ]
    np.testing.assert_allclose([e.score for e in parts], [e.score for e in whole], atol=1e-4)


def test_in_digital_silence_there_is_nothing(folder, client, capsys) -> None:
    file = folder / "sounds" / "nothing.wav"
    with torch.inference_mode():
        assert heard_model().score(torch.full((1, 1, *MEL.shape[1:]), -100.0))[0].max() > 0.4
    table = folder / "nothing.csv"
    model = str(folder / "model.zip")
    assert main(["predict", model, str(file), "-o", str(table), "--top", "2", "-q"]) == 0
    with table.open() as stream:
        (row,) = csv.DictReader(stream)
    assert (row["label"], row["score"], row["label_2"], row["score_2"]) == ("(silence)", "", "", "")
    capsys.readouterr()
    assert main(["predict", model, str(file)]) == 0
    assert "(silence): digital silence" in capsys.readouterr().out

    rules = dict(RULES, threshold="0.01")
    assert len(semisonic.detect(model, file, threshold=0.01, device="cpu").events) == 0
    assert by_listen(folder, "nothing.wav", capsys, "--threshold", "0.01") == []
    sound = client.post("/api/folders/open", json={"folder": 0, "name": "nothing.wav"}).json()["id"]
    heard = wait_for(client, sound)["heard"]
    assert (heard["top"], heard["is_silent"]) == ([], True)
    assert client.get(f"/api/sounds/{sound}/events", params=rules).json()["n_events"] == 0
    assert by_live_page(client, folder, "nothing.wav") == []
    index = semisonic.embed(model, [file], device="cpu")
    assert set(index.predicted.tolist()) == {""}


def test_silent_windows_do_not_count_in_the_answer_for_a_recording(folder) -> None:
    from semisonic.classifier.predict import predict_files

    part = scene()[6 * RATE : 6 * RATE + 4000]
    files = [folder / "sound.wav", folder / "mostly_silent.wav"]
    sf.write(files[0], part, RATE)
    sf.write(files[1], np.concatenate([part, np.zeros(5 * 4000)]), RATE)
    rows = predict_files(open_model(folder / "model.zip"), files, top=3).rows
    assert rows[0][3::2] == rows[1][3::2]
    np.testing.assert_allclose(rows[0][4::2], rows[1][4::2], atol=1e-6)
    windows = predict_files(open_model(folder / "model.zip"), files[1:], windows=True).rows
    assert [row[3] == "(silence)" for row in windows] == [False] + 5 * [True]


def steady(kind: str, level_db: float) -> np.ndarray:
    """Two seconds that no class should be named in, at a level below full scale."""
    rng, n = np.random.default_rng(3), 2 * RATE
    if kind == "mains hum":
        turns = 2 * np.pi * 50 * np.arange(n) / RATE
        wave = sum(np.sin(turns * k) / k for k in (1, 2, 3, 4, 6)) + rng.normal(0, 0.01, n)
    else:
        spectrum = np.fft.rfft(rng.normal(size=n))
        if kind == "pink":
            spectrum /= np.sqrt(np.arange(len(spectrum)) + 1)
        wave = np.fft.irfft(spectrum, n)
    return wave * 10 ** (level_db / 20) / wave.std()


def known_sound(number: int) -> np.ndarray:
    """A sweep or some beeps of half a second, each number another recording."""
    rng, time_s = np.random.default_rng(number), np.arange(MEL.n_samples) / RATE
    low, high = (1000.0, 3000.0) if number % 2 else (220.0, 220.0)
    wave = 0.4 * np.sin(2 * np.pi * rng.uniform(0.8, 1.2) * (low + (high - low) * time_s) * time_s)
    wave *= 1.0 if number % 2 else np.sin(2 * np.pi * rng.uniform(3, 7) * time_s) > 0.2
    return (wave + rng.normal(0, 0.01, len(wave))).astype(np.float32)


@pytest.fixture(scope="module")
def wary(tmp_path_factory) -> tuple[Path, SoundModel]:
    """The model with rules that were fitted on sweeps and beeps alone, and sounds."""
    place, model, extract = tmp_path_factory.mktemp("noise"), heard_model(), make_extractor(MEL)
    waves = [known_sound(number) for number in range(60)]
    known = np.stack([features_of_wave(one, MEL, extract) for one in waves])
    rows, noise = np.arange(len(known)), features_of_noise(MEL, seed=0, per_kind=40)
    halves = [np.flatnonzero(rows // 2 % 2 == half) for half in (0, 1)]
    model.decision = Decision(
        unknown=fit_unknown(
            network_outputs(model, known, rows),
            score_rows(model, known, rows),
            1 + rows % 2,
            network_outputs(model, noise, np.arange(len(noise))).statistics,
            [(halves[0], halves[1]), (halves[1], halves[0])],
        )[0]
    )
    save(place / "model.zip", model)
    (place / "sounds").mkdir()
    sf.write(place / "sounds" / "sweep.wav", np.tile(known_sound(99), 4), RATE)
    for kind, level_db in STEADY:
        sf.write(place / "sounds" / f"{kind}{level_db}.wav", steady(kind, level_db), RATE)
    return place, model


STEADY = (("white", -80), ("white", -20), ("pink", -40), ("mains hum", -25))


@pytest.mark.parametrize(("kind", "level_db"), STEADY)
def test_in_steady_noise_there_is_nothing(wary, capsys, kind, level_db) -> None:
    folder, _ = wary
    name = f"{kind}{level_db}.wav"
    model_file, file = str(folder / "model.zip"), folder / "sounds" / name
    rows = semisonic.predict(model_file, [file, folder / "sounds" / "sweep.wav"]).rows
    named = {Path(row[0]).name: row[3] for row in rows}
    assert named[name] == "(noise)"
    assert named["sweep.wav"] in CLASSES
    heard = SoundClassifier.load(model_file)
    assert heard.predict([file], unknown=True).tolist() == ["(unknown)"]
    assert heard.predict([folder / "sounds" / "sweep.wav"])[0] in CLASSES
    for times in ("auto", "windows"):
        found = semisonic.detect(model_file, file, threshold=0.01, times=times, device="cpu")
        assert len(found.events) == 0
    assert len(semisonic.detect(model_file, folder / "sounds" / "sweep.wav", threshold=0.01).events)
    assert by_listen(folder, name, capsys, "--threshold", "0.01") == []
    app_state = app_of(model=folder / "model.zip", folder=(folder / "sounds",), runs=folder)
    for client in browsing(app_state):
        opened = client.post("/api/folders/open", json={"folder": 0, "name": name}).json()["id"]
        assert wait_for(client, opened)["heard"]["top"] == []
        rules = dict(RULES, threshold="0.01")
        assert client.get(f"/api/sounds/{opened}/events", params=rules).json()["n_events"] == 0
        assert by_live_page(client, folder, name) == []
    app_state.close()


def test_an_exported_file_says_that_there_is_nothing_in_steady_noise(wary) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder, model = wary
    export(model, folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [f"{kind}{level_db}.wav" for kind, level_db in STEADY]
    for name in (*names, "sweep.wav"):
        wave, _ = sf.read(folder / "sounds" / name, dtype="float32")
        scores, known = session.run(["scores", "known"], {"audio": wave[None, : MEL.n_samples]})
        assert (float(known[0]) == 0.0) == (name != "sweep.wav")
        if name != "sweep.wav":
            assert scores.max() < model.decision.least_threshold(len(CLASSES), multi_label=False)
