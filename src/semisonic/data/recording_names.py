"""Read device, time, site and recording from file names and texts in files.

Names of these recorders are known:

- AudioMoth: ``20240601_043000.WAV``, with ``T`` behind it when triggered, with the 16 digits of
  the device in front; the oldest firmware writes the Unix time as 8 hexadecimal digits.
- Wildlife Acoustics: ``PREFIX_20240601_043000.wav``; the prefix is the serial number unless
  the user has set a site. SM3 puts three characters for the channel behind it (``0+1``, ``_0_``),
  and ``$`` between date and time when the clock was set by GPS.
- Frontier Labs and others that follow ISO 8601: ``20240601T043000+1000_REC.flac``.
- BirdNET-Pi: ``Eurasian_Wren-85-2024-05-01-birdnet-06:30:15.mp3``.
- Swift: ``SwiftOne_20220719_000000_-0400.wav``; SoundTrap: ``5783.190101120000.wav``;
  and ``2024-06-01_04-30-00`` with its relatives, as on telephones.

Times are those of the recorder's clock. They have a zone only if the name gives one; hexadecimal
names are UTC. Nothing is guessed from a number that is not a date.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips

_ZONE = r"(?P<zone>Z|_?[+-](?:0\d|1[0-4])(?:00|15|30|45)?(?![\d.+-]))?"
_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)[_T$-](?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)"
        r"(?:\.\d{1,6})?(?!\d)" + _ZONE,
        r"(?<!\d)(?P<y>\d{4})(?P<c>[-_.])(?P<m>\d\d)(?P=c)(?P<d>\d\d)"
        r"(?:[ _T-]{1,2}|(?P<pi>-birdnet-(?:RTSP_\d+-)?))"
        r"(?P<H>\d\d)(?P<e>[-_.:])(?P<M>\d\d)(?P=e)(?P<S>\d\d)(?:\.\d{1,6})?(?!\d)" + _ZONE,
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?!\d)" + _ZONE,
    )
)
_SOUNDTRAP = re.compile(
    r"^(?P<serial>\d{3,10})\.(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)"
    r"(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?!\d)"
)
_HEX = re.compile(r"^[0-9A-F]{8}$")
_EARLIEST_HEX, _LATEST_HEX = 0x50000000, 0x7FFFFFFF  # 2012 to 2038
_FIRST_YEAR, _LAST_YEAR = 1990, 2099

_TELLING = re.compile(r"\d{5}")
_CHANNEL = re.compile(r"_(?:0\+1|0\+0|1\+1|_[01]_)$")
_SERIAL = re.compile(r"^(?:[0-9A-F]{16}|(?:S4A|S4U|SMM|SMA|SMU|SM3)\d{5})$")
_NO_SITE = frozenset(
    {"", "rec", "record", "recording", "audio", "wav", "sound", "s", "swift", "swiftone", "mono"}
)
_NO_PLACE = re.compile(
    r"^(?:data|dcim|audio|wavs?|recordings?|sounds?|\d{6}|\d{8}|\d{4}-\d\d-\d\d)$"
)


@dataclass(frozen=True)
class RecorderInfo:
    """The information in a file name, or in a text in the file; empty or None if missing.

    Attributes
    ----------
    recorded_at : datetime or None
        The start, by the recorder's clock; with a zone if one is given.
    device, model : str
        Serial number and model of the recorder.
    site : str
        The prefix that the user has set.
    latitude, longitude : float or None
        Degrees.
    source : str
        Source of the time in the file: "guano" or "comment".
    """

    recorded_at: datetime | None = None
    device: str = ""
    site: str = ""
    latitude: float | None = None
    longitude: float | None = None
    model: str = ""
    source: str = ""


def read_name(file: str) -> RecorderInfo:
    """The information in one file name.

    Parameters
    ----------
    file : str
        With or without folders, which are ignored; forward slashes.

    Examples
    --------
    >>> pond = read_name("POND_20240601_043000.wav")
    >>> pond.site, pond.recorded_at.isoformat()
    ('POND', '2024-06-01T04:30:00')
    """
    stem = _stem(file)
    if _is_hex(stem) and not stem.isdigit():
        return RecorderInfo(_from_hex(stem))
    if found := _SOUNDTRAP.match(stem):
        return RecorderInfo(_time(found, century=2000), device=found["serial"])
    for form in _FORMS:
        for found in form.finditer(stem):
            time = _time(found)
            if time is not None:
                is_species = found.groupdict().get("pi")  # and its score, before the date
                return _with_prefix(time, "" if is_species else stem[: found.start()])
    return RecorderInfo()


def read_names(files: Iterable[str]) -> list[RecorderInfo]:
    """The information in many file names.

    A hexadecimal time without a letter, such as ``59450123``, looks like any number. It counts as
    a time if another name in its folder certainly is one.
    """
    names = list(files)
    result = [read_name(file) for file in names]
    of_hex = {_folder(file) for file in names if _is_hex(s := _stem(file)) and not s.isdigit()}
    for i, file in enumerate(names):
        if _folder(file) in of_hex and _is_hex(_stem(file)):
            result[i] = replace(result[i], recorded_at=_from_hex(_stem(file)))
    return result


def recorders_note(names: Collection[RecorderInfo]) -> str:
    """Why folders may be sites instead of classes; empty if few names are from recorders."""
    n_timed = sum(name.recorded_at is not None for name in names)
    few = 2 * n_timed <= len(names)
    return "" if few else f"{n_timed} of {len(names)} names are those of field recorders"


def site_of(file: str, name: RecorderInfo, *, class_folders: bool = False) -> str:
    """The site of a recording: the prefix of its name, else its folder, else its device.

    Parameters
    ----------
    file : str
        Folders that every memory card has (``DATA``, ``20240601``) are ignored.
    name : RecorderInfo
        The information in its name.
    class_folders : bool
        Whether the first-level folder is a label and not a site.

    Returns
    -------
    str
        Empty if unknown.
    """
    if name.site:
        return name.site
    folders = _folder(file).split("/") if "/" in file else []
    places = folders[1:] if class_folders else folders
    while places and _NO_PLACE.match(places[-1].lower()):
        places = places[:-1]
    return "/".join(places) or name.device


def day_of(file: str, name: RecorderInfo, *, class_folders: bool = False) -> str:
    """The site and the day by the recorder's clock; empty if the name has no time.

    Parameters
    ----------
    file, name, class_folders
        As for :func:`site_of`.
    """
    if name.recorded_at is None:
        return ""
    site = site_of(file, name, class_folders=class_folders)
    return f"{site} {name.recorded_at.date().isoformat()}".strip()


def lasting_names(clips: Clips) -> list[tuple[str, ...]]:
    """For each clip the names by which its recording can be known in other data sets; maybe none.

    A group that the data set or the user named is known by this name. Otherwise names of recorders
    tell the site with the day, and with the night (from noon to noon), and any name with five
    digits in a row, as ids and dates have, is that of a recording. ``01.wav`` is none.

    Examples
    --------
    >>> rows = [{"file": "20240601_233000.WAV"}, {"file": "dog-30226-A.ogg"}, {"file": "dog 1.wav"}]
    >>> lasting_names(Clips.from_rows("sounds", rows))
    [('2024-06-01', 'night of 2024-06-01'), (), ('dog-30226-A',)]
    """
    files = clips.file.tolist()
    found: list[tuple[str, ...]] = []
    for file, group, name in zip(files, clips.group.tolist(), read_names(files), strict=True):
        if group != file:
            found.append((group,))
        elif name.recorded_at is not None:
            evening = name.recorded_at - timedelta(hours=12)
            night = f"{site_of(file, name)} night of {evening.date().isoformat()}"
            found.append((day_of(file, name), night.strip()))
        else:
            stem = _stem(file)
            found.append((stem,) if _TELLING.search(stem) else ())
    return found


def _with_prefix(time: datetime, before: str) -> RecorderInfo:
    prefix = _CHANNEL.sub("", before.rstrip("_- ") if "__" not in before[-4:] else before[:-1])
    prefix = prefix.strip("_- .")
    is_serial = bool(_SERIAL.match(prefix))
    site = "" if is_serial or prefix.lower() in _NO_SITE else prefix
    return RecorderInfo(time, prefix if is_serial else "", site)


def _time(found: re.Match[str], century: int = 0) -> datetime | None:
    """The time that a pattern matched; None if it is not a valid time."""
    year = century + int(found["y"])
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    month, day, hour, minute, second = (int(found[part]) for part in "mdHMS")
    try:
        time = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    zone = found.groupdict().get("zone")
    return time if not zone else time.replace(tzinfo=_zone(zone.lstrip("_")))


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[3:5] or 0)))


def _is_hex(stem: str) -> bool:
    return bool(_HEX.match(stem)) and _EARLIEST_HEX <= int(stem, 16) <= _LATEST_HEX


def _from_hex(stem: str) -> datetime:
    return datetime.fromtimestamp(int(stem, 16), UTC)


def _stem(file: str) -> str:
    name = file.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


# What recorders write into a WAV file: AudioMoth's comment, and GUANO metadata.
#
# GUANO: version 1.0 of https://github.com/riggsd/guano-spec, fields ``Timestamp``, ``Make``,
# ``Model``, ``Serial``, ``Loc Position``. AudioMoth's comment begins, in all its firmwares, with
# "Recorded at 04:30:00 01/06/2024 (UTC+1) by AudioMoth 24F319046493AC3B"; the oldest has no zone.


_COMMENT = re.compile(
    r"Recorded at (?P<time>\d\d:\d\d:\d\d)(?:\.\d+)? (?P<day>\d\d/\d\d/\d{4})"
    r"(?: \(UTC(?:(?P<hours>[+-]\d{1,2})(?::?(?P<minutes>\d\d))?)?(?P<closed>\)))?"
)
_DEVICE = re.compile(r"\bAudioMoth (?P<serial>[0-9A-F]{16})\b")


def read_texts(texts: Mapping[str, str]) -> RecorderInfo:
    """Information of a WAV file's texts (see :func:`semisonic.audio.wave_texts.wave_texts`)."""
    fields = _guano(texts.get("guan", ""))
    comment, artist = texts.get("ICMT", ""), texts.get("IART", "")
    device = _DEVICE.search(comment) or _DEVICE.search(artist)
    model = " ".join(fields[name] for name in ("Make", "Model") if fields.get(name))
    time, source = _spoken(comment), "comment"
    with suppress(ValueError):
        time, source = datetime.fromisoformat(fields.get("Timestamp", "")), "guano"
    place: tuple[float | None, float | None] = None, None
    with suppress(ValueError):
        latitude, longitude = map(float, fields.get("Loc Position", "").replace(",", " ").split())
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            place = latitude, longitude
    return RecorderInfo(
        recorded_at=time,
        source=source if time else "",
        device=fields.get("Serial") or (device["serial"] if device else ""),
        model=model or ("AudioMoth" if device else ""),
        latitude=place[0],
        longitude=place[1],
    )


