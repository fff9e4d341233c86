"""The page: well-formed, whole in itself, and true to its files."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as Tree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import escape
from matplotlib.figure import Figure
from PIL import Image

from semisonic.audio.player import Player, sound_bytes, thumbnail_png
from semisonic.core.errors import DataError
from semisonic.evaluation.report import document
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
    Report,
    Verdict,
    typeset,
)

NASTY = '<script>alert("x")</script> & "quotes" \x00 \ud800'
TEMPLATES = {
    "full.j2": """
{% call section("Results") %}
<p>A difference of -0.5 points</p>
{{ table("results", caption="All", note="Below.") }}
{{ table("folded", caption="Open me", fold_above=1) }}
{% call figures() %}
{{ figure("one", "One", alt="An empty figure", wide=false) }}
{{ figure("two", "Two") }}
{% endcall %}
{% endcall %}
{% call section("Nothing") %}{{ table("absent") }}{% endcall %}
{% call section("Results") %}
<h3>Sounds</h3>
{{ players("sounds") }}
{{ notes(["First.", "Second."]) }}
{{ code("semisonic run <x> && done") }}
{{ facts({"seed": 7, "part": none}, "Options") }}
{% endcall %}
""",
    "texts.j2": """
{% call section(text) %}
<p>{{ text }}</p>{{ code(text) }}{{ table("t", caption=text, note=text) }}
{{ facts({text: text}, text) }}{{ notes([text]) }}{{ warning(text) }}{{ players("nasty") }}
{% endcall %}
""",
}


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = document._environment()
    loader = ChoiceLoader([DictLoader(TEMPLATES), environment.loader])
    monkeypatch.setattr(environment, "loader", loader)


def tree(html: str) -> Tree.Element:
    return Tree.fromstring(html)


def full_page() -> Report:
    page = Report("full.j2", "A title", "and more")
    page.verdict = Verdict(
        "It helped: +3.1 points (95 % interval 0.9 to 5.2, p = 0.01).", "But.", "better"
    )
    page.numbers = [Number("74.3 %", "accuracy", "a note", "treated")]
    page.warnings.append("Quick mode.")
    page.table(
        "results",
        ["setting", "accuracy", "p", "note"],
        [
            ["a", IntervalEstimate(0.743, 0.70, 0.78), 0.01234, None],
            ["b", None, math.nan, "x,y"],
        ],
        formats={"p": lambda p: f"{p:.2f}"},
        styles={0: "strong"},
    )
    page.frame("folded", pd.DataFrame({"n": [1, 2], "a_b": [0.5, None]}))
    page.figure("one", Figure(figsize=(3, 2)))
    page.figure("two", Figure(figsize=(9, 2)))
    tone = np.sin(np.arange(8000) / 3).astype(np.float32)
    page.players("sounds", [Player(tone, 16000, "rooster", "predicted dog", "1-2.ogg")])
    return page


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    html = full_page().html()
    root = tree(html)
    for element in root.iter():
        for name in ("src", "href", "data", "srcset", "action"):
            value = element.get(name, "")
            assert not value or value.startswith(("data:", "#")), value[:80]
    assert not re.search(r"url\(|@import|<script|<link|<iframe", html)
    assert "default-src 'none'" in html.replace("&#39;", "'")


def test_the_page_can_be_read_without_eyes() -> None:
    root = tree(full_page().html())
    assert root.get("lang") == "en"
    assert all(image.get("alt") for image in root.iter("img"))
    assert all(audio.get("aria-label") for audio in root.iter("audio"))
    assert [len(list(root.iter(f"h{n}"))) for n in (1, 2, 3)] == [1, 2, 1]
    assert all(th.get("scope") for th in root.iter("th"))
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    assert {a.get("href", "")[1:] for a in root.iter("a")} <= set(ids)


def test_files_hold_what_the_page_shows(tmp_path: Path) -> None:
    path = full_page().write(tmp_path / "run")
    assert path == tmp_path / "run" / "report.html"
    rows = list(csv.DictReader((tmp_path / "run/tables/results.csv").open()))
    assert rows[0] == {
        "setting": "a",
        "accuracy": "0.743",
        "accuracy low": "0.7",
        "accuracy high": "0.78",
        "p": "0.01234",
        "note": "",
    }
    cells = [
        [c.text for c in row if c.tag in ("td", "th")]
        for row in tree(path.read_text(encoding="utf-8")).iter("tr")
    ]
    assert cells[1] == ["a", "74.3\N{NO-BREAK SPACE}%", "0.01", "–"]
    assert cells[2] == ["b", "–", "–", "x,y"]
    assert (tmp_path / "run/tables/folded.csv").read_text(encoding="utf-8") == "n,a b\n1,0.5\n2,\n"
    values = json.loads(
        (tmp_path / "run/report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert values["tables"]["results"]["rows"][0][1] == {"value": 0.743, "low": 0.7, "high": 0.78}
    assert values["verdict"]["outcome"] == "better"
    for name, width in (("one", 600), ("two", 1800)):
        assert Image.open(tmp_path / f"run/figures/{name}.png").size[0] == width


def test_sections_are_in_the_contents_and_empty_ones_are_not() -> None:
    page = full_page()
    text = page.html()
    assert page.sections == ["Results", "Results"]
    assert "absent" not in text
    assert 'href="#results-2"' in text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=40))
def test_any_text_is_shown_as_text(text: str) -> None:
    page = Report("texts.j2", text, text, text=text)
    page.table("t", [text], [[text]])
    tree(page.html())


def test_markup_from_outside_stays_text(tmp_path: Path) -> None:
    page = Report("texts.j2", NASTY, NASTY, text=NASTY)
    page.verdict = Verdict(NASTY, NASTY)
    page.numbers = [Number(NASTY, NASTY, NASTY)]
    page.warnings.append(NASTY)
    page.table("t", [NASTY], [[NASTY]])
    page.players("nasty", [Player(np.zeros(100), 8000, NASTY, NASTY, NASTY)])
    page.write(tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    tree(html)


def test_what_the_template_forgets_is_told() -> None:
    page = full_page()
    page.table("more", ["a"], [[1]])
    with pytest.raises(DataError, match="does not show tables/more"):
        page.html()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-0.5 to -3", "−0.5 to −3"),
        ("95 % interval", "95\N{NO-BREAK SPACE}% interval"),
        ("2026-11-21 and 1-2.ogg", "2026-11-21 and 1-2.ogg"),
        ("p < 0.001", "p\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}0.001"),
        ("4 points here", "4\N{NO-BREAK SPACE}points here"),
    ],
)
def test_typography(text: str, shown: str) -> None:
    assert typeset(str(escape(text))) == shown


@pytest.mark.parametrize(
    ("rate", "kind"), [(22050, "audio/mpeg"), (44100, "audio/mpeg"), (20000, "audio/ogg")]
)
def test_a_player_holds_the_sound_at_its_length_and_level(rate: int, kind: str) -> None:
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.float32)
    content, media_type = sound_bytes(wave, rate)
    assert media_type == kind
    assert len(content) < 60_000
    back, found_rate = sf.read(io.BytesIO(content))
    assert found_rate == rate
    assert len(back) / rate == pytest.approx(2.0, abs=0.1)
    assert np.sqrt(np.mean(back**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_a_player_turns_down_what_is_too_loud_and_cuts_what_is_too_long() -> None:
    content, _ = sound_bytes(np.tile([5.0, -5.0, 0.0, 0.0], 8000 * 5), 8000)
    back, _ = sf.read(io.BytesIO(content))
    assert len(back) / 8000 == pytest.approx(10.0, abs=0.2)
    assert np.abs(back).max() < 1.3
    assert sound_bytes([np.nan, np.inf, 0.1], 16000)[0]
    with pytest.raises(DataError, match="0 samples"):
        sound_bytes([], 16000)


def test_a_tone_is_where_it_should_be_in_the_picture() -> None:
    rate = 16000
    seconds = np.arange(rate) / rate
    shown = {
        hz: np.asarray(
            Image.open(io.BytesIO(thumbnail_png(np.sin(2 * np.pi * hz * seconds), rate).png))
        )
        for hz in (300, 5000)
    }
    low, high = (levels.mean(axis=1).argmax() for levels in shown.values())
    height = len(shown[300])
    assert high < 0.3 * height < 0.7 * height < low, "low frequencies are at the bottom"
    silence = Image.open(io.BytesIO(thumbnail_png(np.zeros(rate), rate).png))
    assert not np.asarray(silence).any()
