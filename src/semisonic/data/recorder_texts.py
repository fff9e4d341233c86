"""What recorders write into a WAV file: AudioMoth's comment, and GUANO metadata.

GUANO: version 1.0 of https://github.com/riggsd/guano-spec, fields ``Timestamp``, ``Make``,
``Model``, ``Serial``, ``Loc Position``. AudioMoth's comment begins, in all its firmwares, with
"Recorded at 04:30:00 01/06/2024 (UTC+1) by AudioMoth 24F319046493AC3B"; the oldest has no zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

_COMMENT = re.compile(
    r"Recorded at (?P<time>\d\d:\d\d:\d\d)(?:\.\d+)? (?P<day>\d\d/\d\d/\d{4})"
    r"(?: \(UTC(?:(?P<hours>[+-]\d{1,2})(?::?(?P<minutes>\d\d))?)?(?P<closed>\)))?"
)
_DEVICE = re.compile(r"\bAudioMoth (?P<serial>[0-9A-F]{16})\b")


@dataclass(frozen=True)
class RecorderTexts:
    """What the texts tell; empty or None where they are silent.

    Attributes
    ----------
    recorded_at : datetime or None
        The start; with a zone where it is told.
    source : str
        "guano" or "comment": where the time stands.
    device, model : str
        Serial number, and what the recorder is.
    latitude, longitude : float or None
        Degrees.
    """

    recorded_at: datetime | None = None
    source: str = ""
    device: str = ""
    model: str = ""
    latitude: float | None = None
    longitude: float | None = None


def read_texts(texts: Mapping[str, str]) -> RecorderTexts:
    """What the texts of a WAV file tell (see :func:`semisonic.audio.wave_texts.wave_texts`)."""
    fields = _guano(texts.get("guan", ""))
    comment, artist = texts.get("ICMT", ""), texts.get("IART", "")
    device = _DEVICE.search(comment) or _DEVICE.search(artist)
    latitude, longitude = _position(fields.get("Loc Position", ""))
    model = " ".join(fields[name] for name in ("Make", "Model") if fields.get(name))
    time, source = _iso(fields.get("Timestamp", "")), "guano"
    if time is None:
        time, source = _spoken(comment), "comment"
    return RecorderTexts(
        recorded_at=time,
        source=source if time else "",
        device=fields.get("Serial") or (device["serial"] if device else ""),
        model=model or ("AudioMoth" if device else ""),
        latitude=latitude,
        longitude=longitude,
    )


def _guano(text: str) -> dict[str, str]:
    """Names and values, one a line, parted by the first colon."""
    if not text.startswith("GUANO|Version"):
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _spoken(comment: str) -> datetime | None:
    """The time in AudioMoth's comment."""
    found = _COMMENT.search(comment)
    if not found:
        return None
    try:
        time = datetime.strptime(f"{found['day']} {found['time']}", "%d/%m/%Y %H:%M:%S")
    except ValueError:
        return None
    if not found["closed"]:
        return time
    if not found["hours"]:
        return time.replace(tzinfo=UTC)
    sign = -1 if found["hours"][0] == "-" else 1
    away = timedelta(hours=abs(int(found["hours"])), minutes=int(found["minutes"] or 0))
    return time.replace(tzinfo=timezone(sign * away))


def _position(text: str) -> tuple[float | None, float | None]:
    parts = text.replace(",", " ").split()
    try:
        latitude, longitude = map(float, parts)
    except ValueError:
        return None, None
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if inside else (None, None)
