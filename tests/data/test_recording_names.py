"""Recordings that the names of files tell: used where a scheme is known, else only offered."""

from __future__ import annotations

import pytest

from semisonic.cli.main import main
from semisonic.core import progress
from semisonic.data.datasets.load import load_clips

LETTERS = "ABC"


@pytest.fixture(autouse=True)
def quiet_again():
    yield
    progress.show(False)


def touch(root, files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not audio")
    return root


def info(folder, capsys):
    """What ``data info`` says of the names, on both channels."""
    main(["data", "info", str(folder), "--fast"])
    said = capsys.readouterr()
    return said.out + said.err


def test_names_of_esc_tell_the_recording_in_any_folder(tmp_path, capsys):
    files = [
        f"{kind}/{fold}-{number}-{take}.ogg"
        for kind, number in (("Rain", 17367), ("Dog", 187207))
        for fold in (1, 2)
        for take in LETTERS
    ]
    touch(tmp_path, [*files, "Rain/mine.wav"])
    clips = load_clips(tmp_path)
    assert sorted(set(clips.group.tolist())) == ["17367", "187207", "Rain/mine.wav"]
    said = info(tmp_path, capsys)
    assert "named as in ESC-50" in said
    assert "recordings  3" in said
    assert "1 of 13 clips do not name the recording" in said
    assert set(load_clips(tmp_path, group="file").group.tolist()) == {*files, "Rain/mine.wav"}


def test_class_numbers_in_names_must_go_with_the_labels(tmp_path):
    good = [
        f"{kind}/2-10342{i}-{take}-{number}.wav"
        for number, kind in ((3, "cow"), (5, "cat"))
        for i in (1, 2)
        for take in LETTERS
    ]
    clips = load_clips(touch(tmp_path / "good", good))
    assert set(clips.group.tolist()) == {"103421", "103422"}
    mixed = [f"{kind}/2-10342{i}-A-{i}.wav" for kind in ("cow", "cat") for i in range(4)]
    clips = load_clips(touch(tmp_path / "mixed", mixed))
    assert clips.group.tolist() == clips.file.tolist()


def test_names_of_urbansound_tell_the_recording_and_dates_do_not(tmp_path):
    files = [
        f"{kind}/10003{i}-{number}-0-{n}.wav"
        for number, kind in ((3, "bark"), (7, "drill"))
        for i in (2, 3)
        for n in range(3)
    ]
    clips = load_clips(touch(tmp_path / "slices", files))
    assert set(clips.group.tolist()) == {"100032", "100033"}
    table = tmp_path / "slices" / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{f},{f.partition('/')[0]}\n" for f in files))
    assert set(load_clips(table).group.tolist()) == {"100032", "100033"}
    dates = [
        f"{kind}/2024-6-{day}-{hour}.wav"
        for kind in ("a", "b")
        for day in range(1, 4)
        for hour in range(3)
    ]
    clips = load_clips(touch(tmp_path / "dates", dates))
    assert clips.group.tolist() == clips.file.tolist()
    plain = load_clips(tmp_path / "dates" / "a")
    assert plain.group.tolist() == plain.file.tolist()


@pytest.mark.parametrize(
    ("names", "n_recordings"),
    [
        ([f"laugh_{i}.m4a_{n}.wav" for i in range(4) for n in range(3)], 8),
        ([f"rec{i}-{take}.wav" for i in range(4) for take in LETTERS], 8),
        ([f"XC{i}_{n}.0_{n + 3}.0.wav" for i in range(4) for n in (0, 3, 6)], 8),
        (
            [
                f"SITE{s}_202406{day:02d}_0{h}3000.wav"
                for s in (1, 2)
                for day in (1, 2)
                for h in range(3)
            ],
            4,
        ),
    ],
)
def test_a_stem_is_offered_with_what_it_would_give_and_never_applied(
    names, n_recordings, tmp_path, capsys
):
    touch(tmp_path, [f"{kind}/{name}" for kind in ("one", "two") for name in names])
    clips = load_clips(tmp_path)
    assert clips.group.tolist() == clips.file.tolist()
    said = info(tmp_path, capsys)
    assert f"would give {n_recordings} recordings of 24 clips" in said
    pattern = said.partition("--group '")[2].partition("'")[0]
    assert len(set(load_clips(tmp_path, group=pattern).group.tolist())) == n_recordings


@pytest.mark.parametrize(
    "names",
    [
        [f"KIND_{n}.wav" for n in range(12)],  # the stem is the class
        [f"KIND ({n}).wav" for n in range(12)],
        [f"{n}.wav" for n in range(12)],
        [f"{'abcdefghijkl'[n]}{n * 7919}.wav" for n in range(12)],
    ],
)
def test_names_that_tell_nothing_offer_nothing(names, tmp_path, capsys):
    for kind in ("dog", "cat"):
        touch(tmp_path / kind, [name.replace("KIND", kind) for name in names])
    said = info(tmp_path, capsys)
    assert "No clip names the recording it was cut from" in said
    assert "would give" not in said
