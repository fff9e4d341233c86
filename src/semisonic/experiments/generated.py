"""Generated patches of an experiment, as its report shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.evaluation.report import GeneratedPatches, Heard
from semisonic.experiments.job_folder import read_arrays
from semisonic.experiments.jobs import TrainJob
from semisonic.experiments.plan import Plan
from semisonic.experiments.worker import N_PATCHES
from semisonic.features import MelOptions
from semisonic.features.inversion import mel_to_wave

N_PLAYED = 3
"""Classes whose sounds are played."""

CLIPS = "clips"


def generated_patches(plan: Plan, jobs: Path, classes: tuple[str, ...]) -> GeneratedPatches | None:
    """Clips of each class and what each generator made after them; None without a generator.

    Of the first fold and draw. A generator that serves several settings is shown once.
    """
    shown = _first_jobs(plan)
    if not shown:
        return None
    mel = next(iter(shown.values())).setting.mel
    rows: dict[str, NDArray[Any]] = {}
    target = np.zeros(0, np.int64)
    for name, job in shown.items():
        arrays = read_arrays(jobs, job)
        if "made" not in arrays or job.setting.mel != mel:
            continue
        if not rows:
            target = np.unique(arrays["heard_class"])
            rows |= _in_rows(CLIPS, arrays["heard"], arrays["heard_class"])
        rows |= _in_rows(name, arrays["made"], arrays["made_class"])
    if not rows:
        return None
    names = [classes[one] for one in target]
    return GeneratedPatches(rows, names, _sounds(rows, names, mel))


def _first_jobs(plan: Plan) -> dict[str, TrainJob]:
    """For each generator, under its name, the first job of the first draw that has it."""
    found: dict[str, TrainJob] = {}
    seen = set()
    for cell, job in plan.cells:
        options = job.setting.generated
        if options.is_used and job.draw == 0 and options not in seen:
            seen.add(options)
            kind = options.generator.upper()
            found[kind if kind not in found else cell] = job
    return found


def _in_rows(name: str, values: NDArray[Any], target: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The first of every class, then the second, as rows of a picture; a class may have one."""
    rows = {}
    for number in range(N_PATCHES):
        places = [np.flatnonzero(target == one) for one in np.unique(target)]
        chosen = [place[min(number, len(place) - 1)] for place in places]
        rows[name + " " * number] = np.asarray(values[chosen], np.float32)
    return rows


def _sounds(rows: dict[str, NDArray[Any]], names: list[str], mel: MelOptions) -> list[Heard]:
    """Some columns as sounds, from the spectrograms alone."""
    found = []
    for column in range(min(N_PLAYED, len(names))):
        for name, values in rows.items():
            if name.endswith(" "):
                continue
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(column)
                wave = mel_to_wave(torch.from_numpy(values[column]).float(), mel)
            how = "a clip, from its bands" if name == CLIPS else f"made by {name}"
            found.append(Heard(wave.numpy(), mel.sample_rate, names[column], how))
    return found
