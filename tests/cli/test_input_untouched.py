"""No verb changes, adds or removes anything in the folders it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from calls import cli
from semisonic.core.files import content_hash

SMALL = ["--n-mels", "16", "--sample-rate", "8000", "--duration", "1"]
NETWORK = ["--model", "(4)3c-2p-8fc", *SMALL]


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of every file below a folder; folders are listed, too."""
    return {
        path.relative_to(folder).as_posix(): (
            content_hash(path) if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


def test_every_verb_leaves_its_input_as_it_is(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("semisonic.classifier.simple.N_TREES", 10)
    made, data, pool, out = (tmp_path / name for name in ("made", "data", "pool", "out"))
    size = ["--n-classes", "3", "--clips-per-class", "6", "--n-pool", "6", "--n-folds", "2"]
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1"]
    assert cli("data synth", made, size, short, "-q") == 0
    data.mkdir()
    shutil.copytree(made / "labelled", data / "labelled")
    shutil.copy(made / "labels.csv", data)
    shutil.copytree(made / "pool", pool)
    (data / "notes.txt").write_text("mine", encoding="utf-8")
    before = state(data), state(pool)
    table, model = data / "labels.csv", out / "train"
    fit = ["--method", "supervised", "--epochs", "2", "--validation", "0", "--test-fold", "1"]
    calls = (
        ["data", "info", table],
        ["data", "check", table],
        ["data", "labels", table, "-o", out / "labels.csv"],
        ["data", "mix", table, "-o", out / "mixed", "--window", "2", "--sample-rate", "8000"],
        ["scan", pool, "-o", out / "scan"],
        ["pretrain", pool, "-o", out / "pretrain", *NETWORK, "--epochs", "1"],
        ["train", table, "--unlabelled", pool, "-o", model, *NETWORK, *fit],
        ["evaluate", model, table, "--fold", "1", "-o", out / "evaluate"],
        ["predict", model, pool, "-o", out / "predictions.csv"],
        ["detect", model, pool, "-o", out / "detect"],
        ["embed", model, pool, "-o", out / "index"],
        ["suggest", model, pool, "-n", "3", "-o", out / "queue.csv"],
        ["suspects", table, "-o", out / "suspects", *SMALL, "--folds", "2"],
    )
    for arguments in calls:
        assert cli(arguments, "-q") == 0, arguments
        assert (state(data), state(pool)) == before, arguments
