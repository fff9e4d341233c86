"""The verbs that use a trained model: predict, detect, listen, export."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from semisonic.classifier.options import EventOptions
from semisonic.cli.parser import Session, Status, verb
from semisonic.core.errors import OptionError
from semisonic.core.options import (
    DeviceOptions,
    EngineOptions,
    option,
    same_option,
)
from semisonic.core.text import text_table
from semisonic.data.options import FORMATS, LABEL_CHOICES, LABELS

MODEL = option(dataclasses.MISSING, "model file, or the run folder it lies in")
EVENTS = option(EventOptions(), "events")
DEVICE = option("auto", "what computes: auto, cpu, cuda, cuda:1 or mps")


@verb(
    examples=[
        "semisonic predict runs/model a.wav b.ogg",
        "semisonic predict runs/model path/to/recordings --windows --hop 1 -o predictions.csv",
    ],
)
def predict(
    session: Session,
    model: Path = MODEL,
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings, folders of recordings, or a CSV of clips"
    ),
    output: Path | None = option(
        None, "CSV file for the table; an interrupted run goes on with it"
    ),
    top: int = option(3, "best classes given for each row", minimum=1),
    unknown: bool = option(
        False, "answer 'unknown' for sounds that are like nothing the model has learned"
    ),
    threshold: str | None = option(
        None, "answer 'unknown' below this score; auto: the model's own thresholds, class by class"
    ),
    windows: bool = option(False, "one row per window instead of one per file"),
    hop: float | None = option(
        None, "step between windows; the model's clip length if not given", unit="s", minimum=0.001
    ),
    batch_size: int = option(64, "windows scored at once", minimum=1),
    device: str = DEVICE,
    workers: int | None = option(None, "threads that decode; by default one per core", minimum=1),
) -> Status:
    """Name the sounds in recordings of any length."""
    from semisonic.classifier.model_file import open_model
    from semisonic.classifier.predict import predict_files

    session.resumes = output is not None
    result = predict_files(
        open_model(model),
        files,
        top=top,
        windows=windows,
        unknown=unknown,
        threshold=threshold,
        hop=hop,
        output=output,
        batch_size=batch_size,
        device=device,
        workers=workers,
    )
    session.say(result.summary())
    if output is None:
        session.note("next: -o predictions.csv writes all rows into a table")
    return Status.SOME_FAILED if result.failures else Status.OK


@verb(
    basic="output threshold hop merge_gap min_duration classes format truth save_clips device",
    examples=[
        "semisonic detect runs/model night.wav -o runs/night",
        "semisonic detect runs/model path/to/recordings --threshold 0.7 --min-duration 0.3",
        "semisonic detect runs/model path/to/recordings --format csv,raven,audacity",
        "semisonic detect runs/model recordings --classes owl --classes fox --merge-gap 2",
    ],
    resumes=True,
)
def detect(
    session: Session,
    model: Path = MODEL,
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings of any length, or folders of recordings"
    ),
    output: Path = option(Path("runs/detect"), "run folder"),
    events: EventOptions = EVENTS,
    format_: tuple[str, ...] = option(
        ("csv",),
        "files of events: csv is events.csv; those for other programs lie below labels",
        choices=FORMATS,
    ),
    truth: Path | None = option(
        None,
        "label file of these recordings, or a folder of them: says how many events were "
        "found, and how many are none",
    ),
    save_clips: Path | None = option(
        None,
        "folder to cut the sound of each event into, with a second before and after, for "
        "review; clips.csv there lists them",
    ),
    where: EngineOptions = option(EngineOptions(), "engine"),
    device: str = same_option(DeviceOptions, "device"),
    workers: int | None = same_option(DeviceOptions, "workers"),
) -> Status:
    """Find sounds in recordings of any length: from when to when.

    Scores are kept in the run folder. An interrupted run goes on with the same command; the same
    folder with another threshold, gap, classes or more recordings takes seconds.
    """
    session.log = output / "log.txt"
    from semisonic.classifier.detection.detect import run_detect

    result = run_detect(
        model,
        files,
        output,
        events,
        format=format_,
        truth=truth,
        save_clips=save_clips,
        where=where,
        device=device,
        workers=workers,
    )
    session.say(result.summary())
    session.note(
        f"next: open {output / 'detections.html'}; the same command with another "
        "--threshold takes seconds"
    )
    return Status.SOME_FAILED if result.failures else Status.OK


@verb(
    optional=("model",),
    basic="input list_devices device_name threshold "
    "classes min_duration scores on_event save_clips",
    examples=[
        "semisonic listen runs/model",
        "semisonic listen --list-devices",
        "semisonic listen runs/model --input recording.wav --speed 0 --scores",
        "semisonic listen runs/model --input - --format s16le --rate 16000",
        "semisonic listen runs/model --classes siren --min-duration 2 --on-event './alarm.sh'",
    ],
)
def listen(
    session: Session,
    model: Path | None = option(None, "model file, or the run folder it lies in"),
    input_: Path | None = option(
        None,
        "a file, played; or - for raw samples from standard input; the microphone if not given",
    ),
    device_name: str | None = option(
        None, "microphone: part of its name, or its number; the system's default if not given"
    ),
    list_devices: bool = option(False, "show the microphones there are, and end"),
    format_: str | None = option(
        None,
        "standard input: type of its samples; s16le if not given",
        choices=("s16le", "f32le"),
    ),
    rate: int | None = option(
        None,
        "sampling rate; must be given for standard input, a microphone has its own",
        unit="Hz",
        minimum=1,
    ),
    channels: int = option(
        1, "channels of standard input or the microphone; they are averaged", minimum=1
    ),
    speed: float = option(
        1.0,
        "file: times as fast as it sounds; file and standard input: 0 for as fast as "
        "possible, leaving nothing out",
        minimum=0.0,
    ),
    began: str = option(
        "",
        "file and standard input: date and time of the first sample, ISO 8601; if not given what "
        "the recorder says of a file at speed 0, else now",
    ),
    events: EventOptions = EVENTS,
    scores: bool = option(False, "also a line with the scores of each window"),
    on_event: str = option(
        "",
        "command called at each start and end of an event, without a shell, with the event "
        "as JSON on its standard input and in SEMISONIC_* variables",
    ),
    save_clips: Path | None = option(None, "folder for the sound of each event, as WAV"),
    max_lag: float = option(
        2.0, "latency from which on windows are skipped to catch up", unit="s", minimum=0.1
    ),
    device: str = DEVICE,
) -> Status:
    """Name sounds as they are heard: events as lines of JSON.

    Each event gives a line when it begins and one when it ends. What was skipped, lost or late is
    reported on standard error, with a summary at the end. Ctrl-C ends it.
    """
    if list_devices:
        return _list_devices(session)
    if model is None:
        raise OptionError("MODEL is missing: a model file, or the run folder it lies in")
    from semisonic.classifier.live.listen import listen_to, open_source

    source = open_source(
        input_,
        device_name=device_name,
        format=format_,
        rate=rate,
        channels=channels,
        speed=speed,
        began=began,
    )
    with _terminated_like_interrupted() as signals:
        was_stopped, n_failed = listen_to(
            model,
            source,
            session.say,
            session.note,
            events=events,
            began=began,
            scores=scores,
            on_event=on_event,
            save_clips=save_clips,
            max_lag=max_lag,
            device=device,
        )
    if was_stopped and not signals:
        raise KeyboardInterrupt
    return Status.SOME_FAILED if n_failed else Status.OK


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
    session.say(text_table(["number", "name", "channels", "rate Hz", ""], rows))
    return Status.OK


@verb(
    examples=[
        "semisonic export runs/model -o model.onnx",
        "semisonic export runs/model -o model.onnx --embeddings --check-on path/to/labelled",
        "semisonic export runs/model -o small.onnx --quantize int8 --calibrate-on path/to/some",
        "semisonic export runs/model --to torch -o model.pt2",
    ],
)
def export(
    session: Session,
    model: Path = MODEL,
    output: Path | None = option(
        None,
        "file to write; 'model.onnx' or 'model.pt2' here if not given. The model card is "
        "written beside it",
    ),
    to: str = option(
        "onnx",
        "onnx, for ONNX Runtime and others; torch, for torch.export.load",
        choices=("onnx", "torch"),
    ),
    input_: str = option(
        "auto",
        "what the file takes: audio (samples), features (log-mel in dB), or audio where the "
        "front end can be part of the file",
        choices=("auto", "audio", "features"),
    ),
    embeddings: bool = option(False, "give embeddings beside the scores"),
    quantize: str = option(
        "none",
        "int8: weights and activations of the network in 8 bits, ONNX only",
        choices=("none", "int8"),
    ),
    calibrate_on: Path | None = option(
        None,
        "recordings that give the ranges of activations, for int8: like those it will score",
    ),
    check: bool = option(True, "compare the file with the model before it is kept"),
    check_on: Path | None = option(
        None,
        "recordings to compare on, synthetic sounds if not given; where they carry labels that "
        "the model knows, accuracy is compared, too",
    ),
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES),
    licence: str = option(
        "", "licence that the file names; that of the published weights it began with if not given"
    ),
) -> Status:
    """Write a trained model for use without Semisonic: samples in, scores out.

    The file is compared with the model on sounds before it is kept. ONNX needs the extra 'export':
    pip install 'semisonic[export]'.
    """
    from semisonic.classifier.export import export as work

    result = work(
        model,
        output,
        to=to,
        input=input_,
        embeddings=embeddings,
        quantize=quantize,
        calibrate_on=calibrate_on,
        check=check,
        check_on=check_on,
        labels=labels,
        licence=licence,
    )
    session.say(result.summary())
    return session.failed(result.failures)
