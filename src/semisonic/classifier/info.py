"""``info``: what a file, a run, an architecture or this machine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.provenance import ROLES, DataPart, PublishedOrigin
from semisonic.core.errors import ModelError
from semisonic.core.files import read_json
from semisonic.core.options import check, to_dict
from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.model_file import load, load_encoder, read_about
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create, names
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import machine, versions

_WIDTH = 22
_MANY = 20  # classes named in full


@dataclass(frozen=True)
class Fact:
    """A value, and the text that stands for it on a terminal."""

    value: Any
    text: str

    def __str__(self) -> str:
        """For a terminal."""
        return self.text


@dataclass(frozen=True)
class InfoResult:
    """What ``info`` found: a title and facts, in order."""

    title: str
    facts: Mapping[str, Any]

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Nothing can fail in part."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """The values themselves, by names without spaces."""
        values = {
            name.replace(" ", "_").replace("-", "_"): f.value if isinstance(f, Fact) else f
            for name, f in self.facts.items()
        }
        return {"title": self.title, **values}

    def summary(self) -> str:
        """For a terminal."""
        lines = [self.title]
        for name, value in self.facts.items():
            shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            lines.append(f"  {name.ljust(_WIDTH)} {'none' if shown == '' else shown}")
        return "\n".join(lines)


def info(path: str = "", mel: MelOptions | None = None) -> InfoResult:
    """Tell what something is; without a path, what this machine has.

    Parameters
    ----------
    path : str
        A model, an encoder, a run folder or an architecture.
    mel : MelOptions, optional
        The front end that an architecture is shown for.

    Returns
    -------
    InfoResult

    Raises
    ------
    ModelError
        When the path is neither a model, a run folder nor an architecture.
    """
    mel = check(mel or MelOptions())
    if not path:
        return _machine()
    place = Path(path)
    if place.is_dir():
        return _run(place)
    if place.is_file():
        return _file(place)
    try:
        body = create(path, mel.shape)
    except ModelError as error:
        raise ModelError(
            f"'{path}': no file or folder of this name, and as an architecture: {error}"
        ) from error
    code = body.encoder.code_shape(*mel.shape[1:])
    facts = {
        **_size(nn.Sequential(body.encoder, body.neck), body.encoder, mel),
        "code": Fact(code, f"{_shape(code)} (channel x mel x frame)"),
        "embedding": Fact(body.neck.out_features, f"{body.neck.out_features} numbers"),
        "registered names": list(names()),
    }
    return InfoResult(f"architecture '{body.name}' (class layer not counted)", facts)


def _machine() -> InfoResult:
    facts = {**machine(), **{f"version of {name}": v for name, v in versions().items()}}
    return InfoResult("this machine", facts)


def _run(folder: Path) -> InfoResult:
    """A run folder: its record, and the model in it."""
    record_file = folder / "run.json"
    if not record_file.is_file():
        raise ModelError(f"{folder}: no run folder, expected run.json in it")
    record = read_json(record_file)
    facts: dict[str, Any] = {
        name: record.get(name)
        for name in ("command", "status", "started", "finished", "seconds", "commit", "error")
        if record.get(name) is not None
    }
    facts.update({f"data {name}": value for name, value in record.get("data", {}).items()})
    facts.update(_flat(record.get("notes", {})))
    for name in (MODEL, ENCODER):
        if (folder / name).is_file():
            facts["file"] = str(folder / name)
            facts.update(_file(folder / name).facts)
            break
    return InfoResult(f"run folder {folder}", facts)


def _file(path: Path) -> InfoResult:
    """A model or encoder file."""
    said = read_about(path)
    about = said["about"]
    if said["kind"] == "classifier":
        classifier = load(path)
        model: SoundModel | PretrainedEncoder = classifier
        decision = classifier.decision
        title = f"classifier {path}"
        classes = said["classes"]
        shown = ", ".join(classes[:_MANY]) + (", ..." if len(classes) > _MANY else "")
        facts: dict[str, Any] = {"classes": Fact(classes, f"{len(classes)}: {shown}")}
        facts["labels per clip"] = "several" if said["multi_label"] else "one"
        facts["calibration"] = decision.calibration.text()
        facts["rules for unknown"] = ["energy", "noise"] if decision.unknown else []
        reached = [f"{k} {v:.2f}" for k, v in decision.thresholds.items()][:_MANY]
        facts["thresholds"] = Fact(dict(decision.thresholds), ", ".join(reached) or "none")
    else:
        model = load_encoder(path)
        title = f"pre-trained encoder {path}"
        facts = {"decoder": said.get("decoder", "none")}
    mel = MelOptions(**said["features"])
    facts = {"network": said["model"], **facts, **_size(model, model.encoder, mel)}
    facts["standardisation"] = said["standardize"]
    facts.update({key: about[key] for key in ("licence",) if about.get(key)})
    facts.update({key: about[key] for key in ("created", "commit", "seed") if key in about})
    origin = PublishedOrigin.of(about)
    if origin is not None:
        facts["published weights"] = f"{origin.title}: not from scratch, report it apart"
        facts["trained on before"] = origin.trained_on
        facts["source of weights"] = origin.source
        facts["licence of weights"] = origin.licence
    for role, words in ROLES.items():
        if isinstance(about.get(role), Mapping):
            part = DataPart.from_dict(about[role])
            if part.n_clips:
                facts[words.split(",")[0]] = f"{part.n_clips} clips of '{part.data}'"
    facts.update(_flat(about.get("measured", {})))
    return InfoResult(title, facts)


def _size(network: nn.Module, encoder: nn.Module, mel: MelOptions) -> dict[str, Any]:
    sizes = {"network": count_parameters(network), "encoder": count_parameters(encoder)}
    called = encoder if type(network) is PretrainedEncoder else network  # it has no decoder
    work = count_macs(called, mel.shape)
    return {
        "parameters": Fact(sizes, f"{sizes['network']:,} ({sizes['encoder']:,} encoder)"),
        "multiply-adds": Fact(work, f"{work / 1e6:.1f} million per window"),
        "input": Fact(
            to_dict(mel),
            f"{mel.duration:g} s at {mel.sample_rate} Hz, {mel.input} {_shape(mel.shape)} "
            "(channel x mel x frame)",
        ),
    }


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _flat(values: Any) -> dict[str, Any]:
    """The numbers and texts of a mapping, rounded; what is nested is left out."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name).replace("_", " "): Fact(value, f"{value:.4g}")
        if isinstance(value, float)
        else value
        for name, value in values.items()
        if isinstance(value, (int, float, str))
    }
