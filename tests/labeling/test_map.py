"""The map: its points, its colours, its sounds, and a page that is safe and whole."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from hashlib import sha256
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile as sf
from labeling_sounds import RATE, sound

from semisonic.core.errors import DataError
from semisonic.labeling.embed import embed
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map import draw_map


def data_of(report):
    text = report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, object] = json.loads(found[1])
    return data


def test_the_page_holds_every_point_and_its_sound(index):
    result = draw_map(index.folder, projection="pca")
    data = data_of(result.report)
    assert result.report == index.folder / "map" / "report.html"
    n = len(index)
    for column in ("x", "y", "recording", "start", "end", "sources"):
        assert len(data[column]) == n
    assert min(data["x"]) >= 0
    assert max(data["x"]) <= 1
    assert data["kind"] == "inside"
    assert all(source.startswith("data:audio/") for source in data["sources"])
    meanings: dict[str, dict[str, list[object]]] = data["meanings"]
    label = meanings["label"]
    names = [label["names"][number] for number in label["of"]]
    assert names == [row[0] for row in index.clips.labels]
    assert data["colour"] == "label"
    assert set(meanings) == {"label", "predicted", "file"}


def test_a_map_is_drawn_anew_with_other_options(index):
    first = draw_map(index.folder, projection="pca")
    second = draw_map(index.folder, projection="pca", clusters="2")
    assert first.report == second.report
    assert "cluster" in data_of(second.report)["meanings"]


def test_nothing_is_loaded_and_only_our_script_runs(index):
    text = draw_map(index.folder, projection="pca").report.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "file:" not in policy


def test_names_from_outside_cannot_leave_the_data(model, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    evil = "<_script><script>alert(1)</script>"  # a label: Windows has no such names of files
    rows = ["file,label"]
    for number in range(4):
        sf.write(folder / f"{number} &amp.wav", sound("hum", number), RATE)
        rows.append(f"{number} &amp.wav,{evil}")
    (folder / "clips.csv").write_text("\n".join(rows), encoding="utf-8")
    index = embed(model, folder / "clips.csv", tmp_path / "index", device="cpu", workers=1)
    result = draw_map(index.folder, projection="pca", clusters="2")
    text = result.report.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    data = data_of(result.report)
    assert data["meanings"]["label"]["names"] == [evil]
    assert "0 &amp.wav" in data["recordings"][0]


def test_sounds_that_take_too_much_become_links(index):
    result = draw_map(index.folder, projection="pca", megabytes=0.02)
    assert "more than 0.02 MB" in result.text
    data = data_of(result.report)
    assert data["kind"] == "link"
    for source in data["sources"]:
        assert (result.report.parent / unquote(source)).is_file()
    assert "media-src data: &#39;self&#39; file:" in result.report.read_text(encoding="utf-8")


def test_clusters_are_written_and_can_be_heard(index):
    result = draw_map(index.folder, projection="pca", clusters="3")
    read = EmbeddingIndex.open(index.folder)
    assert set(read.cluster.tolist()) == {0, 1, 2}
    text = result.report.read_text(encoding="utf-8")
    assert text.count('<ul class="players">') == 1
    assert text.count("<li><img") == 9
    assert "purity 100.0 %" in result.text


def test_of_many_rows_a_stated_part_is_drawn(index):
    result = draw_map(index.folder, projection="pca", most=7)
    assert "7 of 18 rows are drawn" in result.report.read_text(encoding="utf-8")
    assert len(data_of(result.report)["x"]) == 7


def test_tsne_draws_kinds_apart(index):
    data = data_of(draw_map(index.folder).report)
    points = np.stack([data["x"], data["y"]], axis=1)
    kinds = np.array([row[0] for row in index.clips.labels])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert (kinds[gaps.argmin(axis=1)] == kinds).mean() > 0.9


def test_what_cannot_be_drawn_is_named(model, kinds):
    few = embed(model, kinds / "hum" / "0.wav", kinds.parent / "few", device="cpu")
    with pytest.raises(DataError, match="at least 3"):
        draw_map(few.folder, projection="pca")


def test_a_recording_that_is_gone_is_told(index):
    index.clips.paths[0].unlink()
    result = draw_map(index.folder, projection="pca")
    assert result.failures[0][0] == "1 point"
    assert data_of(result.report)["sources"][0] == ""
