"""``semisonic export``: a trained model as a file that needs neither Semisonic nor torch."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.inference import ExportOptions


def export(options: ExportOptions, session: Session) -> Status:
    """Write a trained model for use without Semisonic: samples in, scores out.

    The file is compared with the model on sounds before it is kept, and both are timed. ONNX needs
    the extra 'export': pip install 'semisonic[export]'.
    """
    from semisonic.inference import export_file as work

    result = work(options)
    session.say(result.summary())
    return session.failed(result.failures)


command = command_from(
    ExportOptions,
    export,
    name="export",
    examples=[
        "semisonic export runs/model -o model.onnx",
        "semisonic export runs/model -o model.onnx --embeddings --check-on path/to/labelled",
        "semisonic export runs/model -o small.onnx --quantize int8 --calibrate-on path/to/some",
        "semisonic export runs/model --to torch -o model.pt2",
    ],
)