def _guano(text: str) -> dict[str, str]:
    """Names and values, one pair per line, separated by the first colon."""
    if not text.startswith("GUANO|Version"):
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _spoken(comment: str) -> datetime | None:
    """The time in AudioMoth's comment."""
    found = _COMMENT.search(comment)
    if not found:
        return None
    with suppress(ValueError):
        time = datetime.strptime(f"{found['day']} {found['time']}", "%d/%m/%Y %H:%M:%S")
        if not found["closed"]:
            return time
        hours = int(found["hours"] or 0)
        zone = f"{'-' if hours < 0 else '+'}{abs(hours):02d}{found['minutes'] or ''}"
        return time.replace(tzinfo=_zone(zone))
    return None


# Which recording a clip was cut from, where the names of the files give it.
#
# Two schemes are known and are used without asking: that of ESC-10 and ESC-50 (fold, recording at
# Freesound, take, perhaps class: ``1-187207-A.ogg``, ``2-103426-A-3.wav``) and that of UrbanSound8K
# (recording, class, occurrence, slice: ``100032-3-0-0.wav``). Any other is a suggestion, such as a
# stem before a counter (``laugh_1.m4a_77.wav``): it is offered as a pattern and never applied, as
# a stem may be the class (``dog_1.wav``) or the recorder.


