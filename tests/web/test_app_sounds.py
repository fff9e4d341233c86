"""Recordings on the page: taken within limits, shown, played, and heard as on the command line."""

from __future__ import annotations

import csv
import functools
import io
import os
import subprocess
import tempfile
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from app_helpers import RATE, app_of, browsing, running, sent, wait_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.audio.find import AUDIO_SUFFIXES
from semisonic.audio.spectrogram import N_BANDS
from semisonic.cli.main import main
from semisonic.core.errors import AudioError
from semisonic.core.files import locked
from semisonic.web.checking import Checker
from semisonic.web.recordings import COLUMNS, OpenRecording, OpenRecordings, Tiles
from systems import NAMES_OF_BYTES
from waiting import until


def opened(client: Any, name: str = "site/hum.wav") -> str:
    identity: str = client.post("/api/folders/open", json={"folder": 0, "name": name}).json()["id"]
    assert wait_for(client, identity)["state"] == "ready"
    return identity


def test_events_are_those_of_detect(client, app_model, app_folder, tmp_path) -> None:
    file, rules = app_folder / "site" / "hum.wav", {"threshold": "0.3", "min_duration": "0.2"}
    options = [text for name, value in rules.items() for text in (f"--{name}", value)]
    assert main(["detect", str(app_model), str(file), "-o", str(tmp_path), "-q", *options]) == 0
    with (tmp_path / "events.csv").open() as stream:
        expected = [
            [float(r["start_time"]), float(r["end_time"]), r["label"], float(r["score"])]
            for r in csv.DictReader(stream)
        ]
    assert expected
    found = client.get(f"/api/sounds/{opened(client)}/events", params=rules).json()["events"]
    assert [row[:3] for row in found] == [row[:3] for row in sorted(expected)]
    scores = [row[3] for row in found]
    assert scores == pytest.approx([row[3] for row in sorted(expected)], abs=6e-5)


def test_top_classes_are_those_of_predict(client, app_model, app_folder, tmp_path) -> None:
    table = tmp_path / "table.csv"
    file = str(app_folder / "site" / "hum.wav")
    assert main(["predict", str(app_model), file, "-o", str(table), "-q"]) == 0
    with table.open() as stream:
        row = next(csv.DictReader(stream))
    top = client.get(f"/api/sounds/{opened(client)}").json()["heard"]["top"]
    assert [label for label, _ in top] == [row["label"], row["label_2"], row["label_3"]]
    expected = [float(row[name]) for name in ("score", "score_2", "score_3")]
    assert [score for _, score in top] == pytest.approx(expected, abs=6e-5)


def test_an_upload_is_shown_and_heard_like_the_file(client, app_folder) -> None:
    content = (app_folder / "site" / "hum.wav").read_bytes()
    answer = client.post("/api/uploads", params={"name": "../../my hum.wav"}, content=content)
    facts = wait_for(client, answer.json()["id"])
    assert facts["name"] == "my hum.wav"
    assert (facts["duration"], facts["sample_rate"]) == (3.0, RATE)
    same = client.get(f"/api/sounds/{opened(client)}").json()
    assert facts["heard"]["top"] == same["heard"]["top"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not audio"),
        (b"\x00" * 5000, "not audio"),
        (b"<html>hello</html>", "not audio"),
        (b"fLaC" + b"\xff" * 4000, "not audio"),
    ],
)
def test_what_is_no_recording_fails_and_the_app_goes_on(client, content, reason) -> None:
    answer = client.post("/api/uploads", params={"name": "a.wav"}, content=content)
    facts = wait_for(client, answer.json()["id"])
    assert facts["state"] == "failed"
    assert reason in facts["reason"]
    assert client.get(f"/api/sounds/{facts['id']}/audio.wav").status_code == 400
    assert client.get("/api/state").status_code == 200


def test_half_a_recording_is_used_as_far_as_it_goes_and_says_so(client, app_folder) -> None:
    content = (app_folder / "site" / "hum.wav").read_bytes()[:20_000]
    answer = client.post("/api/uploads", params={"name": "a.wav"}, content=content)
    facts = wait_for(client, answer.json()["id"])
    assert facts["state"] == "ready"
    assert facts["duration"] == pytest.approx((20_000 - 44) / 2 / RATE, abs=0.01)
    assert "truncated" in facts["damage"]
    assert facts["heard"]["reason"] == facts["damage"]  # it is said once
    assert facts["heard"]["top"]
    events = client.get(f"/api/sounds/{facts['id']}/events", params={"threshold": 0.05}).json()
    assert events["events"][-1][1] == pytest.approx(facts["duration"], abs=0.2)


