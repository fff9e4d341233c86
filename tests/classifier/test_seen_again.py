"""A recording of the training is known again: cut, quieter, encoded anew, in another data set.

Every sound is noise whose level and colour change all the time, so no two are alike.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from semisonic import Clips, SoundClassifier, cross_validate, find_duplicates, load_clips
from semisonic.audio.resample import resample
from semisonic.classifier.sounds import as_sounds
from semisonic.cli.main import main
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.training.options import FitOptions

RATE = 16000
KINDS = {"high": (2000, 3400), "low": (150, 900)}
N = 4
COMMON = (
    "--method supervised --model (4)3c-2p-8fc --sample-rate 8000 --duration 0.5 --n-fft 256 "
    "--hop-length 128 --n-mels 16 --epochs 1 --batch-size 8 --device cpu --precision fp32 "
    "--validation 0 -q"
)
TRAIN = COMMON.split()
RECIPE = """
title = "known again"
validation = 0.0
folds = [1]
[[budgets]]
draws = 1
[setting]
model = "(4)3c-2p-8fc"
mel = {sample_rate = 8000, duration = 0.5, n_fft = 256, hop_length = 128, n_mels = 16}
fit = {epochs = 1}
"""

Wave = NDArray[np.float32]


def sound(kind: str, number: int, duration: float = 3.0) -> Wave:
    """A sound of a kind; each number is another recording."""
    rng = np.random.default_rng([number, len(kind)])
    n = round(duration * RATE)
    low, high = KINDS.get(kind, (150, 3400))
    spectrum = np.fft.rfft(rng.normal(0, 1, n))
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] *= 0.05
    wave = np.fft.irfft(spectrum, n)
    steps = int(duration * 8)
    wave *= np.interp(np.arange(n), np.linspace(0, n, steps), rng.uniform(0.1, 1, steps))
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def write_set(
    folder: Path, first: int, make: Callable[[Wave], tuple[str, Wave, int]], n: int = N
) -> Path:
    """Class folders with ``n`` recordings each, as ``make`` names and changes them."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(first, first + n):
            suffix, wave, rate = make(sound(kind, number))
            more = {"compression_level": 0.9} if suffix in (".ogg", ".mp3") else {}
            sf.write(folder / kind / f"{'abcdefghijklmn'[number]}{suffix}", wave, rate, **more)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a training on eight recordings."""
    root = tmp_path_factory.mktemp("seen")
    data = write_set(root / "train", 0, lambda wave: (".wav", wave, RATE))
    assert main(["train", str(data), "-o", str(root / "run"), *TRAIN]) == 0
    return root / "run"


def evaluate(trained: Path, data: Path, output: Path, *more: str) -> int:
    command = ["evaluate", str(trained), str(data), "-o", str(output), "-q", "--bootstrap", "100"]
    return main([*command, *more])


def in_noise(wave: Wave) -> Wave:
    """The sound in the middle of other noise."""
    long = sound("wide", 77, 12.0)
    long[7 * RATE : 7 * RATE + len(wave)] = wave
    return long


DISGUISES: dict[str, Callable[[Wave], tuple[str, Wave, int]]] = {
    "quieter": lambda wave: (".flac", 0.2 * wave, RATE),
    "ogg": lambda wave: (".ogg", 0.5 * wave, RATE),
    "mp3": lambda wave: (".mp3", wave, RATE),
    "without its start": lambda wave: (".wav", wave[round(1.3 * RATE) :], RATE),
    "telephone": lambda wave: (".wav", 0.5 * resample(wave[999:], RATE, 8000), 8000),
    "within other noise": lambda wave: (".wav", in_noise(wave), RATE),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_evaluate_refuses_recordings_of_the_training_in_any_form(
    trained: Path, tmp_path: Path, disguise: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "later", 0, DISGUISES[disguise])
    assert evaluate(trained, data, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert f"{2 * N} clips" in told
    assert "high/a" in told
    assert evaluate(trained, data, tmp_path / "out2", "--allow-seen") == 0


def test_the_sounds_of_a_calibration_are_known_again(trained: Path, tmp_path: Path) -> None:
    later = write_set(tmp_path / "later", 4, lambda wave: (".wav", wave, RATE))
    twice = write_set(tmp_path / "twice", 8, lambda wave: (".wav", wave, RATE))
    for file in later.rglob("*.wav"):
        file.rename(twice / file.relative_to(later).with_name(f"later-{file.name}"))
    few = write_set(tmp_path / "few", 12, lambda wave: (".wav", wave, RATE), n=2)
    for file in few.rglob("*.wav"):
        file.rename(twice / file.relative_to(few).with_name(f"few-{file.name}"))
    SoundClassifier.load(trained).calibrate(twice, unknown=False).save(tmp_path / "model.zip")
    quiet = write_set(tmp_path / "quiet", 8, DISGUISES["quieter"])
    assert evaluate(tmp_path / "model.zip", quiet, tmp_path / "out") == 2
    assert evaluate(trained, quiet, tmp_path / "free") == 0


def test_the_model_of_an_experiment_knows_its_recordings_again(tmp_path: Path) -> None:
    data = write_set(tmp_path / "train", 0, lambda wave: (".wav", wave, RATE))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    assert main(["run", str(recipe), "--data", str(data), "-o", str(tmp_path / "run"), "-q"]) == 0
    quiet = write_set(tmp_path / "quiet", 0, DISGUISES["quieter"])
    assert evaluate(tmp_path / "run", quiet, tmp_path / "out") == 2


def test_other_recordings_are_a_test(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "train", 6, lambda wave: (".ogg", wave, RATE))
    assert evaluate(trained, data, tmp_path / "out") == 0
    assert "the model was" not in "".join(capsys.readouterr())


def test_one_copy_among_others_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "test", 6, lambda wave: (".wav", wave, RATE))
    sf.write(data / "low" / "odd one.ogg", 0.3 * sound("low", 2)[5000:], RATE)
    assert evaluate(trained, data, tmp_path / "out") == 2
    assert "1 clip (low/odd one.ogg)" in capsys.readouterr().err


def table(folder: Path, first: int, groups: str) -> Path:
    """A table of recordings with a column of their nights."""
    folder.mkdir()
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "label", "group"])
        for kind in KINDS:
            for number in range(first, first + N):
                name = f"{kind}{'abcdefghijkl'[number]}.wav"
                sf.write(folder / name, sound(kind, number), RATE)
                rows.writerow([name, kind, groups.format(number - first)])
    return folder


def test_other_takes_of_a_known_recording_are_named_whatever_the_set_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = table(tmp_path / "ours", 0, "night {}"), table(tmp_path / "other", 6, "night {}")
    assert main(["train", str(ours), "-o", str(tmp_path / "run"), *TRAIN]) == 0
    assert evaluate(tmp_path / "run", theirs, tmp_path / "out") == 0
    told = "".join(capsys.readouterr())
    assert f"other clips of {N} recordings (night 0, night 1, night 2, ...)" in told
    assert f"{2 * N} clips of these" in told
    elsewhere = table(tmp_path / "elsewhere", 6, "evening {}")
    assert evaluate(tmp_path / "run", elsewhere, tmp_path / "out2") == 0
    assert "other clips of" not in "".join(capsys.readouterr())


def test_other_files_of_a_night_of_a_recorder_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, first, times in (
        ("one", 0, ("20240601_223000", "20240603_223000")),
        ("two", 6, ("20240602_013000", "20240612_013000")),
    ):
        for kind in KINDS:
            (tmp_path / place / kind).mkdir(parents=True)
            for i, time in enumerate(times):
                wave = sound(kind, first + i)
                sf.write(tmp_path / place / kind / f"{kind.upper()}_{time}.wav", wave, RATE)
    assert main(["train", str(tmp_path / "one"), "-o", str(tmp_path / "run"), *TRAIN]) == 0
    assert evaluate(tmp_path / "run", tmp_path / "two", tmp_path / "out") == 0
    told = "".join(capsys.readouterr())
    assert "HIGH night of 2024-06-01" in told
    assert "2 clips of these" in told


def test_published_folds_that_share_a_sound_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names of ESC: the fold first, then the recording; fold 2 has a copy of fold 1's."""
    for number, kind in enumerate(KINDS, 1):
        folder = tmp_path / "set" / f"00{number} - {kind.title()}"
        folder.mkdir(parents=True)
        for fold in (1, 2):
            for i in range(3):
                wave = sound(kind, 3 * fold + i)
                sf.write(folder / f"{fold}-{number}{fold}{i}77-A.ogg", wave, RATE)
    sf.write(folder / "2-99999-A.ogg", 0.4 * sound(kind, 3), RATE)
    data, run = str(tmp_path / "set"), tmp_path / "run"
    assert load_clips(data).name == "ESC-2"
    assert main(["train", data, "-o", str(run), "--test-fold", "2", *TRAIN]) == 0
    assert evaluate(run, Path(data), tmp_path / "out", "--fold", "2") == 0
    assert "in another fold, as 1 clip (002 - Low/2-99999-A.ogg" in "".join(capsys.readouterr())
    assert evaluate(run, Path(data), tmp_path / "out2", "--fold", "1") == 2