_ESC = re.compile(r"^[1-9]-(\d{3,})-[A-Za-z]{1,2}(?:-(\d{1,3}))?$")
_URBANSOUND = re.compile(r"^(\d{3,})-(\d)-\d+-\d+$")

PATTERNS = (
    r"(.+?)(?:[ _-]+\d+(?:\.\d+)?s?){2}\.[^./]+$",
    r"(.+?)(?:[ _-]+[a-z]*\d+)?\.[^./]+$",
    r"(.+?)(?:[ _-]+[A-Za-z])?\.[^./]+$",
)
"""Endings after the name of a recording: start and end, a counter, a letter."""


def groups_by_name(
    files: Sequence[str], group: str, labels: Sequence[str] = (), *, class_folders: bool = False
) -> tuple[list[str], list[str]]:
    """The recordings by file names only, and notes.

    Parameters
    ----------
    files : sequence of str
        Relative names.
    group : str
        The rule; with "auto", names of known data sets give recordings, and any other file is its
        own.
    labels : sequence of str, optional
        The label of each file; a class number in the names must match it.
    class_folders : bool
        As for :func:`groups_of`.
    """
    if group != "auto":
        return groups_of(files, group, class_folders=class_folders), []
    for title, scheme in (("ESC-50", _ESC), ("UrbanSound8K", _URBANSOUND)):
        found = [scheme.match(_stem(file)) for file in files]
        if 2 * sum(one is not None for one in found) <= len(files):
            continue
        pairs = zip(found, labels, strict=False)
        numbers = {(one[2], label) for one, label in pairs if one and one[2] and label}
        one_to_one = len(numbers) == len(dict(numbers)) == len({label for _, label in numbers})
        # Of UrbanSound8K's names only the class number shows that they are no dates.
        if (labels and not one_to_one) or (scheme is _URBANSOUND and not numbers):
            continue
        groups = [one[1] if one else file for one, file in zip(found, files, strict=True)]
        counted = f"{len(set(groups))} of {len(files)} files"
        return groups, [f"file names as in {title} identify the recordings: {counted}"]
    return list(files), []


