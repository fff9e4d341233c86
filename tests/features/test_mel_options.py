"""The options of the front end, the filter bank and the lazy import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import librosa
import numpy as np
import pytest

from semisonic.core.errors import OptionError
from semisonic.features.logmel import LogMel, filters_of
from semisonic.features.options import MelOptions


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(
    "arguments",
    [(44100, 12288, 28), (22050, 1024, 60), (44100, 2205, 128, 20.0), (16000, 512, 40, 60.0, 7600)],
)
def test_filters_equal_librosa(arguments: tuple[int, int, int], scale: str) -> None:
    names = ("sr", "n_fft", "n_mels", "fmin", "fmax")
    norm = "slaney" if scale == "slaney" else None
    given = dict(zip(names, arguments, strict=False))
    expected = librosa.filters.mel(**given, htk=scale == "htk", norm=norm, dtype=np.float64)
    np.testing.assert_allclose(filters(*arguments, scale=scale), expected, rtol=1e-9, atol=1e-12)


def filters(sample_rate, n_fft, n_mels, fmin_hz=0.0, fmax_hz=None, *, scale):  # type: ignore[no-untyped-def]
    mel = MelOptions(
        sample_rate, n_fft=n_fft, n_mels=n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz, mel_scale=scale
    )
    return filters_of(mel)


def test_kaldi_bands_are_triangles_straight_over_mel() -> None:
    found = filters(16000, 512, 64, 125.0, 7500.0, scale="kaldi")
    mel = 1127 * np.log1p(np.arange(257) * 16000 / 512 / 700)
    low, high = 1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700)
    width = (high - low) / 65
    centres = low + width * np.arange(1, 65)
    expected = np.maximum(0, 1 - np.abs(mel[None] - centres[:, None]) / width)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_mels": 0}, "n_mels"),
        ({"fmax_hz": 12_000.0}, "fmax_hz"),
        ({"fmin_hz": 9000.0, "fmax_hz": 8000.0}, "fmin_hz"),
        ({"reference": "maximum"}, "did you mean 'max'"),
        ({"top_db": 0.0}, "top_db"),
        ({"duration": 0.01}, "longer duration"),
        ({"duration": 0.1, "deltas": True}, "deltas"),
        ({"n_fft": "big"}, "a whole number"),
        ({"duration": float("nan")}, "duration"),
        ({"win_length": 1025}, "at most n_fft"),
        ({"mel_scale": "hkt"}, "did you mean 'htk'"),
    ],
)
def test_impossible_options_say_what_to_change(change: dict[str, object], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        MelOptions(**change)  # type: ignore[arg-type]


def test_a_band_without_a_bin_is_refused() -> None:
    with pytest.raises(OptionError, match="contain no frequency bin"):
        LogMel(MelOptions(n_mels=500))


def test_the_key_names_all_parameters() -> None:
    base = MelOptions()
    numbers = {name: 1.5 * getattr(base, name) for name in ("duration", "power")}
    numbers |= {name: 2 * getattr(base, name) for name in ("sample_rate", "n_fft", "hop_length")}
    numbers |= {"n_mels": 40, "fmin_hz": 20.0, "fmax_hz": 8000.0, "top_db": 80.0}
    numbers |= {"win_length": 800, "log_offset": 0.001, "preemphasis": 0.97}
    switches = {"peak_normalize": True, "center": False, "deltas": True}
    other = numbers | switches | {"reference": "max", "mel_scale": "htk"}
    assert set(other) | {"input"} == {field.name for field in fields(MelOptions)}
    keys = {replace(base, **{name: value}).key() for name, value in other.items()}
    assert len(keys) == len(other)
    assert base.key() not in keys
    assert base.key() == MelOptions(duration=5).key()
    assert MelOptions(input="wave").key() not in {base.key(), *keys}


def test_options_do_not_load_torch() -> None:
    code = (
        "import sys; from semisonic.features.options import MelOptions; MelOptions();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