def test_too_long_or_too_large_is_refused(client, tmp_path) -> None:
    sf.write(tmp_path / "long.wav", np.zeros(50 * 1000, np.int16), 1000)  # 50 s; 36 are allowed
    content = (tmp_path / "long.wav").read_bytes()
    answer = client.post("/api/uploads", params={"name": "long.wav"}, content=content)
    assert "the limit is 0.01 h" in wait_for(client, answer.json()["id"])["reason"]
    large = client.post("/api/uploads", params={"name": "a.wav"}, content=b"x" * 1_000_001)
    assert large.status_code == 413
    assert "1 MB" in large.json()["error"]
    pieces = (b"x" * 100_000 for _ in range(20))  # of no length that is known before
    assert client.post("/api/uploads", params={"name": "a.wav"}, content=pieces).status_code == 413
    assert client.post("/api/folders/open", content=b"[" * 1_000_001).status_code == 413


def test_nothing_of_a_refused_upload_stays(client, app_state) -> None:
    client.post("/api/uploads", params={"name": "a.wav"}, content=b"x" * 1_000_001)
    assert client.post("/api/uploads", params={"name": "a.wav"}, content=b"").status_code == 400
    assert app_state.recordings.used() == 0


def test_the_copy_goes_with_the_recording(client, app_state, app_folder) -> None:
    content = (app_folder / "hiss.wav").read_bytes()
    identity = client.post("/api/uploads", params={"name": "a.wav"}, content=content).json()["id"]
    wait_for(client, identity)
    assert app_state.recordings.used() > 0
    assert client.delete(f"/api/sounds/{identity}").status_code == 200
    assert app_state.recordings.used() == 0
    assert client.get(f"/api/sounds/{identity}").status_code == 400
    client.delete(f"/api/sounds/{opened(client)}")
    assert (app_folder / "site" / "hum.wav").is_file()  # not ours


def test_a_decoder_that_takes_too_long_is_given_up(app_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("semisonic.web.checking._START_SECONDS", 0.01)
    checker = Checker(tmp_path)
    with pytest.raises(AudioError, match="to decode"):
        checker.check(app_folder / "hiss.wav", "hiss.wav", 0.1)
    checker.close()


def test_a_checker_stays_ready_and_is_replaced_once_it_has_ended(
    app_folder, tmp_path, monkeypatch
) -> None:
    begun: list[Any] = []
    begin = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **b: begun.append(begin(*a, **b)) or begun[-1]
    )
    checker = Checker(tmp_path)
    for _ in range(3):
        checker.check(app_folder / "hiss.wav", "hiss.wav", 10.0)
    assert len(begun) == 1
    begun[0].kill()
    begun[0].wait()
    checker.check(app_folder / "hiss.wav", "hiss.wav", 10.0)
    assert len(begun) == 2
    checker.close()
    assert begun[1].poll() is not None


def test_what_is_no_audio_is_refused_and_nothing_is_checked_once_closed(
    app_folder, tmp_path
) -> None:
    checker = Checker(tmp_path)
    checker.check(app_folder / "hiss.wav", "hiss.wav", 10.0)
    with pytest.raises(AudioError, match="not audio"):
        checker.check(app_folder / "notes.txt", "notes.txt", 10.0)
    with pytest.raises(AudioError, match="the limit is"):
        checker.check(app_folder / "hiss.wav", "hiss.wav", 0.1)
    checker.close()
    with pytest.raises(AudioError, match="closed"):
        checker.check(app_folder / "hiss.wav", "hiss.wav", 10.0)


def test_it_plays_what_is_in_the_file(client, app_folder) -> None:
    address = f"/api/sounds/{opened(client)}/audio.wav"
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["accept-ranges"] == "bytes"
    with wave.open(io.BytesIO(answer.content)) as played:
        assert (played.getframerate(), played.getnchannels()) == (RATE, 1)
        samples = np.frombuffer(played.readframes(played.getnframes()), "<i2")
    expected, _ = sf.read(app_folder / "site" / "hum.wav", dtype="int16")
    np.testing.assert_array_equal(samples, expected)
    content, size = answer.content, len(answer.content)
    for first, last in ((0, 10), (40, 50), (45, 46), (1001, 2000), (size - 3, size - 1)):
        part = client.get(address, headers={"Range": f"bytes={first}-{last}"})
        assert part.content == content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert client.get(address, headers={"Range": f"bytes={size}-"}).status_code == 416
    assert client.get(address, headers={"Range": "bytes=-5"}).status_code == 416
    assert client.get(address, headers={"Range": f"bytes={'9' * 5000}-"}).status_code == 416