def suggest_recordings(clips: Clips) -> str:
    """A sentence about a rule to group clips by their names that gives sensible numbers.

    Sensible means: some recordings have several clips, most classes have several recordings, and
    no recording has most of the clips. Empty if there is no such rule.
    """
    files = clips.file.tolist()
    names = read_names(files)
    if 2 * sum(name.recorded_at is not None for name in names) > len(files):
        pairs = zip(files, names, strict=True)
        rules = {"day": [day_of(file, name, class_folders=True) or file for file, name in pairs]}
    else:
        rules = {
            pattern: [one[1] if (one := re.search(pattern, file)) else file for file in files]
            for pattern in PATTERNS
        }
    found = [(n, rule) for rule, groups in rules.items() if (n := _n_sensible(clips, groups))]
    if not found:
        return ""
    n, rule = min(found)
    groups = rules[rule]
    row = next(i for i, group in enumerate(groups) if groups.count(group) > 1)
    recording, file = (name.rpartition("/")[2] for name in (groups[row], files[row]))
    return (
        f"The file names seem to contain it ('{recording}' of '{file}'): the option 'group' set to "
        f"'{rule}' would give {n} recordings for {len(files)} clips"
    )


def _n_sensible(clips: Clips, groups: Sequence[str]) -> int:
    """The number of recordings; 0 if it is not sensible."""
    sizes = Counter(group.casefold() for group in groups)
    in_class: dict[str, set[str]] = defaultdict(set)
    for group, labels in zip(groups, clips.labels, strict=True):
        for label in labels or ("",):
            in_class[label].add(group.casefold())
    several = sum(len(found) > 1 for found in in_class.values())
    largest = max(sizes.values(), default=0)
    is_sensible = 2 <= largest <= len(groups) / 2 and 2 * several > len(in_class)
    return len(sizes) if is_sensible else 0


