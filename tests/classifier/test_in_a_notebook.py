"""What a notebook shows of the objects: tables, sounds and figures, whole and harmless."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from detecting_sounds import write_long
from tiny_sounds import KINDS, MEL, NOTATION, RATE, sound

import semisonic
from semisonic.classifier.cross_validation import CrossValidation
from semisonic.classifier.measuring import measure
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.evaluation.comparison import compare
from semisonic.evaluation.predictions import Predictions

NASTY = '<script>alert("x")</script>&\x00\udcff'


class _Tags(HTMLParser):
    """The tags of a piece of HTML with their attributes; complains of what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def shown(thing: Any) -> str:
    """The HTML of an object, which needs nothing from elsewhere and runs nothing."""
    html = str(thing._repr_html_())
    html.encode("utf-8")
    tags = _Tags(html).found
    assert not {"script", "link", "iframe", "style"} & {tag for tag, _ in tags}
    sources = [one["src"] for _, one in tags if "src" in one]
    assert all(source.startswith("data:") for source in sources)
    # Colours of the notebook itself: readable on light and dark.
    styles = " ".join(one.get("style") or "" for tag, one in tags if tag != "img")
    assert not re.search(r"(?<![-\w])(color|background):", styles)
    return html


def played(html: str) -> list[tuple[np.ndarray, int]]:
    """The sounds in some HTML."""
    sources = (one["src"] for tag, one in _Tags(html).found if tag == "audio")
    return [sf.read(io.BytesIO(b64decode(source.split(",")[1]))) for source in sources]


@pytest.fixture(scope="module")
def fitted() -> semisonic.SoundClassifier:
    waves = [sound(KINDS[i % 3], i) for i in range(24)]
    fit = {"epochs": 3, "precision": "fp32"}
    classifier = semisonic.SoundClassifier(
        NOTATION, mel=MEL, training=fit, method="supervised", sample_rate=RATE, near_copies=False
    )
    return classifier.fit(waves, [KINDS[i % 3] for i in range(24)])


def test_clips_show_their_first_rows_and_a_sound_of_each_class(kinds: Path) -> None:
    html = shown(semisonic.load_clips(kinds))
    assert "24 (24 with a label)" in html
    assert "... and 16 more rows" in html
    assert [f"<b>{kind}</b>" in html for kind in KINDS] == [True] * 3
    assert [len(wave) / rate for wave, rate in played(html)] == pytest.approx([0.5] * 3, abs=0.1)


def test_a_long_table_is_not_read_to_be_shown(tmp_path: Path) -> None:
    rows = [{"file": f"{number}.wav", "labels": "owl"} for number in range(5000)]
    html = shown(Clips.from_rows(tmp_path, rows))
    assert "... and 4992 more rows" in html
    assert "3 could not be read" in html
    assert len(html) < 10_000


def test_names_of_files_and_labels_are_text(tmp_path: Path) -> None:
    file = NASTY.replace("\x00", "\x01")
    label = NASTY.replace("\x00", "").replace("\udcff", "")
    html = shown(Clips.from_rows(tmp_path, [{"file": file, "labels": label}], name=NASTY))
    assert html.count("&lt;script&gt;") >= 4


def test_sounds_on_another_machine_are_not_fetched() -> None:
    clips = Clips.from_rows("https://example.invalid/sounds", [{"file": "a.wav"}])
    html = shown(clips)
    assert "a.wav" in html
    assert "could not be read" not in html