@pytest.fixture
def long_one(tmp_path) -> Iterator[tuple[Any, str, Path]]:
    """A browser, the address of a WAV file of ten minutes, and this file."""
    file = tmp_path / "sounds" / "long.wav"
    file.parent.mkdir()
    sf.write(file, np.random.default_rng(0).integers(-999, 999, 600 * RATE, np.int16), RATE)
    for page in browsing(app_of(folder=(file.parent,), runs=tmp_path)):
        found = sent(page, "folders/open", {"folder": 0, "name": file.name}).json()["id"]
        drawn = functools.partial(wait_for, page, found, "picture")
        until(lambda drawn=drawn: drawn()["picture"]["progress"] == 1)
        yield page, f"/api/sounds/{found}/audio.wav", file


@pytest.fixture
def n_decoded(monkeypatch) -> list[int]:
    """Frames of each read of any file from now on."""
    read, counts = sf.SoundFile.read, []

    def counted(self: sf.SoundFile, *given: Any, **options: Any) -> Any:
        found = read(self, *given, **options)
        counts.append(len(found))
        return found

    monkeypatch.setattr(sf.SoundFile, "read", counted)
    return counts


@pytest.mark.parametrize("asked", ["0-", "44-", "3000001-", "0-9599999", "7-8000000", "9000000-"])
def test_a_click_in_a_long_recording_decodes_a_little_of_it(long_one, n_decoded, asked) -> None:
    client, address, _ = long_one
    answer = client.get(address, headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert 100_000 < len(answer.content) < 1_100_000
    assert sum(n_decoded) < 600_000
    first, last = answer.headers["content-range"].split()[1].split("/")[0].split("-")
    assert int(first) == int(asked.split("-")[0])
    assert len(answer.content) == int(last) + 1 - int(first)


def test_a_player_that_goes_on_where_a_reply_ended_gets_the_whole_file(long_one) -> None:
    client, address, file = long_one
    content, size = b"", file.stat().st_size
    while len(content) < size:
        part = client.get(address, headers={"Range": f"bytes={len(content)}-"})
        assert part.headers["content-range"].endswith(f"/{size}")
        content += part.content
    assert content == file.read_bytes()


def test_a_program_that_asks_for_no_range_gets_the_whole_file_in_pieces(
    long_one, n_decoded
) -> None:
    client, address, file = long_one
    with client.stream("GET", address) as answer:
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == file.stat().st_size
        assert b"".join(answer.iter_raw()) == file.read_bytes()
    assert max(n_decoded) < 600_000


def test_another_speed_is_another_sample_rate_of_the_same_samples(client) -> None:
    address = f"/api/sounds/{opened(client)}/audio.wav"
    usual, slow = client.get(address), client.get(address, params={"speed": 0.5})
    assert slow.content[44:] == usual.content[44:]
    with wave.open(io.BytesIO(slow.content)) as played:
        assert played.getframerate() == RATE // 2
        assert played.getnframes() == 3 * RATE
    refused = client.get(address, params={"speed": 0.1})
    assert refused.status_code == 400
    assert "expected 3000 to 500000" in refused.json()["error"]


def test_a_tile_of_some_frequencies_shows_these_alone(client) -> None:
    identity = opened(client)  # a hum of 220 Hz
    loudest = {}
    for band in ((200.0, 240.0), (1000.0, 4000.0)):
        params = {"level": 0, "number": 1, "low_hz": band[0], "high_hz": band[1]}
        tile = client.get(f"/api/sounds/{identity}/tile", params=params).content
        levels = np.frombuffer(tile, np.uint8)[: COLUMNS * N_BANDS].reshape(COLUMNS, N_BANDS)
        loudest[band] = levels.max()
        if band[0] == 200.0:
            assert abs(int(levels[COLUMNS // 2].argmax()) - N_BANDS // 2) < N_BANDS // 5
    assert int(loudest[200.0, 240.0]) - int(loudest[1000.0, 4000.0]) > 40  # 17 dB


def test_the_shortest_recording_has_a_picture(tmp_path) -> None:
    sf.write(tmp_path / "a.wav", np.full(20, 0.5, np.float32), RATE)
    sound = OpenRecording("a.wav", tmp_path / "a.wav", "a", is_own=False)
    tiles = Tiles(sound, 20 / RATE, RATE)
    for _ in tiles.make_overview():
        pass
    assert tiles.loudest > 0
    sound.close()


@pytest.mark.parametrize("kind", ["csv", "raven", "audacity"])
def test_tables_hold_the_events(client, tmp_path, kind) -> None:
    from semisonic.data.formats.label_files import read_labels

    identity = opened(client)
    found = client.get(f"/api/sounds/{identity}/events", params={"threshold": 0.3}).json()
    answer = client.get(f"/api/sounds/{identity}/tables/{kind}", params={"threshold": 0.3})
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    suffix = {"csv": "hum.csv", "raven": "hum.Table.1.selections.txt", "audacity": "hum.txt"}
    (tmp_path / suffix[kind]).write_bytes(answer.content)
    (tmp_path / "hum.wav").touch()  # an Audacity file is called as its recording
    read = read_labels(tmp_path / suffix[kind])
    assert len(read) == found["n_events"] > 0
    assert sorted(read.label.tolist()) == sorted(row[2] for row in found["events"])


def test_saved_scores_have_the_digits_of_the_commands() -> None:
    from semisonic.data.events import make_events
    from semisonic.web.downloads import label_file

    event = {"file": "a.wav", "start_time": 0, "end_time": 1, "label": "hum", "score": 0.91538872}
    assert label_file(make_events([event]), "csv")[1].endswith(b",hum,0.9154\n")


@pytest.fixture
def several(app_model, app_folder, tmp_path) -> Iterator[Any]:
    """A browser with a model that hears several classes at once."""
    from semisonic.models.model_file import load, save
    from semisonic.models.sound_model import build

    mel, model = load(app_model).mel, tmp_path / "model.zip"
    save(model, build("(4)3c-4p-gp", mel, ["hiss", "hum", "sweep"], multi_label=True))
    yield from browsing(app_of(model=model, folder=(app_folder,), runs=tmp_path))


def test_events_and_tables_of_one_class(several) -> None:
    at = f"/api/sounds/{opened(several)}"
    rules = {"threshold": 0.05, "merge_gap": 0}
    found = several.get(f"{at}/events", params=rules).json()
    counts = dict(found["classes"])
    assert len(counts) > 1
    assert sum(counts.values()) == found["n_events"]
    for label, n in counts.items():
        own = several.get(f"{at}/events", params={**rules, "label": label}).json()
        assert own["events"] == [row for row in found["events"] if row[2] == label]
        assert (own["n_events"], dict(own["classes"])) == (n, counts)
        table = several.get(f"{at}/tables/csv", params={**rules, "label": label})
        assert [row["label"] for row in csv.DictReader(io.StringIO(table.text))] == n * [label]


def test_open_sounds_keep_their_order_and_are_closed_at_once(client, app_folder) -> None:
    wave = (app_folder / "hiss.wav").read_bytes()
    ids = [client.post(f"/api/uploads?name={n}.wav", content=wave).json()["id"] for n in "abc"]
    client.get(f"/api/sounds/{ids[0]}")  # used last
    listed = opened(client)
    assert [one["id"] for one in client.get("/api/state").json()["open"]] == [*ids, listed]
    assert client.delete("/api/sounds").status_code == 200
    assert client.get("/api/state").json()["open"] == []
    assert client.get(f"/api/sounds/{ids[0]}").status_code == 400
    assert (app_folder / "site" / "hum.wav").is_file()  # nobody's own file


def test_scores_stand_at_their_times(client) -> None:
    identity = opened(client)
    answer = client.get(f"/api/sounds/{identity}/tables/scores")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert float(rows[0]["start_time"]) == 0.0
    assert float(rows[-1]["end_time"]) == pytest.approx(3.0, abs=0.1)
    whole = client.get(f"/api/sounds/{identity}/scores", params={"start": 0, "end": 3, "n": 1})
    for row in whole.json()["rows"]:
        largest = max(float(line[row["label"]]) for line in rows)
        assert row["scores"] == [pytest.approx(largest, abs=2e-3)]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("events", {"threshold": "2"}),
        ("events", {"threshold": "/etc/passwd"}),
        ("events", {"merge_gap": "x"}),
        ("events", {"unknown": "1"}),
        ("tables/xlsx", {}),
        ("scores", {"start": "2", "end": "1", "n": "3"}),
        ("scores", {"start": "nan", "end": "1", "n": "3"}),
        ("tile", {"level": "99", "number": "0"}),
        ("tile", {"level": "0", "number": "-1"}),
        ("tile", {"level": "0", "number": "0", "low_hz": "200", "high_hz": "100"}),
        ("audio.wav", {"speed": "0"}),
    ],
)
def test_wrong_requests_are_told_why(client, path, params) -> None:
    answer = client.get(f"/api/sounds/{opened(client)}/{path}", params=params)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


def test_tiles_of_all_levels_show_the_same_sound(tmp_path) -> None:
    rng = np.random.default_rng(0)
    loud = np.zeros(200 * RATE, np.float32)
    loud[60 * RATE : 61 * RATE] = rng.normal(0, 0.2, RATE)
    sf.write(tmp_path / "a.wav", loud, RATE)
    sound = OpenRecording("a.wav", tmp_path / "a.wav", "a", is_own=False)
    tiles = Tiles(sound, 200.0, RATE)
    for _ in tiles.make_overview():
        pass
    assert tiles.progress == 1.0
    for level in range(-2, 10):
        seconds = 2.0**level
        number = int(60.5 // seconds)
        content = np.frombuffer(tiles.tile(level, number), np.uint8)
        levels = content[: COLUMNS * N_BANDS].reshape(COLUMNS, N_BANDS)
        column = int((60.5 - number * seconds) / seconds * COLUMNS)
        assert levels[column].max() > 100, level
        high = content[COLUMNS * (N_BANDS + 1) :].view(np.int8)
        assert high[column] > 5
        times = (number + (np.arange(COLUMNS) + 0.5) / COLUMNS) * seconds
        quiet = (times < 59.5 - seconds / COLUMNS) | (times > 61.5 + seconds / COLUMNS)
        assert not levels[quiet].any()
    assert not np.frombuffer(tiles.tile(0, 5000), np.uint8).any()  # behind the end
    sound.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=40))
def test_a_name_stays_within_the_folder(app_state, name) -> None:
    _, shown, path = app_state.recordings.new_file(name)
    assert path.parent == app_state.recordings.new_file("a.wav")[2].parent
    assert path.suffix in AUDIO_SUFFIXES | {".audio"}
    assert shown
    assert "/" not in shown
    assert shown.isprintable()


def test_an_example_is_made_once(client, app_state) -> None:
    first = client.post("/api/examples/dog_bark").json()["id"]
    assert wait_for(client, first)["duration"] == 5.0
    used = app_state.recordings.used()
    assert client.post("/api/examples/dog_bark").json()["id"] == first
    assert app_state.recordings.used() == used
    assert client.post("/api/examples/unicorn").status_code == 400


@NAMES_OF_BYTES
def test_a_name_that_is_no_utf8_stops_nothing(tmp_path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    wave = np.random.default_rng(0).normal(0, 0.1, RATE)
    sf.write(folder / "good.wav", wave, RATE)
    os.rename(folder / "good.wav", os.fsencode(folder) + b"/bad\xff\xfe.wav")
    sf.write(folder / "good.wav", wave, RATE)
    app_state = app_of(folder=(folder,), runs=tmp_path)
    for page in browsing(app_state):
        names = page.get("/api/folders/0").json()["files"]
        assert sorted(names) == ["bad\udcff\udcfe.wav", "good.wav"]
        body = {"folder": 0, "name": "bad\udcff\udcfe.wav"}
        found = sent(page, "folders/open", body).json()
        assert found["name"] == "bad\udcff\udcfe.wav"
        assert wait_for(page, found["id"], "picture")["state"] == "ready"
        played = page.get(f"/api/sounds/{found['id']}/audio.wav", headers={"Range": "bytes=0-9"})
        assert played.status_code == 206


def test_a_text_that_is_no_unicode_is_refused(client) -> None:
    bodies = {"folders/open": {"folder": 0, "name": "\ud800.wav"}, "model": {"name": "\udcff"}}
    for path, body in bodies.items():
        answer = sent(client, path, body)
        assert answer.status_code == 422
        assert answer.json()["error"]


def test_what_a_killed_app_left_is_removed_at_the_next_start(
    app_folder, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def folders() -> set[Path]:
        return set(tmp_path.glob("semisonic-*"))

    with running() as (process, address):
        wave = (app_folder / "hiss.wav").read_bytes()
        request = urllib.request.Request(
            f"{address}api/uploads?name=a.wav", wave, {"Origin": address.rstrip("/")}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        (left,) = folders()
        alive = OpenRecordings(1000)  # another app, while the first one runs
        assert folders() == {left, Path(alive.new_file("x")[2]).parent}
        process.kill()
        process.wait()
    (mark,) = left.glob(".*")
    with locked(mark, wait=True):  # its decoder may end a little later
        pass
    assert left in folders()
    after = OpenRecordings(1000)
    assert left not in folders()
    assert len(folders()) == 2
    alive.close()
    after.close()
    assert folders() == set()
