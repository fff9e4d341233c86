"""``semisonic listen``: name sounds as they are heard."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status, table
from semisonic.inference import ListenOptions


def listen(options: ListenOptions, session: Session) -> Status:
    """Name sounds as they are heard: events as lines of JSON.

    Each event gives a line when it begins and one when it ends. What was skipped, lost or late is
    said on standard error, with a summary at the end. Ctrl-C ends it.
    """
    if options.list_devices:
        return _list_devices(session)
    from semisonic.inference import listen_to

    with _terminated_like_interrupted() as signals:
        result = listen_to(options, session.say, session.note)
    if result.was_stopped and not signals:
        raise KeyboardInterrupt
    return Status.SOME_FAILED if result.n_failed else Status.OK


@contextmanager
def _terminated_like_interrupted() -> Iterator[list[int]]:
    """Within the block, what ``kill`` and ``systemctl stop`` send ends the stream as Ctrl-C does.

    The list holds the signals that came.
    """
    came: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _list_devices(session: Session) -> Status:
    from semisonic.audio.live import list_devices

    found = list_devices()
    if not found:
        session.say("no microphone found")
        return Status.OK
    rows = [
        [one.number, one.name, one.n_channels, one.sample_rate, "default" * one.is_default]
        for one in found
    ]
    session.say(table(["number", "name", "channels", "rate Hz", ""], rows))
    return Status.OK


command = command_from(
    ListenOptions,
    listen,
    name="listen",
    optional=("model",),
    examples=[
        "semisonic listen runs/model",
        "semisonic listen --list-devices",
        "semisonic listen runs/model --input recording.wav --speed 0 --scores",
        "semisonic listen runs/model --input - --format s16le --rate 16000",
        "semisonic listen runs/model --classes siren --min-duration 2 --on-event './alarm.sh'",
    ],
)
