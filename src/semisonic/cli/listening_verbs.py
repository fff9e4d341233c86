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

MODEL = option(dataclasses.MISSING, "model file or its run folder")
EVENTS = option(EventOptions(), "events")
DEVICE = option("auto", "device: auto, cpu, cuda, cuda:1 or mps")


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
        None, "CSV file to write; the same command continues an interrupted run"
    ),
    top: int = option(3, "number of best classes in each row", minimum=1),
    unknown: bool = option(False, "answer '(unknown)' for sounds of none of the model's classes"),
    threshold: str | None = option(
        None, "answer '(unknown)' below this score; auto: the model's threshold of each class"
    ),
    windows: bool = option(False, "write one row per window instead of one per file"),
    hop: float | None = option(
        None, "step between windows; by default the model's clip length", unit="s", minimum=0.001
    ),
    batch_size: int = option(64, "windows scored in one batch", minimum=1),
    device: str = DEVICE,
    workers: int | None = option(
        None, "number of decoding threads; by default one per core", minimum=1
    ),
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
        session.note("next: add -o predictions.csv to write all rows to a table")
    return Status.SOME_FAILED if result.failures else Status.OK


@verb(
    basic="output threshold merge_gap min_duration classes format truth save_thresholds "
    "save_clips device",
    examples=[
        "semisonic detect runs/model night.wav -o runs/night",
        "semisonic detect runs/model path/to/recordings --threshold 0.7 --min-duration 0.3",
        "semisonic detect runs/model path/to/recordings --format csv,raven,audacity",
        "semisonic detect runs/model recordings --classes owl --classes fox --merge-gap 2",
        "semisonic detect runs/model night.wav --truth events.csv --save-thresholds thresholds.csv",
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
        "formats of the events: csv writes events.csv; files for other programs are written "
        "into the folder labels",
        choices=FORMATS,
    ),
    truth: Path | None = option(
        None,
        "label file of these recordings, or folder of label files, to measure how many of its "
        "events are found and how many detected events are right, also at other thresholds",
    ),
    save_thresholds: Path | None = option(
        None,
        "CSV file for the threshold of each class with the highest F1 by --truth, for --threshold "
        "of detect, listen and app",
    ),
    max_false_alarms: float | None = option(
        None,
        "choose only thresholds with at most so many false alarms per hour of a class",
        minimum=0.0,
    ),
    save_clips: Path | None = option(
        None,
        "folder for the sound of each event, with a second before and after, for review; "
        "clips.csv there lists them",
    ),
    where: EngineOptions = option(EngineOptions(), "engine"),
    device: str = same_option(DeviceOptions, "device"),
    workers: int | None = same_option(DeviceOptions, "workers"),
) -> Status:
    """Find when sounds begin and end, in recordings of any length.

    The run folder keeps the scores. The same command continues an interrupted run, and with
    another threshold, gap, other classes or more recordings it scores only new recordings.
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
        save_thresholds=save_thresholds,
        max_false_alarms=max_false_alarms,
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
    model: Path | None = option(None, "model file or its run folder"),
    input_: Path | None = option(
        None,
        "file to play, or - for raw samples from standard input; by default the microphone",
    ),
    device_name: str | None = option(
        None, "microphone: part of its name, or its number; by default the system's default"
    ),
    list_devices: bool = option(False, "list the microphones, and exit"),
    format_: str | None = option(
        None,
        "standard input: type of its samples; by default s16le",
        choices=("s16le", "f32le"),
    ),
    rate: int | None = option(
        None,
        "sample rate; required for standard input; by default that of the microphone",
        unit="Hz",
        minimum=1,
    ),
    channels: int = option(
        1, "channels of standard input or the microphone, which are averaged", minimum=1
    ),
    speed: float = option(
        1.0,
        "file: speed of playing, 1 for real time; file and standard input: 0 for as fast as "
        "possible, without skipping",
        minimum=0.0,
    ),
    began: str = option(
        "",
        "file and standard input: date and time of the first sample, ISO 8601; by default "
        "for a file at speed 0 as its recorder says, else now",
    ),
    events: EventOptions = EVENTS,
    scores: bool = option(False, "also print a line with the scores of each window"),
    on_event: str = option(
        "",
        "command to run at the start and end of each event, without a shell; it gets the event "
        "as JSON on its standard input and in SEMISONIC_* variables",
    ),
    save_clips: Path | None = option(None, "folder for the sound of each event, as WAV"),
    max_lag: float = option(
        2.0, "latency above which windows are skipped to catch up", unit="s", minimum=0.1
    ),
    device: str = DEVICE,
) -> Status:
    """Detect sounds live, and print events as lines of JSON.

    Prints a line when an event begins and one when it ends. Standard error reports what was
    skipped, lost or late, and a summary at the end. Ctrl-C stops the verb.
    """
    if list_devices:
        return _list_devices(session)
    if model is None:
        raise OptionError("MODEL is missing: give a model file or its run folder")
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
    """Within the block, the signals of ``kill`` and ``systemctl stop`` end the stream as Ctrl-C
    does.

    The list has the signals that were received.
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
        "file to write, with the model card beside it; by default 'model.onnx' or "
        "'model.pt2' in the current folder",
    ),
    to: str = option(
        "onnx",
        "onnx, for ONNX Runtime and others; torch, for torch.export.load",
        choices=("onnx", "torch"),
    ),
    input_: str = option(
        "auto",
        "input of the file: audio (samples), features (log-mel in dB); auto: audio if the front "
        "end can be part of the file",
        choices=("auto", "audio", "features"),
    ),
    embeddings: bool = option(False, "also give the embeddings"),
    quantize: str = option(
        "none",
        "int8: store weights and activations of the network in 8 bits, ONNX only",
        choices=("none", "int8"),
    ),
    calibrate_on: Path | None = option(
        None,
        "int8: recordings to find the ranges of activations with; choose some that resemble "
        "those to be scored",
    ),
    check: bool = option(True, "compare the file with the model before keeping it"),
    check_on: Path | None = option(
        None,
        "recordings to compare on; by default synthetic sounds; accuracy is compared too if "
        "the recordings have labels that the model knows",
    ),
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES),
    licence: str = option(
        "",
        "licence to write into the file; by default that of the published weights the "
        "model started from",
    ),
) -> Status:
    """Write a trained model to a file that runs without Semisonic, from samples to scores.

    The file is kept only if it gives the same scores as the model. ONNX needs the extra 'export':
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
