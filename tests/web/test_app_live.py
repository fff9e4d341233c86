"""The live page's WebSocket: scores as those of 'listen', and nothing sent to it ends the app."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile as sf
from app_helpers import ADDRESS, LIVE, RATE, app_of, browsing, wait_for

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.websockets import WebSocketDisconnect

from semisonic.audio.live import LiveBlock, LiveGap
from semisonic.cli.main import main
from semisonic.core.errors import AudioError, OptionError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import build
from semisonic.web.live import BrowserSource
from waiting import until

PIECE = 320


def connected(client: Any) -> Any:
    return client.websocket_connect(LIVE, headers={"Origin": ADDRESS})


def streamed(client: Any, samples: np.ndarray, **hello: Any) -> list[dict[str, Any]]:
    """All messages for some samples."""
    messages = []
    with connected(client) as socket:
        socket.send_json({"rate": RATE, **hello})
        assert socket.receive_json()["kind"] == "ready"
        for start in range(0, len(samples), PIECE):
            socket.send_bytes(samples[start : start + PIECE].astype("<i2").tobytes())
        socket.send_text("end")
        while not messages or messages[-1]["kind"] != "end":
            messages.append(socket.receive_json())
    return messages


def test_scores_and_events_are_those_of_listen(client, app_model, app_folder, capsys) -> None:
    file = app_folder / "site" / "hum.wav"
    rules = ["--threshold", "0.3", "--hop", "0.25", "--merge-gap", "0"]
    command = ["listen", str(app_model), "--input", str(file), "--speed", "0", "--scores", "-q"]
    assert main([*command, *rules]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    samples, _ = sf.read(file, dtype="int16")
    found = streamed(client, samples, threshold=0.3, hop=0.25, merge_gap=0.0)

    expected = [line for line in lines if line["event"] == "scores"]
    scores = [message for message in found if message["kind"] == "scores"]
    assert [one["end_time"] for one in scores] == [line["end_time"] for line in expected]
    table = np.array([one["scores"] for one in scores])
    np.testing.assert_allclose(
        table, [list(line["scores"].values()) for line in expected], atol=2e-4
    )

    keys = ("event", "label", "start_time", "end_time")
    events = [[m.get(key) for key in keys] for m in found if m["kind"] == "event"]
    assert events == [[m.get(key) for key in keys] for m in lines if m["event"] != "scores"]
    assert events
    assert "heard 3.0 s" in found[-1]["summary"]


def test_missing_thresholds_are_told_on_the_page_and_not_each_time(
    client, app_folder, caplog
) -> None:
    assert client.get("/api/state").json()["model"]["has_thresholds"] is False
    samples, _ = sf.read(app_folder / "site" / "hum.wav", dtype="int16")
    auto, half = streamed(client, samples), streamed(client, samples, threshold=0.5)
    keys = ("event", "label", "start_time", "end_time", "threshold")
    events = [
        [[m.get(key) for key in keys] for m in found if m["kind"] == "event"]
        for found in (auto, half)
    ]
    assert events[0] == events[1] != []
    sound = client.post("/api/folders/open", json={"folder": 0, "name": "site/hum.wav"}).json()[
        "id"
    ]
    wait_for(client, sound)
    for threshold in ("", "auto", "0.5"):
        client.get(f"/api/sounds/{sound}/events", params={"threshold": threshold})
    assert not [one for one in caplog.records if "thresholds" in one.getMessage()]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("not json", "JSON"),
        ("[]", "JSON"),
        ("[" * 100_000, "JSON"),
        ("{}", "rate"),
        ('{"rate": "fast"}', "rate"),
        ('{"rate": 1e9}', "rate"),
        ('{"rate": 8000, "hop": 0}', "hop"),
        ('{"rate": 8000, "threshold": 7}', "threshold"),
        ('{"rate": 8000, "merge_gap": "x"}', "merge_gap"),
    ],
)
def test_a_wrong_beginning_is_told_why(client, first, reason) -> None:
    with connected(client) as socket:
        socket.send_text(first)
        message = socket.receive_json()
        assert message["kind"] == "error"
        assert reason in message["error"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    assert client.get("/api/state").status_code == 200


def test_half_a_sample_ends_the_session_alone(client) -> None:
    with connected(client) as socket:
        socket.send_json({"rate": RATE})
        socket.receive_json()
        socket.send_bytes(b"\x00\x01\x02")
        kinds = {socket.receive_json()["kind"], socket.receive_json()["kind"]}
        assert kinds == {"error", "end"}
    assert len(streamed(client, np.zeros(RATE, np.int16))) > 1


@pytest.mark.parametrize("said", [[], ['{"rate": 8000}'], ['{"rate": 8000}', b"\x00" * 640]])
def test_a_closed_socket_leaves_the_app_alone(client, said) -> None:
    for _ in range(6):  # more than may listen at once
        with connected(client) as socket:
            for one in said:
                socket.send_bytes(one) if isinstance(one, bytes) else socket.send_text(one)
            socket.close()
    # A place is free once the app has noticed that a page went.
    until(lambda: streamed(client, np.zeros(RATE, np.int16))[-1]["kind"] == "end")


def test_a_page_too_many_waits(client) -> None:
    sockets = [connected(client) for _ in range(4)]
    for one in sockets:
        one.__enter__()
    with connected(client) as socket:
        assert "4 pages" in socket.receive_json()["error"]
    for one in sockets:
        one.__exit__(None, None, None)


@pytest.mark.parametrize("said", [[], [{"rate": RATE}]])
def test_a_silent_page_gives_its_place_to_another(client, monkeypatch, said) -> None:
    monkeypatch.setattr("semisonic.web.live.SILENT_SECONDS", 0.2)
    with connected(client) as socket:
        for one in said:
            socket.send_json(one)
            assert socket.receive_json()["kind"] == "ready"
        message = socket.receive_json()
        assert message["kind"] == "error"
        assert "came for 0.2 s" in message["error"]


def test_sound_that_comes_too_fast_leaves_a_gap(app_folder) -> None:
    source = BrowserSource(RATE)
    for _ in range(600):
        source.put(b"\x00\x01" * 100)
    source.end()
    items = list(source.blocks())
    blocks = [item for item in items if isinstance(item, LiveBlock)]
    gaps = [item for item in items if isinstance(item, LiveGap)]
    assert gaps
    assert len(blocks) < 512
    assert blocks[0].samples[0] == pytest.approx(256 / 32768)
    with pytest.raises(AudioError, match="2 for each"):
        source.put(b"\x00")


@pytest.mark.parametrize("kind", ["csv", "raven", "audacity"])
def test_kept_events_are_saved_as_a_label_file(client, tmp_path, kind) -> None:
    from semisonic.data.formats.label_files import read_labels

    name = "Live 2026-11-23 07-00-00"
    kept = [[4.5, 6.25, "Hund, groß", 0.75], [0.5, 1.25, "hum", 0.5]]
    answer = client.post(f"/api/live/tables/{kind}", json={"name": name, "events": kept})
    suffix = {"csv": ".csv", "raven": ".Table.1.selections.txt", "audacity": ".txt"}[kind]
    assert quote(name + suffix) in answer.headers["content-disposition"]
    (tmp_path / (name + suffix)).write_bytes(answer.content)
    (tmp_path / f"{name}.wav").touch()  # an Audacity file is called as its recording
    read = read_labels(tmp_path / (name + suffix))
    rows = read[["start_time", "end_time", "label"]].to_numpy(object).tolist()
    assert rows == [kept[1][:3], kept[0][:3]]  # in the order of time
    assert kind != "csv" or read.score.tolist() == [0.5, 0.75]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("csv", [2, 1, "hum", 0.5]),
        ("csv", [0, 1, "hum", 7]),
        ("csv", [0, 1, "hum"]),
        ("csv", [0, "x", "hum", 0.5]),
        ("birdnet", [0, 1, "hum", 0.5]),
        ("scores", [0, 1, "hum", 0.5]),
        ("csv", None),
    ],
)
def test_events_that_cannot_be_saved_are_told_why(client, kind, event) -> None:
    body = {"name": "Live", "events": [event] if event else []}
    answer = client.post(f"/api/live/tables/{kind}", json=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


def test_thresholds_that_the_app_was_started_with_count_for_files_and_live(
    app_folder, tmp_path
) -> None:
    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    unsure = build("(4)3c-4p-gp", mel, ["hiss", "hum", "sweep"], standardize="none")
    for weights in unsure.parameters():
        weights.data *= 0.1
    save(tmp_path / "model.zip", unsure)
    table = tmp_path / "thresholds.csv"
    table.write_text("label,threshold\nhum,0.123\nhiss,1\nsweep,1\n", encoding="utf-8")
    state = app_of(model=tmp_path / "model.zip", folder=(app_folder,), threshold=str(table))
    samples, _ = sf.read(app_folder / "site" / "hum.wav", dtype="int16")
    for client in browsing(state):
        place = {"folder": 0, "name": "site/hum.wav"}
        sound = client.post("/api/folders/open", json=place).json()["id"]
        wait_for(client, sound)
        found, low = (
            client.get(f"/api/sounds/{sound}/events", params=rules).json()["events"]
            for rules in ({}, {"threshold": "0.123"})
        )
        assert {row[2] for row in low} > {"hum"}
        assert found == [row for row in low if row[2] == "hum"]
        live = [m for m in streamed(client, samples) if m["kind"] == "event"]
        assert {(m["label"], m["threshold"]) for m in live} == {("hum", 0.123)}
        assert client.get("/api/state").json()["model"]["threshold"] == str(table)


def test_thresholds_of_other_classes_are_refused_at_the_start_and_not_used_later(
    app_model, tmp_path
) -> None:
    table = tmp_path / "thresholds.csv"
    table.write_text("label,threshold\nowl,0.1\n", encoding="utf-8")
    with pytest.raises(OptionError):
        app_of(model=app_model, threshold=str(table))
    table.write_text("label,threshold\nhum,0.1\n", encoding="utf-8")
    state = app_of(model=app_model, threshold=str(table))
    other = tmp_path / "other.zip"
    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    save(other, build("(4)3c-4p-gp", mel, ["fox", "owl"], standardize="none"))
    state.take_model(other)
    facts = state.facts()["model"]
    assert facts["threshold"] == "auto"
    assert "hum" in facts["no_threshold"]
    late = app_of(threshold=str(table))  # started without a model
    late.take_model(other)
    assert "hum" in late.facts()["model"]["no_threshold"]
