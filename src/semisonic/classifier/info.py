"""``info``: describe a file, a run, an architecture or this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import Any

from torch import nn

from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.provenance import ROLES, DataPart, PublishedOrigin
from semisonic.core.errors import ModelError
from semisonic.core.files import read_json
from semisonic.core.options import check, to_dict
from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_macs, count_parameters, macs_text
from semisonic.models.model_file import load, load_encoder, read_about
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create, names
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import machine, versions

_WIDTH = 22
_MANY = 20  # classes named in full


@dataclass(frozen=True)
class InfoResult:
    """The result of ``info``: a title and facts, in order.

    Attributes
    ----------
    title : str
    facts : dict
        The values themselves, by name.
    texts : dict of str to str
        The texts that replace values on a terminal.
    """

    title: str
    facts: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The values by names without spaces."""
        names = (name.replace(" ", "_").replace("-", "_") for name in self.facts)
        return {"title": self.title, **dict(zip(names, self.facts.values(), strict=True))}

    def shown(self) -> dict[str, str]:
        """The facts as text."""
        found = {}
        for name, value in self.facts.items():
            if isinstance(value, float):
                value = f"{value:.4g}"
            elif isinstance(value, (list, tuple)):
                value = ", ".join(map(str, value))
            found[name] = self.texts.get(name, str(value)) or "none"
        return found

    def summary(self) -> str:
        """For a terminal."""
        shown = self.shown().items()
        return "\n".join([self.title, *(f"  {name:{_WIDTH}} {text}" for name, text in shown)])


def info(path: str = "", mel: MelOptions | None = None) -> InfoResult:
    """Describe a model, a run or an architecture; without a path, this machine.

    Parameters
    ----------
    path : str
        A model, an encoder, a run folder or an architecture.
    mel : MelOptions, optional
        The front end for which an architecture is shown.

    Returns
    -------
    InfoResult

    Raises
    ------
    ModelError
        If the path is not a model, a run folder or an architecture.
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
    network = nn.Sequential(body.encoder, body.neck)
    facts, texts = _size(network, body.encoder, mel)
    code = body.encoder.code_shape(*mel.shape[1:])
    facts |= {"code": code, "embedding": body.neck.out_features, "registered names": list(names())}
    texts["code"] = f"{_shape(code)} (channel x mel x frame)"
    texts["embedding"] = f"{body.neck.out_features} numbers"
    return InfoResult(f"architecture '{body.name}' (class layer not counted)", facts, texts)


def _machine() -> InfoResult:
    facts = {**machine(), **{f"version of {name}": v for name, v in versions().items()}}
    return InfoResult("this machine", facts)


def _run(folder: Path) -> InfoResult:
    """A run folder: its record, and the model in it."""
    if not (folder / "run.json").is_file():
        raise ModelError(
            f"{folder}: not a run folder, as it has no run.json; expected a run "
            "folder or a model file"
        )
    facts_of = (dict, EllipsisType)  # a run that stopped early has none yet
    entries: dict[str, type | tuple[type, ...]]
    entries = {"command": str, "data": facts_of, "notes": facts_of}
    record = read_json(folder / "run.json", entries)
    shown = ("command", "status", "started", "finished", "seconds", "commit", "error")
    facts = {name: record[name] for name in shown if record.get(name) is not None}
    facts |= {f"data {name}": value for name, value in record.get("data", {}).items()}
    facts |= _flat(record.get("notes", {}))
    texts: dict[str, str] = {}
    file = next((folder / name for name in (MODEL, ENCODER) if (folder / name).is_file()), None)
    if file is not None:
        found = _file(file)
        facts |= {"file": str(file), **found.facts}
        texts = found.texts
    return InfoResult(f"run folder {folder}", facts, texts)


def _file(path: Path) -> InfoResult:
    """A model or encoder file."""
    found = read_about(path)
    about, mel = found["about"], MelOptions(**found["features"])
    model: SoundModel | PretrainedEncoder
    if found["kind"] == "classifier":
        model = load(path)
        classes, decision, title = found["classes"], model.decision, f"classifier {path}"
        thresholds = dict(decision.thresholds)
        facts: dict[str, Any] = {
            "network": found["model"],
            "classes": classes,
            "labels per clip": "several" if found["multi_label"] else "one",
            "calibration": decision.calibration.text(),
            "rules for unknown": ["distance", "noise"] if decision.unknown else [],
            "thresholds": thresholds,
        }
        shown = ", ".join(classes[:_MANY]) + ", ..." * (len(classes) > _MANY)
        reached = [f"{name} {value:.2f}" for name, value in thresholds.items()][:_MANY]
        texts = {"classes": f"{len(classes)}: {shown}", "thresholds": ", ".join(reached) or "none"}
    else:
        model, title, texts = load_encoder(path), f"pre-trained encoder {path}", {}
        facts = {"network": found["model"], "decoder": found.get("decoder", "none")}
    sizes, more = _size(model, model.encoder, mel)
    facts |= {**sizes, "standardisation": found["standardize"]}
    facts |= {key: about[key] for key in ("licence",) if about.get(key)}
    facts |= {key: about[key] for key in ("created", "commit", "seed") if key in about}
    if (origin := PublishedOrigin.of(about)) is not None:
        facts["published weights"] = f"{origin.title}: not from scratch; report results separately"
        facts["trained on before"] = origin.trained_on
        facts["source of weights"] = origin.source
        facts["licence of weights"] = origin.licence
    for role, words in ROLES.items():
        part = DataPart.from_dict(about[role]) if isinstance(about.get(role), Mapping) else None
        if part is not None and part.n_clips:
            facts[words.split(",")[0]] = f"{part.n_clips} clips of '{part.data}'"
    return InfoResult(title, facts | _flat(about.get("measured", {})), texts | more)


def _size(
    network: nn.Module, encoder: nn.Module, mel: MelOptions
) -> tuple[dict[str, Any], dict[str, str]]:
    """Facts about the size and the input of a network, and their texts."""
    sizes = {"network": count_parameters(network), "encoder": count_parameters(encoder)}
    called = encoder if type(network) is PretrainedEncoder else network  # it has no decoder
    work = count_macs(called, mel.shape)
    front_end = (
        f"{mel.duration:g} s at {mel.sample_rate} Hz, {mel.input} {_shape(mel.shape)} "
        "(channel x mel x frame)"
    )
    return {"parameters": sizes, "multiply-adds": work, "input": to_dict(mel)}, {
        "parameters": f"{sizes['network']:,} ({sizes['encoder']:,} encoder)",
        "multiply-adds": macs_text(work),
        "input": front_end,
    }


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _flat(values: Any) -> dict[str, Any]:
    """The numbers and texts of a mapping, without nested values."""
    found = values.items() if isinstance(values, Mapping) else ()
    return {
        str(name).replace("_", " "): value
        for name, value in found
        if isinstance(value, (int, float, str))
    }