def test_what_is_kept_of_a_recording_is_small(trained: Path) -> None:
    part = read_about(trained / "model.zip")["about"]["training"]
    assert 2 * N * 20 < len(part["prints"]) < 2 * N * 3 * 150  # 150 bytes for a second of noise


# The pool of a cross-validation.

MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


class Watched(SoundClassifier):
    """A classifier that notes what each fold learns from."""

    seen: ClassVar[list[tuple[Any, Any]]] = []

    def fit(self, clips: Any, y: Any = None, *, unlabelled: Any = None, **more: Any) -> Any:
        Watched.seen.append((as_sounds(clips, y, **more), unlabelled))
        return super().fit(clips, y, unlabelled=unlabelled, **more)


def watched() -> Watched:
    Watched.seen = []
    fit = FitOptions(epochs=1, batch_size=4, precision="fp32")
    return Watched(
        "(4)3c-2p-8fc",
        mel=MEL,
        training=fit,
        pretraining=fit,
        method="supervised",
        objective="reconstruction",
        validation=0.0,
        device="cpu",
    )


@pytest.mark.slow
@pytest.mark.parametrize("of_sound", [lambda x: x, lambda x: 0.4 * x[700:], in_noise])
def test_arrays_that_are_tested_are_in_no_pool(of_sound: Callable[[Wave], Wave]) -> None:
    names = [(kind, number) for kind in KINDS for number in range(N)]
    waves = [sound(*name) for name in names]
    others = [sound("high", 20), sound("low", 21)]
    pool = [of_sound(wave) for wave in waves] + others
    labels = [kind for kind, _ in names]
    with pytest.warns(UserWarning, match=f"{2 * N} clips of the pool are the same sounds"):
        cross_validate(watched(), waves, labels, unlabelled=pool, n_folds=2, sample_rate=RATE)
    assert len(Watched.seen) == 2
    for _, left in Watched.seen:
        assert [len(wave) for wave in left.waves] == [len(wave) for wave in others]


