"""``export``: a trained model as a file that needs neither Semisonic nor torch."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from semisonic.base.options import check
from semisonic.inference.export_options import ExportOptions
from semisonic.inference.exporting.result import ExportResult
from semisonic.inference.exporting.writing import target_of, write_export
from semisonic.inference.modelfile import MODEL, find_file, open_model
from semisonic.models import SoundModel, read_about


def export(
    model: str | PathLike[str] | SoundModel | Any,
    path: str | PathLike[str] | None = None,
    **options: Any,
) -> ExportResult:
    """Write a trained model for use without Semisonic, and compare the file with it.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        A path is that of a model file or a run folder.
    path : path, optional
        The file to write: its name ends in ``.onnx``, or in ``.pt2`` with ``to="torch"``. By
        default 'model.onnx' in the folder that one is in.
    **options
        Those of :class:`ExportOptions`: ``to``, ``input``, ``embeddings``, ``quantize``,
        ``calibrate_on``, ``check_on``, …; paths may be texts.

    Returns
    -------
    ExportResult
        The file, its card, how far it is from the model, and how fast it is.

    Raises
    ------
    OptionError, DataError, ModelError
        As :func:`semisonic.inference.exporting.writing.write_export`.
    """
    for name in ("calibrate_on", "check_on"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    target = None if path is None else Path(path)
    if isinstance(model, (str, PathLike)):
        return export_file(ExportOptions(Path(model), target, **options))
    about = getattr(model, "about_", {})
    network: SoundModel = getattr(model, "model_", model)
    asked = check(ExportOptions(Path(), target, **options))
    n_bytes = sum(one.nbytes for one in network.state_dict().values())
    return write_export(network, about, asked, n_bytes)


def export_file(options: ExportOptions) -> ExportResult:
    """The same for a model's file, with all options in one object."""
    check(options)
    target_of(options)
    file = find_file(options.model, MODEL)
    return write_export(open_model(file), read_about(file)["about"], options, file.stat().st_size)
