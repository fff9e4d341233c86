"""Scores of a stream are those that ``predict`` gives for the same sound in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sounds import KINDS, MEL, NOTATION, sound

from semisonic.classifier.live.listen import listen
from semisonic.classifier.live.scorer import LiveScorer, WindowScores
from semisonic.classifier.options import EventOptions
from semisonic.classifier.scoring import score_clips
from semisonic.classifier.windows import features_of_wave
from semisonic.core.errors import AudioError, OptionError
from semisonic.data.datasets.load import gather
from semisonic.features.frontend import make_extractor
from semisonic.models.sound_model import SoundModel, build


def untrained() -> SoundModel:
    """A network whose logits are of usual size, so that float32 is no matter."""
    model = build(NOTATION, MEL, KINDS, seed=3)
    extractor = make_extractor(MEL)
    model.frontend.standardize.fit(
        np.stack([features_of_wave(sound(kind, 0), MEL, extractor) for kind in KINDS])
    )
    return model.eval()


MODEL = untrained()


def stream_of(rate: int, duration: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    x = np.concatenate([sound(KINDS[i % 3], i) for i in range(10)])
    x = np.interp(np.arange(round(duration * rate)) / rate * 8000, np.arange(len(x)), x)
    return (x + rng.normal(0, 0.01, len(x))).astype("f4")


def by_predict(file: Path, hop: float) -> tuple[np.ndarray, np.ndarray]:
    clips, _ = gather([file])
    (found,) = score_clips(MODEL, clips, hop=hop, workers=1)
    return found.times, found.windows


def table(windows: list[WindowScores]) -> tuple[np.ndarray, np.ndarray]:
    times = np.array([(one.start_time, one.end_time) for one in windows])
    return times, np.array([one.scores for one in windows])


@pytest.mark.parametrize("rate", [8000, 11025, 48000])
@pytest.mark.parametrize(("duration", "hop"), [(3.3, 0.1), (2.0, 0.25), (3.1, 0.45), (0.2, 0.1)])
def test_a_file_at_speed_0_gets_the_scores_of_predict(
    tmp_path: Path, rate: int, duration: float, hop: float
) -> None:
    file = tmp_path / "a.wav"
    sf.write(file, stream_of(rate, duration), rate)
    windows: list[WindowScores] = []
    heard = listen(
        MODEL,
        file,
        EventOptions(threshold="0.5", hop=hop),
        on_scores=lambda window, _: windows.append(window),
    )
    list(heard)
    times, scores = table(windows)
    expected_times, expected = by_predict(file, hop)
    np.testing.assert_allclose(times, expected_times, atol=1e-9)
    np.testing.assert_allclose(scores, expected, atol=2e-6)
    assert heard.meter.n_windows == len(expected)
    assert heard.meter.n_skipped == 0
    assert heard.meter.seconds == pytest.approx(duration, abs=1e-4)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_how_samples_are_cut_into_blocks_does_not_matter(sizes: list[int]) -> None:
    x = stream_of(11025, sum(sizes) / 11025)
    whole, parts = (
        LiveScorer(MODEL, 11025, EventOptions(hop=0.2)),
        LiveScorer(MODEL, 11025, EventOptions(hop=0.2)),
    )
    expected = whole.push(x) + whole.finish()
    found, start = [], 0
    for size in sizes:
        found += parts.push(x[start : start + size])
        start += size
    found += parts.finish()
    assert len(found) == len(expected)
    if found:
        np.testing.assert_allclose(table(found)[0], table(expected)[0])
        np.testing.assert_allclose(table(found)[1], table(expected)[1], atol=2e-6)


def test_behind_a_gap_a_new_stretch_begins_and_time_goes_on() -> None:
    x = stream_of(8000, 1.2)
    scorer = LiveScorer(MODEL, 8000, EventOptions(hop=0.5))
    first = scorer.push(x) + scorer.finish()
    scorer.skip(2.5)
    assert scorer.position == pytest.approx(3.7)
    second = scorer.push(x) + scorer.finish()
    assert scorer.position == pytest.approx(4.9)
    times, scores = table(first)
    np.testing.assert_allclose(table(second)[0], times + 3.7)
    np.testing.assert_allclose(table(second)[1], scores, atol=2e-6)
    scorer.push(x[:10])
    with pytest.raises(OptionError, match="finish"):
        scorer.skip(1.0)


def test_windows_that_nobody_wants_are_counted_and_not_scored() -> None:
    scorer = LiveScorer(MODEL, 8000, EventOptions(hop=0.1))
    wanted = scorer.push(stream_of(8000, 2.0), lambda end: end > 1.45)
    assert [round(one.end_time, 3) for one in wanted] == [1.5, 1.6, 1.7, 1.8, 1.9, 2.0]
    assert scorer.n_skipped == 10


def test_silence_is_known_and_samples_that_are_no_numbers_are_refused() -> None:
    scorer = LiveScorer(MODEL, 8000, EventOptions(hop=0.5))
    windows = scorer.push(np.concatenate([np.zeros(4000, "f4"), stream_of(8000, 0.5)]))
    assert [one.is_silent for one in windows] == [True, False]
    assert np.isfinite(windows[0].scores).all()
    with pytest.raises(AudioError, match=r"NaN or infinite samples at 1\.00 s"):
        scorer.push(np.array([0.0, np.nan], "f4"))
    assert scorer.position == pytest.approx(1.0)