@pytest.mark.slow
def test_copies_among_arrays_stay_in_one_fold() -> None:
    names = [(kind, number) for kind in KINDS for number in range(N)]
    waves = [sound(*name) for name in names]
    waves += [0.3 * wave[999:] for wave in waves]
    labels = 2 * [kind for kind, _ in names]
    found = cross_validate(watched(), waves, labels, n_folds=2, sample_rate=RATE)
    assert found.fold[: 2 * N].tolist() == found.fold[2 * N :].tolist()


@pytest.mark.slow
def test_other_clips_of_tested_recordings_are_in_no_pool(tmp_path: Path) -> None:
    """Four nights, of each a clip of each kind with a label, and two without."""
    rows = []
    for night in range(N):
        for number, kind in enumerate([*KINDS, "wide", "more"]):
            file = f"night{night}_{number}.wav"
            sf.write(tmp_path / file, sound(kind, 10 * night + number), RATE)
            rows.append({"file": file, "group": f"night {night}", "labels": kind})
    clips = Clips.from_rows(tmp_path, rows)
    is_labelled = np.array([row[0] in KINDS for row in clips.labels])
    labelled, pool = clips[is_labelled].keep_classes(KINDS), clips[~is_labelled].without_labels()
    with pytest.warns(UserWarning, match="of tested recordings are left out: up to 4 of 8"):
        cross_validate(watched(), labelled, unlabelled=pool, n_folds=2)
    assert len(Watched.seen) == 2
    for training, left in Watched.seen:
        nights = set(training.clips.group.tolist())
        assert len(nights) == 2
        assert set(left.clips.group.tolist()) == nights


# A clip and the night that it was cut from.


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips with labels, and three minutes in which both stand, as MP3."""
    root = tmp_path_factory.mktemp("night")
    long = 0.15 * sound("wide", 5, 180.0)
    for start, (kind, gain) in zip((40, 130), zip(KINDS, (0.5, 0.2), strict=True), strict=True):
        clip = sound(kind, 0)
        (root / "clips" / kind).mkdir(parents=True)
        sf.write(root / "clips" / kind / "one.wav", gain * clip, RATE)
        other = sound(kind, 1)
        sf.write(root / "clips" / kind / "two.wav", other, RATE)
        long[start * RATE : start * RATE + len(clip)] += clip
    (root / "pool").mkdir()
    sf.write(root / "pool" / "night.mp3", 0.5 * long, RATE, compression_level=0.9)
    sf.write(root / "pool" / "other.ogg", sound("wide", 6, 20.0), RATE)
    return root


def test_a_clip_is_found_in_the_night_that_it_was_cut_from(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find_duplicates(load_clips(night / "clips"), load_clips(night / "pool", labels="none"))
    assert {pair.second for pair in found} == {"night.mp3"}
    offsets = {pair.first: -pair.offset_time for pair in found}
    assert offsets == pytest.approx({"high/one.wav": 40, "low/one.wav": 130}, abs=0.1)

    command = ["data", "check", str(night / "clips"), "--unlabelled", str(night / "pool")]
    assert main(command) == 3
    assert capsys.readouterr().out.count("night.mp3") == 2

    assert main(["scan", str(night), "-o", str(tmp_path / "scan"), "-q"]) in (0, 3)
    with open(tmp_path / "scan" / "duplicates.csv", encoding="utf-8") as stream:
        pairs = [{row["first"], row["second"]} for row in csv.DictReader(stream)]
    assert {"clips/high/one.wav", "pool/night.mp3"} in pairs
    assert {"clips/low/one.wav", "pool/night.mp3"} in pairs
    assert len(pairs) == 2


@pytest.mark.slow
def test_only_the_stretch_of_the_clip_leaves_a_long_pool(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(night / "clips"), "--unlabelled", str(night / "pool")]
    more = ["--objective", "reconstruction", "-o", str(tmp_path / "run"), *TRAIN]
    assert main([*command, *more]) == 0
    assert "Of 1 long recording of the pool, the parts" in capsys.readouterr().out
    used = read_about(tmp_path / "run" / "model.zip")["about"]["pretraining"]
    assert used["clips"] == 4  # three parts of the night, and the other recording
