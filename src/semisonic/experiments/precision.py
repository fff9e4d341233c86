"""One number format for a whole run: probed once, written down, used by every job.

A probe in every job could come out differently from job to job, and then the two arms of a
comparison would not be alike.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from semisonic.base.files import digest, read_json, write_json
from semisonic.data.streams import Stream
from semisonic.experiments.material import Material
from semisonic.experiments.recipe import Recipe, Setting
from semisonic.learning import Supervised
from semisonic.models import build
from semisonic.training import Plan, probe_precision

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
    options = (setting.pretrain, setting.train)
    if not setting.has_encoder:
        return setting
    if all("auto" not in (o.precision, o.channels_last) for o in options):
        return setting
    key = digest(setting.architecture, setting.mel, setting.train.batch_size, device)
    if key not in chosen:
        chosen[key] = _probe(setting, material, device)
    plan = Plan.parse(chosen[key])
    decided = [
        replace(
            o,
            precision=("bf16" if plan.bf16 else "fp32") if o.precision == "auto" else o.precision,
            channels_last=("on" if plan.channels_last else "off")
            if o.channels_last == "auto"
            else o.channels_last,
        )
        for o in options
    ]
    return replace(setting, pretrain=decided[0], train=decided[1])


def _probe(setting: Setting, material: Material, device: str) -> str:
    table = material.table(setting.mel, setting.segments)
    classes = material.labelled.classes
    model = build(setting.architecture, setting.mel, classes, standardize="none", seed=0)
    target = np.zeros(table.shape[0], np.int64)
    stream = Stream(
        table.open(), np.arange(min(len(target), setting.train.batch_size)),
        batch_size=setting.train.batch_size, seed=0, target=target, device=torch.device(device),
    )  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        probe = probe_precision(Supervised(model).to(device), {"labelled": stream.at(0)})
    finally:
        torch.set_num_threads(threads)
    return probe.choice
