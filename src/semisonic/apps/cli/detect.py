"""``semisonic detect``: find sounds in long recordings."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.inference import DetectOptions


def detect(options: DetectOptions, session: Session) -> Status:
    """Find sounds in recordings of any length: from when to when.

    Scores are kept in the run folder. An interrupted run goes on with the same command; the same
    folder with another threshold, gap, classes or more recordings takes seconds.
    """
    session.log = options.output / "log.txt"
    from semisonic.inference import run_detect as work

    result = work(options)
    session.say(result.summary())
    session.note(
        f"next: open {options.output / 'detections.html'}; the same command with another "
        "--threshold takes seconds"
    )
    return Status.SOME_FAILED if result.failures else Status.OK


command = command_from(
    DetectOptions,
    detect,
    name="detect",
    examples=[
        "semisonic detect runs/model night.wav -o runs/night",
        "semisonic detect runs/model path/to/recordings --threshold 0.7 --min-duration 0.3",
        "semisonic detect runs/model path/to/recordings --format csv,raven,audacity",
        "semisonic detect runs/model recordings --classes owl --classes fox --merge-gap 2",
    ],
    resumes=True,
)
