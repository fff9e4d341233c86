"""The model card: what a person should know before using a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semisonic.models.autoencoder import AutoEncoder
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import SoundModel

_LONGEST = 300
LICENCE = "licence"
"""The entry of ``about`` that says on what terms a model is given away."""


def write_card(model: SoundModel | PretrainedEncoder, about: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    frontend = model.frontend
    lines = [f"# {_title(model)}", ""]
    lines += [f"- Network: `{model.name}`"]
    if isinstance(model, AutoEncoder):
        lines += [f"- Decoder: `{model.decoder_name}`"]
    lines += [f"- Parameters: {count_parameters(model):,}"]
    if frontend is not None:
        options = frontend.options
        macs = count_macs(model, options.shape) / 1e6
        lines += [
            f"- Multiply-adds for {options.duration:g} s: {macs:.1f} million",
            f"- Input: mono at {options.sample_rate} Hz, {options.duration:g} s; {options.input} "
            f"{' x '.join(map(str, options.shape))} (channel x mel x frame)",
            f"- Standardisation: {frontend.standardize.kind}"
            + ("" if frontend.standardize.is_fitted else ", **not fitted**"),
        ]
    if isinstance(model, SoundModel):
        kind = "any number per clip" if model.multi_label else "one per clip"
        lines += ["", f"## Classes ({len(model.classes)}, {kind})", ""]
        lines += [", ".join(_plain(name) for name in model.classes)]
        lines += ["", "## Scores", "", *_scores(model)]
    lines += ["", "## Licence", "", *_licence(about)]
    lines += ["", "## About", ""]
    told = {key: value for key, value in about.items() if key != LICENCE}
    lines += [f"- {_plain(key)}: {_plain(value)}" for key, value in told.items()] or [
        "Nothing was recorded."
    ]
    lines += ["", "## Limits", ""]
    if isinstance(model, SoundModel):
        says = (
            "says of a sound that is like none of them that it is unknown, which it cannot always "
            "tell"
            if model.decision.unknown.parts
            else "always ranks them, also for a sound that is none of them"
        )
        lines += [
            f"It knows only the classes above and {says}. Measure it on recordings of the place "
            "where it will be used: other microphones, distances and backgrounds change the "
            "result."
        ]
    else:
        lines += [
            "It does not classify. Its encoder is a start for training a classifier on features "
            "of the same front end."
        ]
    return "\n".join(lines) + "\n"


def _scores(model: SoundModel) -> list[str]:
    """What has become of the scores, and from which on a class is named."""
    decision = model.decision
    if decision.is_empty:
        return ["As the network learned to give them: not calibrated, no thresholds."]
    rules = ", ".join(decision.unknown.names)
    lines = [f"- Calibration: {decision.calibration.text()}"]
    if rules:
        share = f"{100 * decision.unknown.kept:g} % of known sounds should pass"
        rules = f"{rules} ({share})"
    lines += [f"- Rules for unknown sounds: {rules or 'none'}"]
    if decision.thresholds:
        lines += ["- Named from a score of:"]
        lines += [f"    - {_plain(k)}: {v:.3f}" for k, v in decision.thresholds.items()]
    lines += [f"- {_plain(k)}: {_plain(v)}" for k, v in decision.note.items()]
    return lines


def _licence(about: Mapping[str, Any]) -> list[str]:
    """The terms of the model, and of what it started from."""
    given = _plain(about.get(LICENCE, ""))
    lines = [given or "None was stated: ask whoever made the model before you pass it on."]
    published = about.get("published_weights")
    if isinstance(published, Mapping) and published.get("licence"):
        lines += ["", f"It starts from published weights: {_plain(published['licence'])}"]
    return lines


def _title(model: SoundModel | PretrainedEncoder) -> str:
    if isinstance(model, SoundModel):
        return "Sound classifier"
    return "Pre-trained auto-encoder" if isinstance(model, AutoEncoder) else "Pre-trained encoder"


def _plain(value: object) -> str:
    """One line of text, cut where it is longer than people read (lists of hashes)."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
