"""Names that recorders and data sets give to files, and texts that recorders leave in WAV files."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisonic.audio.wave_texts import wave_texts
from semisonic.cli.main import main
from semisonic.core.errors import DataError
from semisonic.data.datasets.load import load_clips
from semisonic.data.recording_names import (
    day_of,
    groups_of,
    read_name,
    read_names,
    read_texts,
    site_of,
)


def at(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("file", "time", "device", "site"),
    [
        ("20240601_043000.WAV", "2024-06-01T04:30:00", "", ""),
        ("Eurasian_Wren-85-2024-06-01-birdnet-04:30:00.mp3", "2024-06-01T04:30:00", "", ""),
        ("2024-06-01-birdnet-RTSP_1-04:30:00.wav", "2024-06-01T04:30:00", "", ""),
        ("20240601_043000T.WAV", "2024-06-01T04:30:00", "", ""),
        ("24F319046493AC3B_20240601_043000.WAV", "2024-06-01T04:30:00", "24F319046493AC3B", ""),
        ("5B07C752.WAV", "2018-05-25T08:20:34+00:00", "", ""),
        ("SITE1_20240601_043000.wav", "2024-06-01T04:30:00", "", "SITE1"),
        ("SITE_1_20240601_043000.wav", "2024-06-01T04:30:00", "", "SITE_1"),
        ("S4A01234_20240601_043000.wav", "2024-06-01T04:30:00", "S4A01234", ""),
        ("SMM05678_20240601_043000.wav", "2024-06-01T04:30:00", "SMM05678", ""),
        ("SM301297_0+1_20170912_220000.wav", "2017-09-12T22:00:00", "SM301297", ""),
        ("OLONG-CH1_0+1_20171121$143444.wav", "2017-11-21T14:34:44", "", "OLONG-CH1"),
        ("flood__0__20170725_123456.wav", "2017-07-25T12:34:56", "", "flood"),
        ("FNQ-RBS_20190102_044802_010.wav", "2019-01-02T04:48:02", "", "FNQ-RBS"),
        ("NW3-010793_20140331_053200.wav", "2014-03-31T05:32:00", "", "NW3-010793"),
        ("20191026T000000+1000_REC.flac", "2019-10-26T00:00:00+10:00", "", ""),
        ("20200426T020000Z_recording.flac", "2020-04-26T02:00:00+00:00", "", ""),
        (
            "S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34567+78.98102.wav",
            "2024-08-15T09:11:56+10:00",
            "",
            "",
        ),
        ("SwiftOne_20220719_000000_-0400.wav", "2022-07-19T00:00:00-04:00", "", ""),
        ("WOO_20170611_100000+1000.wav", "2017-06-11T10:00:00+10:00", "", "WOO"),
        ("a_20131012_123456-09_456.wav", "2013-10-12T12:34:56-09:00", "", "a"),
        ("PILLIGA_20121204_234600_+13-090.wav", "2012-12-04T23:46:00", "", "PILLIGA"),
        ("Wav0123_2008_07_04__22_58_14.wav", "2008-07-04T22:58:14", "", "Wav0123"),
        ("2025-09-30T03:32:35.594002Z.wav", "2025-09-30T03:32:35+00:00", "", ""),
        ("20070415051314.wav.trimmed.wav", "2007-04-15T05:13:14", "", ""),
        ("671629352.181204100002.wav", "2018-12-04T10:00:02", "671629352", ""),
    ],
)
def test_names_of_recorders(file, time, device, site):
    found = read_name(f"some/folder/{file}")
    assert (found.recorded_at, found.device, found.site) == (at(time), device, site)
    if at(time).tzinfo is not None:
        assert found.recorded_at is not None
        assert found.recorded_at.utcoffset() == at(time).utcoffset()


@pytest.mark.parametrize(
    "file",
    [
        "1-100032-A-0.wav",
        "100032-3-0-0.wav",
        "dog_134.WAV",
        "10160435.wav",
        "20240601.wav",
        "ZOOM0001.WAV",
        "DEADBEEF.wav",
        "FACADE00.wav",
        "5AFCD4F45AFCD4F4.WAV",
        "00000000.WAV",
        "20241301_000000.wav",
        "20240230_120000.wav",
        "20240601_250000.wav",
        "12024060_1043000.wav",
        "86f5923d-ef1d-4159-b120-a8dec3f6334e.wav",
        "acoustic_study_00m.mp3",
        ".wav",
        "",
    ],
)
def test_other_names_tell_no_time(file):
    assert read_name(file).recorded_at is None


@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)), st.sampled_from("_T$-"))
def test_any_time_is_found_again(time, mark):
    second = time.replace(microsecond=0)
    name = f"POND_{second:%Y%m%d}{mark}{second:%H%M%S}.wav"
    assert (read_name(name).recorded_at, read_name(name).site) == (second, "POND")


@given(st.text(max_size=40))
def test_no_name_is_too_odd(file):
    read_name(file)


def test_a_number_is_a_time_beside_hexadecimal_times():
    alone, beside, other, sure = read_names(
        ["x/59450123.WAV", "y/59450123.WAV", "y/10160435.WAV", "y/5945AA23.WAV"]
    )
    assert alone.recorded_at is None
    assert beside.recorded_at == datetime.fromtimestamp(0x59450123, UTC)
    assert other.recorded_at is None
    assert sure.recorded_at is not None


def test_sites_come_from_names_and_folders():
    def site(file, *, class_folders=False):
        return site_of(file, read_name(file), class_folders=class_folders)

    assert site("pond/POND7_20240601_043000.wav") == "POND7"
    assert site("disk/pond/DATA/20240601/20240601_043000.WAV") == "disk/pond"
    assert site("24F319046493AC3B_20240601_043000.WAV") == "24F319046493AC3B"
    assert site("dog/20240601_043000.WAV", class_folders=True) == ""
    assert site("dog/pond/20240601_043000.WAV", class_folders=True) == "pond"
    name = "pond/20240601_235900.wav"
    assert day_of(name, read_name(name)) == "pond 2024-06-01"


def test_groups_by_site_and_day(tmp_path):
    for name in ("pond/20240601_0430", "pond/20240601_0530", "hill/20240602_0430"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        sf.write(tmp_path / f"{name}00.wav", [0.0] * 100, 8000)
    sites = load_clips(tmp_path, labels="files", group="site")
    assert sorted(set(sites.group.tolist())) == ["hill", "pond"]
    days = load_clips(tmp_path, labels="files", group="day")
    assert sorted(set(days.group.tolist())) == ["hill 2024-06-02", "pond 2024-06-01"]
    # Class folders are labels: the files have no site of their own, but each has its day.
    assert set(load_clips(tmp_path, group="day").group) == {"2024-06-01", "2024-06-02"}


@pytest.mark.parametrize("group", ["site", "day"])
def test_a_rule_that_fits_no_name_is_an_error(group):
    with pytest.raises(DataError, match=f"group rule '{group}'"):
        groups_of(["a.wav", "b.wav"], group)


def _wav_with(path, *chunks):
    sf.write(path, [0.1] * 101, 8000, "PCM_U8")  # an odd size, padded
    content = path.read_bytes()
    for name, body in chunks:
        content += struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    return path


def test_audiomoth_comment(tmp_path):
    comment = (
        b"Recorded at 04:30:00 01/06/2024 (UTC+5:30) by AudioMoth 24F319046493AC3B at medium gain "
        b"while battery was 4.1V and temperature was 18.9C.\0\0\0"
    )
    info = b"INFO" + struct.pack("<4sI", b"ICMT", len(comment)) + comment
    info += b"\0" * (len(comment) % 2)
    found = read_texts(wave_texts(_wav_with(tmp_path / "a.wav", (b"LIST", info))))
    zone = timezone(timedelta(hours=5, minutes=30))
    assert found.recorded_at == datetime(2024, 6, 1, 4, 30, tzinfo=zone)
    assert (found.source, found.device, found.model) == ("comment", "24F319046493AC3B", "AudioMoth")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("", None),
        (" (UTC)", timedelta(0)),
        (" (UTC-3)", timedelta(hours=-3)),
        (" (UTC+10)", timedelta(hours=10)),
        (" (UTC-9:30)", -timedelta(hours=9, minutes=30)),
    ],
)
def test_zones_of_comments(zone, expected):
    text = f"Recorded at 23:59:59 31/12/2018{zone} by AudioMoth 0123456789ABCDEF at gain setting 2"
    found = read_texts({"ICMT": text}).recorded_at
    assert found is not None
    assert found.utcoffset() == expected
    assert found.replace(tzinfo=None) == datetime(2018, 12, 31, 23, 59, 59)


def test_guano(tmp_path):
    text = (
        "GUANO|Version:  1.0\nTimestamp: 2012-03-29T03:58:01+04:00\nMake: Pettersson\n"
        "Model:D1000X\nSerial: 77\nLoc Position: 37.1878016 -86.1057312\nNote: a: b\n   "
    )
    file = _wav_with(tmp_path / "a.wav", (b"junk", b"abc"), (b"guan", text.encode()))
    found = read_texts(wave_texts(file))
    assert found.recorded_at == at("2012-03-29T03:58:01+04:00")
    assert (found.source, found.device, found.model) == ("guano", "77", "Pettersson D1000X")
    assert (found.latitude, found.longitude) == (37.1878016, -86.1057312)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"fLaC" + b"x" * 99])
def test_files_without_texts(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    assert wave_texts(tmp_path / "a.wav") == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # written anew each time
@given(content=st.binary(max_size=200))
def test_damaged_chunks_do_no_harm(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + content)
    read_texts(wave_texts(tmp_path / "a.wav"))


def test_texts_that_make_no_sense_tell_nothing():
    for texts in (
        {"guan": "GUANO|Version: 1.0\nTimestamp: yesterday\nLoc Position: north"},
        {"ICMT": "Recorded at 25:00:00 01/06/2024 (UTC) by AudioMoth X"},
        {"guan": "Timestamp: 2012-03-29T03:58:01"},
    ):
        assert read_texts(texts).recorded_at is None


LETTERS = "ABC"


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
    assert "file names as in ESC-50" in said
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
    table.write_text(
        "file,label\n" + "".join(f"{f},{f.partition('/')[0]}\n" for f in files), encoding="utf-8"
    )
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
    assert f"would give {n_recordings} recordings for 24 clips" in said
    pattern = said.partition("option 'group' set to '")[2].partition("'")[0]
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
    assert "No clip names the recording that it was cut from" in said
    assert "would give" not in said
