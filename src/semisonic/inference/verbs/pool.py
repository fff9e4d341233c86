"""Which unlabelled recordings ``train`` may listen to."""

from __future__ import annotations

import numpy as np

from semisonic.base.errors import DataError
from semisonic.data.checks import CleanPool, clean_pool
from semisonic.data.clips import Clips
from semisonic.inference.datasets import load_data
from semisonic.inference.options import TrainOptions
from semisonic.inference.selection import Selection


def pool_of(options: TrainOptions, clips: Clips, chosen: Selection) -> CleanPool | None:
    """The recordings to pre-train on, without what is tested and what is trained on anyway.

    Raises
    ------
    DataError
        When nothing is left of them.
    """
    if options.unlabelled is None:
        return None
    pool = load_data(options.unlabelled, "none", options.group, "train", options.table)
    if pool.root.resolve() == clips.root.resolve():
        # Other clips of recordings that are tested, or that choose the epoch.
        apart = np.concatenate([chosen.test, chosen.validation])
        pool = pool[~np.isin(pool.group, clips.group[apart])]
    known = np.union1d(chosen.used, chosen.test)
    found = clean_pool(pool, clips[known], near=options.near_copies, workers=options.workers)
    if not len(found.clips):
        raise DataError(
            f"'{pool.name}': nothing is left to pre-train on: every clip is a copy of a labelled "
            "one, or of a recording that is tested. Name other recordings, or leave --unlabelled "
            "out"
        )
    return found
