"""``suspects`` on recordings: planted errors are found, the list and the page say so."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import KINDS, MEL, RATE, sound, write_kinds

import semisonic
from semisonic.classifier.suspects import SuspectsResult
from semisonic.core.errors import DataError, OptionError

PLANTED = {"hiss/moved-2.wav": "hum", "sweep/moved-5.wav": "hiss", "hum/moved-7.wav": "sweep"}


def suspects(data: Path, output: Path, **more: object) -> SuspectsResult:
    options = {"mel": MEL, "workers": 1, "folds": 3} | more
    return semisonic.suspects(data, output, **options)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """These sounds are easy, and time is short."""
    monkeypatch.setattr("semisonic.classifier.simple.N_TREES", 40)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten recordings a kind, three of which lie in the folder of another kind."""
    folder = write_kinds(tmp_path_factory.mktemp("wrong"), 10)
    for place, kind in PLANTED.items():
        number = place[-5]
        shutil.move(folder / kind / f"{int(number):02d}.wav", folder / place)
    return folder


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_planted_errors_are_found_and_what_they_are(wrong: Path, tmp_path: Path) -> None:
    result = suspects(wrong, tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "suspects.csv")
    assert {row["clip"]: row["suggested"] for row in rows} == PLANTED
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    assert all(float(row["suggested_score"]) > 0.5 for row in rows)
    assert all(row["label"] == row["clip"].split("/")[0] for row in rows)
    assert result.agreement == pytest.approx(0.9)
    assert result.found.wrong_share == pytest.approx(0.1, abs=0.03)
    everything = rows_of(tmp_path / "run" / "scores.csv")
    assert len(everything) == 30
    assert {row["clip"] for row in everything if row["suspect"] == "yes"} == set(PLANTED)
    assert sum(float(everything[0][kind]) for kind in KINDS) == pytest.approx(1, abs=1e-4)
    text = result.summary()
    assert "3 clips look wrongly labelled" in text
    assert "hiss/moved-2.wav: hiss, sounds like hum" in text


def test_the_list_is_as_long_as_asked_for_and_the_page_plays_it(
    wrong: Path, tmp_path: Path
) -> None:
    result = suspects(wrong, tmp_path / "run", players=2, most=5)
    clips = [row["clip"] for row in rows_of(result.table)]
    assert len(clips) == 5
    assert set(clips[:3]) == set(PLANTED)
    page = result.report.read_text(encoding="utf-8")
    assert page.count("<audio") == 2
    assert "3 of 30 clips look wrongly labelled" in page
    assert "sounds like" in page
    for place in PLANTED:
        assert place in page
    table = rows_of(tmp_path / "run" / "tables" / "classes.csv")
    assert [row["suspects"] for row in table] == ["1", "1", "1"]
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["notes"]["n_suspects"] == 3


def test_the_same_again_gives_the_same_and_judges_nothing_anew(
    wrong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = suspects(wrong, tmp_path / "run", repeats=2)
    text = first.table.read_text(encoding="utf-8")
    monkeypatch.setattr("semisonic.classifier.suspects.fit_scores", lambda *_, **__: 1 / 0)
    assert suspects(wrong, tmp_path / "run", repeats=2).table.read_text(encoding="utf-8") == text


def test_corrected_labels_need_another_run_folder(wrong: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(wrong, data)
    table = data / "labels.csv"
    lines = [f"{p.parent.name}/{p.name},{p.parent.name}" for p in sorted(data.glob("*/*.wav"))]
    table.write_text("\n".join(["file,label", *lines]) + "\n", encoding="utf-8")
    suspects(table, tmp_path / "run")
    text = table.read_text(encoding="utf-8")
    for place, kind in PLANTED.items():
        text = text.replace(f"{place},{place.split('/')[0]}", f"{place},{kind}")
    table.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="choose another folder"):
        suspects(table, tmp_path / "run")
    result = suspects(table, tmp_path / "second")
    assert not len(result.listed)
    assert result.agreement == 1.0
    assert "None of 30 clips looks wrongly labelled" in result.report.read_text(encoding="utf-8")


def test_several_labels_a_clip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    for number in range(40):
        chosen = sorted(rng.choice(KINDS, size=1 + number % 2, replace=False))
        wave = sum(sound(kind, 700 + number) for kind in chosen)
        sf.write(tmp_path / f"{number:02d}.wav", wave / 2, RATE, subtype="FLOAT")
        said = {4: ["hiss", "hum", "sweep"], 7: chosen[:1]}.get(number, chosen)
        lines.append(f"{number:02d}.wav,{';'.join(said)}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = suspects(tmp_path / "labels.csv", tmp_path / "run")
    rows = {row["clip"]: row for row in rows_of(result.table)}
    assert {"04.wav", "07.wav"} <= set(rows)
    assert len(rows) < 8
    assert rows["04.wav"]["label"] == "hiss;hum;sweep"
    assert set(rows["04.wav"]["suggested"].split(";")) < {"hiss", "hum", "sweep"}
    page = result.report.read_text(encoding="utf-8")
    assert "perhaps forgotten" in page
    assert "answers" in result.summary()


def test_files_that_cannot_be_read_are_listed(wrong: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(wrong, data)
    (data / "hum" / "bad.wav").write_text("no sound", encoding="utf-8")
    result = suspects(data, tmp_path / "run")
    assert [name for name, _ in result.failures] == ["hum/bad.wav"]
    assert len(result.clips) == 30
    assert "1 clip could not be read" in result.summary()


def test_a_judge_that_knows_nothing_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        place = tmp_path / "data" / KINDS[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        sf.write(place / f"{number}.wav", rng.normal(0, 0.1, 4000), RATE)
    result = suspects(tmp_path / "data", tmp_path / "run")
    assert result.agreement < 0.6
    assert "The judge agrees with only" in result.report.read_text(encoding="utf-8")
    assert "The judge agrees with only" in result.summary()


def test_one_fold_is_refused(wrong: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at least 2"):
        suspects(wrong, tmp_path / "run", folds=1)


def test_one_class_or_no_labels_are_refused(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        suspects(pool, tmp_path / "a")
    one = tmp_path / "one"
    shutil.copytree(pool, one / "hum")
    with pytest.raises(DataError, match="found 1 class, expected at least 2"):
        suspects(one, tmp_path / "b", labels="folders")