# Which recording a file belongs to, when no table says so.
#
# ``"file"``: each file is a recording of its own. ``"folder"``: all files of one folder are one
# recording (a site, a deployment); files directly in a class folder, or in the root, stay on their
# own. ``"site"``: where it was made, as a recorder's name or the folders tell, and ``"day"``: site
# and day (:mod:`semisonic.data.recording_names`). Anything else is a regular expression on the
# relative name, whose first bracket is the recording: ``r"(\d{8})_"`` puts all
# files of one day together. "copies" is read as "auto" and acted upon afterwards
# (:mod:`semisonic.data.recordings`).


def groups_of(
    files: Iterable[str],
    group: str,
    *,
    known: Sequence[str] | None = None,
    class_folders: bool = False,
) -> list[str]:
    """The recording of each file.

    Parameters
    ----------
    files : iterable of str
    group : str
        The rule.
    known : sequence of str, optional
        The recordings of the data set, for "auto".
    class_folders : bool
        Whether first-level folders are classes and not recordings.

    Raises
    ------
    DataError
        When the regular expression is invalid or has no bracket, or when "site" or "day" matches
        no name.

    Examples
    --------
    >>> groups_of(["pond/a.wav", "pond/b.wav", "c.wav"], "folder")
    ['pond', 'pond', 'c.wav']
    >>> groups_of(["dog_12_a.wav", "dog_12_b.wav"], r"_(\\d+)_")
    ['12', '12']
    """
    listed = list(files)
    if group in ("auto", "file"):
        return list(known) if known is not None and group == "auto" else listed
    if group == "folder":
        least = 1 if class_folders else 0  # first-level folders are classes, and no recordings
        return [f if f.count("/") <= least else f.rpartition("/")[0] for f in listed]
    if group in ("site", "day"):
        of_recorder = site_of if group == "site" else day_of
        names = zip(listed, read_names(listed), strict=True)
        given = [of_recorder(file, name, class_folders=class_folders) for file, name in names]
        if listed and not any(given):
            raise DataError(
                f"group rule '{group}': found it in no name, such as {listed[0]}. Expected names "
                "such as SITE1_20240601_043000.wav, and folders for sites; otherwise use 'file', "
                "'folder', a column of the table, or a pattern whose first bracket matches the "
                "recording"
            )
        return [name or file for file, name in zip(listed, given, strict=True)]
    try:
        pattern = re.compile(group)
        reason = "" if pattern.groups else "no such column, and as a pattern it has no bracket"
    except re.error as error:
        reason = f"not a regular expression ({error})"
    if reason:
        raise DataError(
            f"group rule '{group}': {reason}. Expected 'file', 'folder', 'site', 'day', "
            "'copies', a column of the table, or a pattern whose first bracket matches the "
            "recording, such as '(\\d+)_'"
        )
    found = [pattern.search(file) for file in listed]
    for file, one in zip(listed, found, strict=True):
        if one is None or one[1] is None:
            raise DataError(
                f"{file}: the group rule '{group}' does not match this name; change the rule so "
                "that it matches every file"
            )
    return [one[1] for one in found if one is not None]
