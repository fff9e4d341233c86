"""One number format for a whole run: probed once, written down, used by every job.

A probe in every job could come out differently from job to job, and then the two arms of a
comparison would not be alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from semisonic.base.files import digest, read_json, write_json
from semisonic.data.features_store import one_torch_thread
from semisonic.data.streams import Stream
from semisonic.experiments.material import WHOLE, Material
from semisonic.experiments.recipe import Recipe, Setting
from semisonic.features import MelOptions
from semisonic.inference.segment_options import SegmentOptions
from semisonic.learning import Supervised
from semisonic.models import build
from semisonic.training import FitOptions, Plan, probe_precision

FILE = "precision.json"


def settle_precision(recipe: Recipe, material: Material, folder: Path, device: str) -> Recipe:
    """The recipe with ``precision`` and ``channels_last`` decided where they say "auto".

    The choice lies in ``folder`` and is found there by a run that goes on.
    """
    file = folder / FILE
    chosen: dict[str, str] = read_json(file) if file.is_file() else {}
    known = dict(chosen)
    settings, controls = (
        tuple(_settled(setting, material, chosen, device) for setting in arm)
        for arm in (recipe.settings, recipe.controls)
    )
    if chosen != known:
        write_json(file, chosen)
    return replace(recipe, settings=settings, controls=controls)


def _settled(setting: Setting, material: Material, chosen: dict[str, str], device: str) -> Setting:
    if not setting.has_encoder:
        return setting
    pretrain, train = settled_fits(
        (setting.pretrain, setting.train), setting.architecture, setting.mel, chosen, device,
        material, setting.segments, setting.train.batch_size,
    )  # fmt: skip
    return replace(setting, pretrain=pretrain, train=train)


def settled_fits(
    options: Sequence[FitOptions],
    architecture: str,
    mel: MelOptions,
    chosen: dict[str, str],
    device: str,
    material: Material,
    segments: SegmentOptions = WHOLE,
    batch_size: int = 32,
) -> tuple[FitOptions, ...]:
    """Options of trainings of one network, all with the same number format.

    Parameters
    ----------
    chosen : dict of str to str
        What was probed before; what is probed now is put in.
    """
    if all("auto" not in (o.precision, o.channels_last) for o in options):
        return tuple(options)
    key = digest(architecture, mel, batch_size, device)
    if key not in chosen:
        chosen[key] = _probe(architecture, mel, segments, batch_size, material, device)
    plan = Plan.parse(chosen[key])
    return tuple(
        replace(
            o,
            precision=("bf16" if plan.bf16 else "fp32") if o.precision == "auto" else o.precision,
            channels_last=("on" if plan.channels_last else "off")
            if o.channels_last == "auto"
            else o.channels_last,
        )
        for o in options
    )


def _probe(
    architecture: str,
    mel: MelOptions,
    segments: SegmentOptions,
    batch_size: int,
    material: Material,
    device: str,
) -> str:
    table = material.table(mel, segments)
    classes = material.labelled.classes
    model = build(architecture, mel, classes, standardize="none", seed=0)
    target = np.zeros(table.shape[0], np.int64)
    stream = Stream(
        table.open(), np.arange(min(len(target), batch_size)), batch_size=batch_size, seed=0,
        target=target, device=torch.device(device),
    )  # fmt: skip
    with one_torch_thread():
        probe = probe_precision(Supervised(model).to(device), {"labelled": stream.at(0)})
    return probe.choice
