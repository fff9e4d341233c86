"""``listen``: events as lines, from the microphone, standard input or a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from semisonic.base.errors import OptionError
from semisonic.base.options import check
from semisonic.inference.live.command import EventCommand
from semisonic.inference.live.events import LiveEvent, stamp
from semisonic.inference.live.listening import listen
from semisonic.inference.live.options import ListenOptions
from semisonic.inference.live.scorer import WindowScores
from semisonic.inference.live.sources import began_at, open_source
from semisonic.inference.modelfile import open_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class ListenResult:
    """How ``listen`` ended.

    Attributes
    ----------
    was_stopped : bool
        By a person or the system, rather than by the end of the stream.
    n_failed : int
        Commands that failed or were left out, and clips that could not be saved.
    """

    was_stopped: bool
    n_failed: int


def listen_to(options: ListenOptions, say: Say, note: Say) -> ListenResult:
    """Listen until the stream ends or somebody stops it.

    Parameters
    ----------
    say : callable
        Is given each line of the answer, which is JSON.
    note : callable
        Is given the summary at the end, however it ended.

    Raises
    ------
    OptionError
        When an option is wrong.
    ModelError, AudioError
        When the model or the source cannot be opened, or the source fails for good.
    """
    check(options)
    if options.model is None:
        raise OptionError("MODEL is missing: a model file, or the run folder it lies in")
    began = began_at(options)
    source = open_source(options)
    model = open_model(options.model)
    command = EventCommand(options.on_event, options.on_event_timeout) if options.on_event else None

    def say_scores(window: WindowScores, at: datetime) -> None:
        say(json.dumps(scores_line(model.classes, window, at), ensure_ascii=False))

    listening = listen(
        model, source, options.events, began=began, max_lag=options.max_lag,
        on_scores=say_scores if options.scores else None, save_clips=options.save_clips,
        device=options.device,
    )  # fmt: skip

    def tell(event: LiveEvent) -> None:
        if command is not None:
            command.call(event)
        say(event.to_json())

    was_stopped = False
    try:
        for event in listening:
            tell(event)
    except KeyboardInterrupt:
        was_stopped = True
        for event in listening.stop():
            tell(event)
    finally:
        listening.stop()
        if command is not None:
            command.close()
        note("\n".join([listening.meter.summary(), *([command.summary()] if command else [])]))
    failed = 0 if listening.saver is None else listening.saver.n_failed
    if command is not None:
        failed += command.n_failed + command.n_left_out
    return ListenResult(was_stopped, failed)


def scores_line(classes: tuple[str, ...], window: WindowScores, at: datetime) -> dict[str, object]:
    """What ``--scores`` says of a window, as plain values."""
    return {
        "event": "scores",
        "time": stamp(at),
        "start_time": round(window.start_time, 3),
        "end_time": round(window.end_time, 3),
        "silent": window.is_silent,
        "scores": {
            name: round(score, 4)
            for name, score in zip(classes, window.scores.tolist(), strict=True)
        },
    }
