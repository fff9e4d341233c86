"""The options of ``listen``. No torch here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.inference.event_options import EventOptions

FORMATS = ("s16le", "f32le")
"""Those of :mod:`semisonic.audio.live`, whose import needs numpy."""


@dataclass(frozen=True)
class ListenOptions:
    """Name sounds as they are heard."""

    model: Path | None = option(None, "model file, or the run folder it lies in")
    input: Path | None = option(
        None, "a file, played; or - for raw samples from standard input; the microphone if not "
        "given",
    )  # fmt: skip
    device_name: str | None = option(
        None, "microphone: part of its name, or its number; the system's default if not given"
    )
    list_devices: bool = option(False, "show the microphones there are, and end")
    format: str | None = option(
        None, "standard input: type of its samples; s16le if not given", choices=FORMATS
    )
    rate: int | None = option(
        None, "sampling rate; must be given for standard input, a microphone has its own",
        unit="Hz", minimum=1,
    )  # fmt: skip
    channels: int = option(
        1, "channels of standard input or the microphone; they are averaged", minimum=1
    )
    speed: float = option(
        1.0, "file: times as fast as it sounds; file and standard input: 0 for as fast as "
        "possible, leaving nothing out", minimum=0.0,
    )  # fmt: skip
    began: str = option(
        "", "file and standard input: date and time of the first sample, ISO 8601; now if not given"
    )
    events: EventOptions = option(EventOptions(), "events")
    scores: bool = option(False, "also a line with the scores of each window")
    on_event: str = option(
        "", "command called at each start and end of an event, without a shell, with the event "
        "as JSON on its standard input and in SEMISONIC_* variables",
    )  # fmt: skip
    on_event_timeout: float = option(
        10.0, "time after which such a command is ended", unit="s", minimum=0.1
    )
    save_clips: Path | None = option(None, "folder for the sound of each event, as WAV")
    max_lag: float = option(
        2.0, "latency from which on windows are skipped to catch up", unit="s", minimum=0.1
    )
    device: str = option("auto", "what computes: auto, cpu, cuda, cuda:1 or mps")