def test_show_plays_the_part_that_it_names(tmp_path: Path) -> None:
    time = np.arange(4 * RATE) / RATE
    wave = np.where(time < 2, 0, 0.3 * np.sin(2 * np.pi * 440 * time))
    sf.write(tmp_path / "a.wav", wave, RATE)
    events = pd.DataFrame({"file": [tmp_path / "a.wav"], "start_time": 2.0, "end_time": 3.0})
    ((part, rate),) = played(shown(semisonic.show(events)))
    assert len(part) / rate == pytest.approx(1.0, abs=0.1)
    assert np.sqrt(np.mean(part**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    ((start, rate),) = played(shown(semisonic.show(tmp_path / "a.wav", duration=1.5)))
    assert len(start) / rate == pytest.approx(1.5, abs=0.1)
    assert np.abs(start).max() < 0.01


def test_show_takes_folders_files_and_samples(kinds: Path) -> None:
    folder = semisonic.show(kinds, n=4)
    assert [one.truth for one in folder.players] == ["hiss", "hum", "sweep", "hiss"]
    assert "... and 20 more sounds" in shown(folder)
    files = [*sorted((kinds / "hum").iterdir())[:2], kinds / "gone.wav"]
    view = semisonic.show(files)
    assert [one.truth for one in view.players] == ["00.wav", "01.wav"]
    assert "1 could not be read: gone.wav" in shown(view)
    waves = [sound("hum", 0), sound("hiss", 0)]
    assert len(played(shown(semisonic.show(waves, sample_rate=RATE)))) == 2


def test_show_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        semisonic.show(tmp_path / "gone.wav")
    with pytest.raises(OptionError, match="sample_rate"):
        semisonic.show(np.zeros(100))
    with pytest.raises(OptionError, match="found 60 s"):
        semisonic.show(tmp_path, duration=60)
    with pytest.raises(DataError, match="found int"):
        semisonic.show(7)
    with pytest.raises(DataError, match="no sound"):
        semisonic.show(pd.DataFrame({"file": []}))


def test_a_classifier_shows_what_was_changed_and_what_it_became(
    fitted: semisonic.SoundClassifier,
) -> None:
    before = shown(semisonic.SoundClassifier(seed=7))
    assert "not fitted yet" in before
    assert "seed=7" in before
    assert "dropout" not in before
    after = shown(fitted)
    assert "hiss, hum, sweep" in after
    assert "3 epochs" in after
    assert 'alt="Training curves"' in after
    # scikit-learn's own is preferred by notebooks, unless it is replaced.
    assert fitted._repr_mimebundle_()["text/html"] == after


def test_results_show_tables_sounds_and_figures(
    fitted: semisonic.SoundClassifier, kinds: Path, detector: Path, tmp_path: Path
) -> None:
    predicted = semisonic.predict(fitted, semisonic.load_clips(kinds))
    html = shown(predicted)
    assert "... and 16 more rows" in html
    assert len(played(html)) == 3
    write_long(tmp_path / "long.wav")
    detected = semisonic.detect(
        detector, tmp_path / "long.wav", threshold=0.5, background=["background"]
    )
    html = shown(detected)
    assert 'alt="Events along time' in html
    assert len(played(html)) == detected.events.label.nunique()
    assert detected.events.label.nunique() > 0


def test_a_measurement_shows_numbers_and_confusions(kinds: Path) -> None:
    clips = semisonic.load_clips(kinds)
    scores = np.eye(3)[clips.target()]
    scores[0] = [0.1, 0.2, 0.7]
    measured = measure(clips, scores, multi_label=False, n_resamples=50)
    found = CrossValidation(measured, np.ones(24, np.int64), {1: 1.0})
    assert repr(found) == "<CrossValidation: accuracy 95.8 % of 24 sounds, 1 fold>"
    html = shown(found)
    assert "95.8 %" in html
    assert "hiss as sweep (1)" in html
    assert 'alt="Confusion matrix"' in html


def test_a_comparison_shows_the_arms_and_its_verdict() -> None:
    rng, target = np.random.default_rng(0), np.arange(40) % 4
    arms = []
    for name, gain in (("plain", 0.1), ("<new>", 0.9)):
        scores = rng.random((40, 4)) + gain * np.eye(4)[target]
        clips = [f"{i}.wav" for i in range(40)]
        folds = np.arange(40) % 5 + 1
        arms.append(Predictions.of(clips, target, scores, list("abcd"), arm=name, fold=folds))
    both = Predictions.concat(arms)
    assert "... and 72 more rows" in shown(both)
    comparison = compare(both, "plain", "<new>", n_resamples=200)
    html = shown(comparison)
    assert "&lt;new&gt;" in html
    assert comparison.numbers in html


def test_the_training_of_a_linear_layer_has_rounds() -> None:
    waves = [sound(KINDS[i % 3], i) for i in range(24)]
    classifier = semisonic.SoundClassifier(
        NOTATION, mel=MEL, method="probe", objective="none", sample_rate=RATE, near_copies=False
    )
    html = shown(classifier.fit(waves, [KINDS[i % 3] for i in range(24)]))
    assert "weights of round 1" in html
