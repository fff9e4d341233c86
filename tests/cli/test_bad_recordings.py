"""Folders with recordings that nobody can read, or only in odd ways: no verb stops at one."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from calls import cli
from sounds import FRONT_END, RATE

TRAIN = f"{FRONT_END}--model (4)3c-2p-gp --epochs 2 --method supervised --device cpu -q"
UNREADABLE = {"list.au", "strange.wav", "memory.wav"}


@pytest.fixture
def folder(place, monkeypatch) -> Path:
    """Healthy recordings, odd ones, a text with the name of one, and two that upset a library."""
    folder = place / "nights"
    folder.mkdir()
    x = 0.3 * np.sin(0.7 * np.arange(3 * RATE))
    sf.write(folder / "healthy.wav", x, RATE)
    for name, subtype in (("gsm.wav", "GSM610"), ("g721.wav", "G721_32")):
        sf.write(folder / name, x, RATE, subtype=subtype)
    sf.write(folder / "pipe.flac", x, RATE)
    content = bytearray((folder / "pipe.flac").read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    (folder / "pipe.flac").write_bytes(content)
    (folder / "list.au").write_text("milk, bread\n" * 2000, encoding="utf-8")
    for name in ("strange.wav", "memory.wav"):
        sf.write(folder / name, x, RATE)

    def upset(handle: sf.SoundFile, *arguments: object, **options: object) -> np.ndarray:
        name = str(handle.name)
        if "strange" in name:
            raise AttributeError("no such thing")
        if "memory" in name:
            raise MemoryError
        return read(handle, *arguments, **options)

    read = sf.SoundFile.read
    monkeypatch.setattr(sf.SoundFile, "read", upset)
    return folder


@pytest.fixture
def odd_folder(place) -> Iterator[Path]:
    """Two recordings, and what else may have the name of one; a test that waits for it fails."""
    folder = place / "disk"
    folder.mkdir()
    x = 0.3 * np.sin(0.7 * np.arange(RATE // 2))
    sf.write(folder / "healthy.wav", x, RATE)
    os.link(folder / "healthy.wav", os.fsencode(folder) + b"/latin-\xe9.wav")
    (folder / "empty.wav").touch()
    (folder / "dangling.wav").symlink_to("nowhere.wav")
    (folder / "itself.wav").symlink_to("itself.wav")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "device.wav").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.wav")
    for inside in ("folder.wav", "labels.csv", "a" * 150 + "/" + "b" * 150):
        (folder / inside).mkdir(parents=True)
    sf.write(folder / "folder.wav" / "inside.wav", x, RATE)
    shutil.copy(folder / "healthy.wav", folder / ("a" * 150) / ("b" * 150) / "deep.wav")

    def waited(*_: object) -> None:
        raise AssertionError("the command waits for what has no end")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    yield folder
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


ODD = {"empty.wav", "dangling.wav", "itself.wav", "device.wav", "pipe.wav"}


@pytest.mark.skipif(os.name == "nt", reason="there are neither pipes nor such links")
@pytest.mark.parametrize(
    ("verb", "bad"),
    [
        ("scan disk -o out", "out/bad_files.csv"),
        ("predict model.zip disk -o out.csv", ""),
        ("detect model.zip disk -o out", "out/bad_files.csv"),
        ("embed model.zip disk -o out", "out/bad_files.csv"),
        ("data info disk", ""),
        ("data check disk", ""),
        (f"train both -o out {TRAIN}", "out/bad_files.csv"),
    ],
)
def test_what_is_no_file_is_named_and_nothing_waits_for_it(
    odd_folder, place, capsys, verb, bad
) -> None:
    (place / "both").mkdir()
    (place / "both" / "tone").symlink_to(place / "sounds" / "tone", target_is_directory=True)
    (place / "both" / "odd").symlink_to(odd_folder, target_is_directory=True)
    status = cli(verb, "--workers 2" if "data" not in verb else "")
    shown = "".join(capsys.readouterr())
    assert status == 3, shown
    for word in ("bug", "Traceback", "healthy.wav:", "inside.wav:", "deep.wav:"):
        assert word not in shown
    assert not bad or listed(place / bad) == ODD
    if "train" not in verb:  # which names some, and the list
        for reason in (
            "dangling.wav: no such file",
            "empty.wav: empty: the file has 0 bytes",
            "itself.wav: cannot be opened (Too many levels of symbolic links)",
            "device.wav: not a regular file",
            "pipe.wav: not a regular file",
        ):
            assert reason in shown


@pytest.mark.parametrize("verb", ["scan", "predict model.zip", "detect model.zip"])
def test_a_recording_that_vanishes_while_others_are_read(place, monkeypatch, capsys, verb) -> None:
    folder = place / "nights"
    folder.mkdir()
    x = 0.3 * np.sin(0.7 * np.arange(RATE // 2))
    for name in ("early.wav", "vanishes.wav"):
        sf.write(folder / name, x, RATE)
    read = sf.SoundFile.read

    def unplug(handle: sf.SoundFile, *arguments: object, **options: object) -> np.ndarray:
        (folder / "vanishes.wav").unlink(missing_ok=True)
        return read(handle, *arguments, **options)

    monkeypatch.setattr(sf.SoundFile, "read", unplug)
    output = "out.csv" if "predict" in verb else "out"
    assert cli(verb, folder, "--workers 1 -o", output) == 3
    assert "vanishes.wav: no such file" in "".join(capsys.readouterr())


def listed(file: Path) -> set[str]:
    with open(file, encoding="utf-8", newline="") as stream:
        return {
            Path(row["file"]).name.partition("@")[0]
            for row in csv.DictReader(stream)
            if row.get("reason")
        }


@pytest.mark.parametrize(
    ("verb", "bad"),
    [
        ("scan nights -o out", "out/bad_files.csv"),
        ("predict model.zip nights -o out.csv", ""),
        ("detect model.zip nights -o out", "out/bad_files.csv"),
        ("embed model.zip nights -o out", "out/bad_files.csv"),
    ],
)
def test_a_folder_is_finished_and_what_failed_is_listed(folder, place, capsys, verb, bad) -> None:
    status = cli(verb, "--workers 1")
    error = "".join(capsys.readouterr())
    assert status == 3, error
    assert "bug" not in error
    assert "Traceback" not in error
    for name in UNREADABLE:
        assert name in error
    assert not bad or listed(place / bad) == UNREADABLE
    log = place / "out" / "log.txt"
    if log.is_file():
        assert "AttributeError: no such thing" in log.read_text(encoding="utf-8")


def test_a_training_goes_on_without_them(folder, place, capsys) -> None:
    rows = [f"nights/{path.name},{i % 2}" for i, path in enumerate(sorted(folder.iterdir()))]
    (place / "labels.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    assert cli("train labels.csv -o trained", TRAIN) == 3
    assert listed(place / "trained" / "bad_files.csv") == UNREADABLE
    assert "bug" not in capsys.readouterr().err


def test_a_check_names_each(folder, tells) -> None:
    found = tells(3, "data check", folder)
    for name in UNREADABLE:
        assert name in found.out + found.err


@pytest.mark.skipif(os.name == "nt", reason="names of files cannot hold this")
def test_a_name_cannot_steer_the_terminal(place, capsys) -> None:
    (place / "odd").mkdir()
    (place / "odd" / "a\x1b[2Jb.wav").write_bytes(b"no sound")
    sf.write(place / "odd" / "c\x1b]0;x.wav", np.sin(0.7 * np.arange(RATE)) / 2, RATE)
    for command in ("predict model.zip odd", "scan odd -o out", "data info odd"):
        cli(command)
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err
        assert "\\x1b" in shown.out + shown.err
