"""What is kept for all runs: where it lies, how it is made once, listed and deleted."""

from __future__ import annotations

import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calls import cli
from semisonic.audio.write import write
from semisonic.classifier import start as synthetic
from semisonic.core.errors import OptionError
from semisonic.core.user_cache import cache_part, clear_cache, user_cache
from semisonic.data.options import SynthOptions
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions
from systems import LINKS

RATE = 16000
NETWORK = ["--model", "(4)3c-2p-8fc", "--n-mels", "16", "--duration", "1", "--hop-length", "512"]
MEL = MelOptions(sample_rate=RATE, duration=1.0, n_mels=16)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and synthetic sounds that are soon learned."""
    monkeypatch.setenv("SEMISONIC_CACHE", str(tmp_path / "cache"))
    _quick(monkeypatch.setattr)
    return tmp_path / "cache"


def _quick(put: object) -> None:
    put(
        synthetic,
        "SYNTH_SOUNDS",
        SynthOptions(n_classes=2, clips_per_class=5, clips_per_recording=1, n_pool=0),
    )
    fit = FitOptions(steps=2, batch_size=4, restore_best=False)
    put(synthetic, "SYNTH_CONFIG", replace(synthetic.SYNTH_CONFIG, fit=fit))


@pytest.fixture
def sounds(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name, loud in (("soft", 0.02), ("loud", 0.1)):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(4):
            wave = loud * rng.standard_normal(RATE)
            write(tmp_path / "sounds" / name / f"{i}.wav", wave.astype(np.float32), RATE)
    return tmp_path / "sounds"


def test_two_runs_share_one_start_and_leave_nothing_else(own_cache, sounds, tmp_path, tells):
    times = []
    for run in ("a", "b"):
        call = ["train", str(sounds), "-o", str(tmp_path / run), "--sample-rate", str(RATE)]
        said = tells(0, call, NETWORK, "--workers 1").err
        assert f"in {tmp_path / run / 'cache'}; you can delete it" in said
        assert not list((tmp_path / run).rglob("*synthetic*"))
        (encoder,) = (own_cache / "synthetic").glob("encoder-*.zip")
        times.append(encoder.stat().st_mtime_ns)
        others = {one.name for one in (own_cache / "synthetic").iterdir()} - {encoder.name}
        assert others <= {f".{encoder.stem}.lock"}
    assert times[0] == times[1]


def test_the_cache_is_listed_with_sizes_and_cleared(own_cache, tells):
    assert "empty" in tells(0, "cache").out
    (cache_part("synthetic") / "encoder-1.zip").write_bytes(bytes(1_200_000))
    said = tells(0, "cache").out
    assert "synthetic/encoder-1.zip" in said
    assert "1.2 MB" in said
    assert str(own_cache) in said
    assert "1.2 MB deleted" in tells(0, "cache clear").out
    assert not list(own_cache.glob("*/*"))


def test_a_folder_that_is_no_cache_is_not_cleared(own_cache):
    (own_cache / "photos").mkdir(parents=True)
    (own_cache / "photos" / "one.jpg").write_bytes(b"x")
    with pytest.raises(OptionError, match="nothing was deleted"):
        clear_cache()
    assert cli("cache clear") == 2
    assert (own_cache / "photos" / "one.jpg").is_file()


@LINKS
def test_links_in_the_cache_are_not_followed(own_cache, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept.wav").write_bytes(b"x")
    (cache_part("synthetic") / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    (own_cache / "part").symlink_to(tmp_path / "mine", target_is_directory=True)
    clear_cache()
    assert (tmp_path / "mine" / "kept.wav").is_file()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "{home}/x"}, "x/semisonic"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/semisonic"),
        ("linux", {}, ".cache/semisonic"),
        ("darwin", {}, "Library/Caches/semisonic"),
        ("win32", {"LOCALAPPDATA": "{home}/local"}, "local/semisonic"),
        ("win32", {}, "AppData/Local/semisonic"),
        ("linux", {"SEMISONIC_CACHE": "~/c"}, "c"),
    ],
)
def test_where_the_cache_lies(monkeypatch, tmp_path, platform, variables, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "SEMISONIC_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "{home}", "USERPROFILE": "{home}", **variables}.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert user_cache() == tmp_path / expected


def _make(begin: object, answers: object) -> None:
    _quick(setattr)
    begin.wait()
    answers.put(str(synthetic.synthetic_file("(4)3c-2p-8fc", MEL, workers=1)))


@pytest.mark.slow
def test_two_processes_make_one_start(own_cache):
    context = multiprocessing.get_context("spawn")
    begin, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_make, args=(begin, answers)) for _ in range(2)]
    for process in both:
        process.start()
    files = {answers.get(timeout=300) for _ in both}
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(files) == 1
    assert Path(files.pop()).is_file()
