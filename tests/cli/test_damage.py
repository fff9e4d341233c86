"""Files that a disk damaged or somebody crafted: each is named, and no bug is reported."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.lib.format import open_memmap

import semisonic
from calls import cli
from semisonic.core.errors import SemisonicError
from sounds import FRONT_END, write_sounds

NESTED = "[" * 100_000
TRAIN = f"{FRONT_END}--model (4)3c-2p-gp --epochs 2 --method supervised --device cpu -q"


def flip(file: Path, place: float = 0.5) -> None:
    """Flip one bit, at this share of the file."""
    data = bytearray(file.read_bytes())
    data[int(place * (len(data) - 1))] ^= 16
    file.write_bytes(data)


def crafted(
    source: Path,
    target: Path,
    describe: Callable[[dict[str, Any]], None] = lambda about: None,
    weigh: Callable[[dict[str, torch.Tensor]], None] = lambda weights: None,
) -> Path:
    """A model file with another description and other weights."""
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["model.json"])
    weights = safetensors.torch.load(parts["weights.safetensors"])
    describe(about)
    weigh(weights)
    parts["model.json"] = json.dumps(about).encode()
    parts["weights.safetensors"] = safetensors.torch.save(weights)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return target


def refused(capsys, *words: object) -> str:
    """What a command that is wrong use, and no bug, wrote."""
    status, error = cli(*words), capsys.readouterr().err
    assert status == 2, error
    assert "bug" not in error
    return error


@pytest.mark.parametrize("duration", [60.0, 300.0])
def test_a_model_does_not_decide_how_much_memory_is_used(place: Path, duration: float) -> None:
    file = crafted(
        place / "model.zip",
        place / "large.zip",
        lambda about: about["features"].update(hop_length=1, duration=duration),
    )
    with pytest.raises(SemisonicError, match="values in the features"):
        semisonic.SoundClassifier.load(file)


@pytest.mark.parametrize("verb", ["predict", "detect"])
def test_weights_that_overflow_are_no_answer(place: Path, capsys, verb: str) -> None:
    def enlarge(weights: dict[str, torch.Tensor]) -> None:
        for x in weights.values():
            if x.is_floating_point():
                x.copy_(torch.full_like(x, 3e38))

    file = crafted(place / "model.zip", place / "large.zip", weigh=enlarge)
    output = "out.csv" if verb == "predict" else "out"
    assert "not finite" in refused(capsys, verb, file, "sounds -q -o", output)
    assert not list(place.rglob("out*/*.csv"))


@pytest.mark.parametrize("store", ["samples", "features"])
def test_a_damaged_cache_is_not_learned_from(tmp_path: Path, capsys, store: str) -> None:
    sounds = write_sounds(tmp_path / "sounds", 6)
    once = ("train", sounds, "--cache", tmp_path / "cache", TRAIN)
    assert cli(*once, "-o", tmp_path / "first") == 0
    again = tmp_path / "second"
    if store == "samples":  # which are read to compute other features
        once = (*once, "--n-mels 20")
    for file in (tmp_path / "cache").rglob("data.bin"):
        if (json.loads((file.parent / "store.json").read_text("utf-8"))["kind"]) == store:
            for part in range(5):
                flip(file, part / 4)
    assert "data.bin" in refused(capsys, *once, "-o", again)
    assert not (again / "model.zip").exists()


def test_a_damaged_line_of_a_journal_is_computed_again(tmp_path: Path) -> None:
    sounds = write_sounds(tmp_path / "sounds", 3)
    assert cli("scan", sounds, "-o", tmp_path / "first", "-q") == 0
    once = ("train", sounds, "--cache", tmp_path / "cache", TRAIN)
    assert cli(*once, "-o", tmp_path / "a") == 0
    (journal,) = (
        file
        for file in (tmp_path / "cache").rglob("journal.jsonl")
        if json.loads((file.parent / "store.json").read_text("utf-8"))["kind"] == "samples"
    )
    before = journal.read_bytes()
    journal.write_bytes(before.replace(b"4000", b"3999", 1))  # a length that fits the file
    assert cli(*once, "--n-mels 20 -o", tmp_path / "b") == 0
    assert len(journal.read_bytes()) > len(before)


@pytest.mark.parametrize("damage", ["bit", "entry"])
def test_a_damaged_checkpoint_is_not_gone_on_with(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    from semisonic.training import loop

    sounds, output = write_sounds(tmp_path / "sounds", 6), tmp_path / "run"
    words = ("train", sounds, TRAIN, "--checkpoint-interval 1 -o", output)
    real = loop.train_step

    def interrupted(*arguments: Any) -> Any:
        if list(output.rglob("checkpoint.pt")):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "train_step", interrupted)
    assert cli(*words) == 130
    monkeypatch.undo()
    (file,) = output.rglob("checkpoint.pt")
    if damage == "bit":
        for part in range(1, 10):
            flip(file, part / 10)
    else:
        content = torch.load(file)
        del content["optimizer"]
        torch.save(content, file)
    assert "checkpoint.pt" in refused(capsys, *words)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("index/embedding.json", "search index sounds/noise/noise0.wav"),
        ("project/project.json", "project suggest project"),
        ("project/project.json", "project learn project"),
        ("index/embedding.json", "map index -o out"),
    ],
)
@pytest.mark.parametrize("content", [NESTED, "[]", "{}", "\x00" * 64, '{"model": {"dim": "x"}}'])
def test_a_damaged_description_is_named(
    place: Path, capsys, file: str, command: str, content: str
) -> None:
    (place / file).write_text(content, encoding="utf-8")
    assert Path(file).name in refused(capsys, command)


def test_a_damaged_list_of_a_run_is_named(place: Path, capsys) -> None:
    (place / "sounds" / "tone" / "none.wav").write_bytes(b"no sound")
    words = ("train sounds", TRAIN, "-o out")
    assert cli(*words) == 3
    (place / "out" / "bad_files.csv").write_text("file,label\n1,2\n", encoding="utf-8")
    assert "bad_files.csv" in refused(capsys, *words)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("command", ["search index sounds/noise/noise0.wav", "map index -o out"])
def test_vectors_that_were_cut_off_are_named(
    place: Path, capsys, command: str, share: float
) -> None:
    file = place / "index" / "embeddings.npy"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "embeddings.npy" in refused(capsys, command)


@pytest.mark.parametrize("verb", ["embed vectors.npy labels.csv", "project new . --encoder"])
def test_vectors_from_elsewhere_that_are_no_numbers_are_named(
    place: Path, capsys, verb: str
) -> None:
    vectors = np.zeros((6, 4), np.float32)
    vectors[1, 2], vectors[4] = np.nan, np.inf
    np.save(place / "vectors.npy", vectors)
    rows = [f"sounds/tone/tone{i % 4}.wav,0,{0.1 * (i + 1):.1f}" for i in range(6)]
    table = "\n".join(["file,start_time,end_time", *rows])
    (place / "labels.csv").write_text(table, encoding="utf-8")
    if "project" in verb:
        verb = "project new labels.csv --encoder vectors.npy"
    error = refused(capsys, verb, "-o", place / "out", "-q")
    assert "vectors.npy" in error
    assert "2 of 6 vectors (row 1, 4, counted from 0)" in error


def test_vectors_that_are_no_numbers_are_not_searched(place: Path, capsys) -> None:
    vectors = open_memmap(place / "index/embeddings.npy")
    vectors[2] = np.nan
    vectors.flush()
    assert "row 2" in refused(capsys, "search index sounds/noise/noise0.wav")


def test_one_damaged_line_costs_no_label_log(place: Path, capsys) -> None:
    log = semisonic.LabelLog(place / "log.jsonl", place / "sounds")
    for name in ("noise/noise0.wav", "tone/tone0.wav"):
        log.append(name, labels="heard")
    *before, last = log.path.read_text(encoding="utf-8").splitlines()
    log.path.write_text("\n".join([*before, NESTED[:3000], last, ""]), encoding="utf-8")
    found = semisonic.LabelLog(place / "log.jsonl", place / "sounds").current()
    assert len(found.clips()) == 2


@pytest.mark.parametrize(
    "command",
    [
        "run {} --data sounds -o out",
        "train sounds --config {} -o out",
        "run demo --data sounds --change x={} -o out",
    ],
)
def test_nested_brackets_are_no_bug(place: Path, capsys, command: str) -> None:
    (place / "deep.toml").write_text(f"a = {NESTED}", encoding="utf-8")
    deep = NESTED[:5000] if "change" in command else "deep.toml"
    refused(capsys, command.format(deep))
