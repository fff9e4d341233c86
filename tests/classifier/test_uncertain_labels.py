"""An official test part, and labels that nobody checked: from the folder to the report."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile as sf
from tiny_sounds import KINDS, RATE, sound
from training_rows import TRAIN

from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.options import EvaluateOptions, TrainOptions
from semisonic.classifier.train import train
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import verified_labels
from semisonic.data.datasets.load import load_clips


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings laid out as FSDKaggle2018, half of the training labels verified."""
    root = tmp_path_factory.mktemp("FSDKaggle2018")
    tables = {"train": ["fname,label,manually_verified"], "test": ["fname,label,usage"]}
    for part, n in (("train", 8), ("test", 3)):
        folder = root / f"FSDKaggle2018.audio_{part}"
        folder.mkdir()
        for k, kind in enumerate(KINDS):
            for i in range(n):
                name = f"{k}{i}.wav"
                sf.write(
                    folder / name, sound(kind, 100 * k + i + (50 if part == "test" else 0)), RATE
                )
                flag = str(i % 2) if part == "train" else "Private"
                tables[part].append(f"{name},{kind},{flag}")
    meta = root / "FSDKaggle2018.meta"
    meta.mkdir()
    (meta / "train_post_competition.csv").write_text("\n".join(tables["train"]), encoding="utf-8")
    test = meta / "test_post_competition_scoring_clips.csv"
    test.write_text("\n".join(tables["test"]), encoding="utf-8")
    return root


def test_the_official_test_part_is_kept_apart_and_scored(tagged: Path, tmp_path: Path) -> None:
    options = replace(TRAIN, data=tagged, output=tmp_path / "train", test_fold=1, validation=0.3)
    done = train(options)
    with (tmp_path / "train" / "budget.csv").open() as stream:
        part_of = {row["clip"]: row["part"] for row in csv.DictReader(stream)}
    clips = load_clips(tagged)
    certain = dict(zip(clips.ids, clips.is_verified.tolist(), strict=True))
    assert set(part_of) == {name for name in clips.ids if "audio_train" in name}
    held = [name for name, part in part_of.items() if part == "validation"]
    assert held
    assert all(certain[name] for name in held)
    assert done.job.n_tested == 9
    options = EvaluateOptions(tmp_path / "train", tagged, tmp_path / "test", bootstrap=100)
    found = evaluate(replace(options, fold=1, device="cpu"))
    assert len(found.measurement.clips) == 9
    with pytest.raises(DataError, match="these clips are not a test"):
        evaluate(EvaluateOptions(model=tmp_path / "train", data=tagged, output=tmp_path / "all"))


def test_an_evaluation_leaves_uncertain_labels_out(
    tagged: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = EvaluateOptions(trained, tagged, tmp_path / "all", bootstrap=100)
    found = evaluate(replace(options, device="cpu", allow_seen=True))
    assert len(found.measurement.clips) == 12 + 9
    assert "12 clips with unverified labels were left out" in caplog.text


def test_a_table_of_uncertain_labels_is_no_measure(tagged: Path) -> None:
    clips = load_clips(tagged)
    assert len(verified_labels(clips)) == 12 + 9
    with pytest.raises(DataError, match="the labels of its 12 clips are unverified"):
        verified_labels(clips[~clips.is_verified], "an evaluation")


def test_info_counts_them(tagged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", str(tagged)]) == 0
    said = capsys.readouterr()
    assert "21 verified, 12 not" in said.out
    header = next(line for line in said.out.splitlines() if line.startswith("class "))
    assert " ".join(header.split()) == "class clips recordings unverified no fold fold 1"
    assert said.out.splitlines()[-1].split()[1:] == ["11", "11", "4", "8", "3"]
    assert "9 test clips (9 with verified labels, 0 with unverified ones), fold 1" in said.err


def learned(tagged: Path, output: Path, **changes: object) -> dict:
    given = {"data": tagged, "output": output, "validation": 0.3, "test_fold": 1} | changes
    options = replace(TRAIN, **given)  # type: ignore[arg-type]
    done = train(options)
    return {name: value.numpy() for name, value in done.outcome.model.state_dict().items()}


def test_unchecked_labels_may_count_less_or_have_a_loss_of_their_own(
    tagged: Path, tmp_path: Path
) -> None:
    plain = learned(tagged, tmp_path / "plain")
    less = learned(tagged, tmp_path / "less", noisy_weight=0.2)
    soft = learned(tagged, tmp_path / "soft", noisy_loss="bootstrap")
    name = next(name for name in plain if name.startswith("head"))
    for one, other in ((plain, less), (plain, soft), (less, soft)):
        assert abs(one[name] - other[name]).max() > 1e-6


def test_options_for_unchecked_labels_need_some(tagged: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 with unverified"):
        learned(tagged, tmp_path / "x", labels="fsdkaggle2018-verified", noisy_weight=0.5)
    probe = {"method": "probe", "objective": "none", "fit": TrainOptions().fit}
    with pytest.raises(OptionError, match="cannot weight unverified labels separately"):
        learned(tagged, tmp_path / "y", noisy_weight=0.5, **probe)
