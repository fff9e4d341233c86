"""What the name of a field recording tells: when it began, which device made it, and where.

Known are the names that recorders give:

- AudioMoth: ``20240601_043000.WAV``, with ``T`` behind it when triggered, with the 16 digits of
  the device in front; the oldest firmware writes the Unix time as 8 hexadecimal digits.
- Wildlife Acoustics: ``PREFIX_20240601_043000.wav``; the prefix is the serial number unless
  somebody has set a site. SM3 puts three characters for the channel behind it (``0+1``, ``_0_``),
  and ``$`` between date and time when the clock was set by GPS.
- Frontier Labs and others that follow ISO 8601: ``20240601T043000+1000_REC.flac``, perhaps with
  a latitude and a longitude (``[-27.3888 +152.8808]`` or ``_-18.2656+144.5564``).
- Swift: ``SwiftOne_20220719_000000_-0400.wav``; SoundTrap: ``5783.190101120000.wav``;
  and ``2024-06-01_04-30-00`` with its relatives, as on telephones.

A time is the recorder's clock. It has a zone only where the name tells one; hexadecimal names
are UTC. Nothing is guessed from a number that is no date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

_ZONE = r"(?P<zone>Z|_?[+-](?:0\d|1[0-4])(?:00|15|30|45)?(?![\d.+-]))?"
_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)[_T$-](?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)"
        r"(?:\.\d{1,6})?(?!\d)" + _ZONE,
        r"(?<!\d)(?P<y>\d{4})(?P<c>[-_.])(?P<m>\d\d)(?P=c)(?P<d>\d\d)[ _T-]{1,2}"
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

_CHANNEL = re.compile(r"_(?:0\+1|0\+0|1\+1|_[01]_)$")
_SERIAL = re.compile(r"^(?:[0-9A-F]{16}|(?:S4A|S4U|SMM|SMA|SMU|SM3)\d{5})$")
_NO_SITE = frozenset(
    {"", "rec", "record", "recording", "audio", "wav", "sound", "s", "swift", "swiftone", "mono"}
)
_NO_PLACE = re.compile(
    r"^(?:data|dcim|audio|wavs?|recordings?|sounds?|\d{6}|\d{8}|\d{4}-\d\d-\d\d)$"
)
_PLACE = re.compile(r"(?P<lat>[+-]?\d{1,2}(?:\.\d+)?)(?P<gap>[ ]?)(?P<lon>[+-]?\d{1,3}(?:\.\d+)?)")


@dataclass(frozen=True)
class RecorderName:
    """What a name tells.

    Attributes
    ----------
    recorded_at : datetime or None
        The start, by the recorder's clock; with a zone where the name tells it.
    device : str
        Serial number of the recorder; empty if the name has none.
    site : str
        The prefix that somebody has set; empty if there is none.
    latitude, longitude : float or None
        Degrees.
    """

    recorded_at: datetime | None = None
    device: str = ""
    site: str = ""
    latitude: float | None = None
    longitude: float | None = None


def read_name(file: str) -> RecorderName:
    """What the name of one file tells.

    Parameters
    ----------
    file : str
        With or without folders, which are not looked at; forward slashes.
    """
    stem = _stem(file)
    if _is_hex(stem) and not stem.isdigit():
        return RecorderName(_from_hex(stem))
    if found := _SOUNDTRAP.match(stem):
        return RecorderName(_time(found, century=2000), device=found["serial"])
    for form in _FORMS:
        for found in form.finditer(stem):
            time = _time(found)
            if time is not None:
                return _with_rest(time, stem[: found.start()], stem[found.end() :])
    return RecorderName()


def read_names(files: Iterable[str]) -> list[RecorderName]:
    """What the names of many files tell.

    A hexadecimal time without a letter, such as ``59450123``, looks like any number. It is
    taken for a time where another name in its folder is surely one.
    """
    names = list(files)
    result = [read_name(file) for file in names]
    of_hex = {_folder(file) for file in names if _is_hex(s := _stem(file)) and not s.isdigit()}
    for i, file in enumerate(names):
        if _folder(file) in of_hex and _is_hex(_stem(file)):
            result[i] = replace(result[i], recorded_at=_from_hex(_stem(file)))
    return result


def site_of(file: str, name: RecorderName, *, class_folders: bool = False) -> str:
    """Where a recording was made: the prefix of its name, else its folder, else its device.

    Folders that every memory card has (``DATA``, ``20240601``) are passed over. With
    ``class_folders`` the first-level folder is a label and so no site. Empty if nothing tells.
    """
    if name.site:
        return name.site
    folders = _folder(file).split("/") if "/" in file else []
    places = folders[1:] if class_folders else folders
    while places and _NO_PLACE.match(places[-1].lower()):
        places = places[:-1]
    return "/".join(places) or name.device


def day_of(file: str, name: RecorderName, *, class_folders: bool = False) -> str:
    """The site and the day by the recorder's clock; empty if the name has no time."""
    if name.recorded_at is None:
        return ""
    site = site_of(file, name, class_folders=class_folders)
    return f"{site} {name.recorded_at.date().isoformat()}".strip()


def _with_rest(time: datetime, before: str, behind: str) -> RecorderName:
    prefix = _CHANNEL.sub("", before.rstrip("_- ") if "__" not in before[-4:] else before[:-1])
    prefix = prefix.strip("_- .")
    is_serial = bool(_SERIAL.match(prefix))
    site = "" if is_serial or prefix.lower() in _NO_SITE else prefix
    latitude, longitude = _position(behind)
    return RecorderName(time, prefix if is_serial else "", site, latitude, longitude)


def _position(text: str) -> tuple[float | None, float | None]:
    """Degrees of latitude and longitude at the end of a name, if both stand there."""
    for found in _PLACE.finditer(text):
        # Two numbers in a row: parted by a sign or, in brackets, by a blank; one has decimals.
        parted = found["gap"] or found["lon"][0] in "+-"
        if parted and "." in found[0] and text[: found.start()][-1:] in ("[", "_", " "):
            latitude, longitude = float(found["lat"]), float(found["lon"])
            if abs(latitude) <= 90 and abs(longitude) <= 180:
                return latitude, longitude
    return None, None


def _time(found: re.Match[str], century: int = 0) -> datetime | None:
    """The time that a form has found; None if there is no such day or hour."""
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
