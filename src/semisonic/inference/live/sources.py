"""From options to where the sound comes from."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from semisonic.audio.live import LiveSource, Microphone, Pipe, Playback, Reconnecting
from semisonic.base.errors import AudioError, OptionError
from semisonic.inference.live.options import FORMATS, ListenOptions

STANDARD_INPUT = Path("-")


def open_source(options: ListenOptions) -> LiveSource:
    """The microphone, standard input or a file; a microphone is asked again when it is lost.

    Raises
    ------
    OptionError
        When an option has no meaning for this source, or one is missing.
    AudioError
        When there is no such microphone or file.
    """
    if options.input is None:
        _refuse("the microphone", options, "format", "speed", "began")
        return Reconnecting(Microphone(options.device_name, options.rate, options.channels))
    if options.input == STANDARD_INPUT:
        _refuse("standard input", options, "device_name")
        if options.rate is None:
            raise OptionError(
                "option 'rate': raw samples from standard input do not say their sampling rate; "
                "give it, such as --rate 16000"
            )
        if sys.stdin is None:  # closed by who started us
            raise AudioError("standard input", "it is closed")
        if sys.stdin.isatty():
            raise OptionError(
                "option 'input': standard input is a terminal; pipe samples into the command, such "
                "as arecord -t raw -f S16_LE -r 16000 | semisonic listen MODEL --input - "
                "--rate 16000"
            )
        return Pipe(
            sys.stdin.fileno(), options.rate, format=options.format or FORMATS[0],
            n_channels=options.channels, speed=options.speed,
        )  # fmt: skip
    _refuse("a file", options, "device_name", "format", "rate", "channels")
    return Playback(options.input, options.speed)


def began_at(options: ListenOptions) -> datetime | None:
    """The date of the first sample, None if not given; without a zone it is local.

    Raises
    ------
    OptionError
        When it is no date.
    """
    if not options.began:
        return None
    try:
        moment = datetime.fromisoformat(options.began)
    except ValueError:
        raise OptionError(
            f"option 'began': found '{options.began}', expected a date and time such as "
            "2026-05-01T04:30:00+02:00"
        ) from None
    return moment if moment.tzinfo else moment.astimezone()


def _refuse(source: str, options: ListenOptions, *names: str) -> None:
    """Raise OptionError if one of these options differs from its default."""
    for name in names:
        found = getattr(options, name)
        if found != getattr(ListenOptions, name):
            raise OptionError(
                f"option '{name}': found {found!r}, but it means nothing for {source}"
            )
