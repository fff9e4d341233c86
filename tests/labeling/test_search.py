"""Search by example: what is found, how windows are put together, the page."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from labeling_sounds import KINDS, RATE, sound

from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.labeling.embed import embed
from semisonic.labeling.nearest import find_hits, nearest
from semisonic.labeling.search import search_index


@pytest.fixture
def index(model, kinds, long, tmp_path):
    return embed(model, [kinds, long], tmp_path / "index", device="cpu", workers=1)


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.wav"
    sf.write(path, np.concatenate([sound("hiss", 90), sound("hum", 91)]), RATE)
    return path


def asked(index, *query, **more):
    return search_index(index.folder, query, device="cpu", **more)


def test_the_same_kind_comes_first(index, example):
    for kind, start in (("hiss", 0.0), ("hum", 0.5)):
        result = asked(index, example, start=start, end=start + 0.5, k=6)
        found = [index.clips.labels[hit.row] for hit in result.hits if "long" not in hit.file]
        assert found == [(kind,)] * len(found)
        values = [hit.value for hit in result.hits]
        assert values == sorted(values, reverse=True)
        assert "similarity" in result.summary()


def test_windows_that_touch_are_one_hit(index):
    rows = [i for i, labels in enumerate(index.clips.labels) if labels == ("hum",)]
    hits = asked(index, row=(rows[0],), k=7).hits
    in_long = sorted((h for h in hits if h.file.endswith("long.wav")), key=lambda h: h.start_time)
    segments = [(hit.start_time, hit.end_time, hit.n_windows) for hit in in_long]
    assert segments == [(0.5, 2.0, 3), (2.5, 3.0, 1)]
    single = asked(index, row=(rows[0],), k=23, all_windows=True).hits
    assert len(single) == 23
    assert all(hit.n_windows == 1 for hit in single)
    assert rows[0] not in {hit.row for hit in single}, "a row does not find itself"


def test_several_examples_are_looked_for_by_their_mean(index):
    rows = [0, 6]  # one hiss, one hum
    table = index.vectors[rows] / np.linalg.norm(index.vectors[rows], axis=1, keepdims=True)
    expected = nearest(index.vectors, table.mean(axis=0), 5).rows[0]
    result = asked(index, row=tuple(rows), k=3, all_windows=True)
    assert [hit.row for hit in result.hits] == [r for r in expected if r not in rows][:3]
    assert len(result.examples) == 2


def test_the_files_of_the_examples_can_be_left_out(index, long):
    first = asked(index, long, start=0.5, end=1.0, k=1).hits[0]
    assert first.file.endswith("long.wav")
    assert first.value == pytest.approx(1, abs=1e-5)
    other = asked(index, long, start=0.5, end=1.0, k=30, other_files=True).hits
    assert len(other) == 18
    assert not [hit for hit in other if hit.file.endswith("long.wav")]


def test_hits_can_be_opened_from_the_working_folder(index, kinds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hits = index.search(0, 5)
    assert all(Path(hit.file).is_file() for hit in hits)
    names = {str(file) for file in index.clips.file}
    assert not names & {hit.file for hit in hits}, "the index calls them from its own folder"
    others = index.search(0, 30, without_files=[hit.file for hit in hits])
    assert others
    assert not {hit.file for hit in hits} & {hit.file for hit in others}


def test_the_table_and_the_page(index, example, tmp_path):
    output = tmp_path / "run"
    result = asked(index, example, k=12, players=3, output=output)
    with (output / "hits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:5] == ["rank", "file", "start_time", "end_time", "similarity"]
    assert len(rows) == len(result.hits)
    assert Path(rows[0]["file"]).is_file()
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 1 + 3
    assert "example.wav" in page
    with pytest.raises(OptionError, match="another run"):
        asked(index, example, k=11, output=output)


def test_a_card_begins_with_the_name_of_the_file(model, kinds, long, tmp_path):
    far = embed(model, [kinds, long], tmp_path / "a" / "b" / "index", device="cpu", workers=1)
    output = tmp_path / "run"
    asked(far, row=(0,), k=2, players=2, output=output, other_files=True)
    page = (output / "report.html").read_text(encoding="utf-8")
    named = re.findall(r"<b>(.*?)</b>", page)
    assert all("/" not in name for name in named)
    assert {name for name in named if name.startswith("1. ")} <= {f"1. {i}.wav" for i in range(6)}
    assert re.search(r'class="meta">[^<]*, in [^<]*hiss</div>', page)


def test_wrong_queries_are_named(index, example, tmp_path):
    with pytest.raises(OptionError, match="give a recording"):
        asked(index)
    with pytest.raises(DataError, match="no such file"):
        asked(index, tmp_path / "missing.wav")
    with pytest.raises(DataError, match="row 900"):
        asked(index, row=(900,))
    with pytest.raises(OptionError, match="2 s to 1 s"):
        asked(index, example, start=2.0, end=1.0)
    with pytest.raises(AudioError):
        asked(index, example, start=60.0)


WINDOWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, unique=True)


@given(WINDOWS, st.integers(1, 8), st.randoms(use_true_random=False))
def test_hits_of_a_file_never_touch_and_hold_each_window(windows, k, random):
    rows = [{"file": f"{f}.wav", "start_time": t / 2, "end_time": t / 2 + 0.5} for f, t in windows]
    clips = Clips.from_rows(Path(), rows)
    order = list(range(len(clips)))
    random.shuffle(order)
    values = np.linspace(1, 0, len(order), dtype=np.float32)

    hits = find_hits(clips, np.array(order), values, k)
    assert hits[0].row == order[0]
    assert [hit.value for hit in hits] == sorted((hit.value for hit in hits), reverse=True)
    for i, a in enumerate(hits):
        assert a.end_time - a.start_time == pytest.approx(0.5 * a.n_windows)
        for b in hits[:i]:
            assert a.file != b.file or a.start_time > b.end_time or b.start_time > a.end_time
    if len(hits) < k:
        assert sum(hit.n_windows for hit in hits) == len(clips)
    single = find_hits(clips, np.array(order), values, k, merge=False)
    assert [hit.row for hit in single] == order[:k]


def test_a_wave_in_memory_is_a_query(index):
    hits = index.search(np.tile(sound("sweep", 3), 2), 3, sample_rate=RATE)
    assert index.clips.labels[hits[0].row] == ("sweep",)
    assert index.search(0, 1)[0].row != 0
    assert set(KINDS) == set(index.clips.classes)
