"""Changed copies of training clips as files in the cache: class-wise delay, pitch and stretch.

Paper: Piczak 2015. Where we differ: every copy draws its own change (the published code drew
a constant), and copies are made of a clip's samples once, so that what is cut into segments
afterwards is a whole clip that begins later.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from semisonic.audio import read, write
from semisonic.base.errors import AudioError
from semisonic.base.files import digest
from semisonic.base.progress import track
from semisonic.base.seeds import derive
from semisonic.data.clips import Clips
from semisonic.features.augment.wave import PICZAK_OTHERS, ClassWise, piczak_limits

_log = logging.getLogger(__name__)


def augmented_copies(
    clips: Clips, n: int, cache: Path, *, sample_rate: int, seed: int
) -> tuple[Clips, np.ndarray]:
    """Make the copies that are not there yet.

    Parameters
    ----------
    clips : Clips
        With one label each.
    n : int
        Copies of each clip.
    cache : Path
        Folder that the files are kept below: 16-bit flac at ``sample_rate``.
    sample_rate : int
        Hz.
    seed : int

    Returns
    -------
    copies : Clips
        Labels, groups and folds are those of the clips they were made from.
    source : ndarray of int64
        The row that each copy was made from. A clip that cannot be read has no copies.
    """
    limits = piczak_limits(clips.classes)
    change = ClassWise(sample_rate, clips.classes, limits, PICZAK_OTHERS)
    folder = cache / "copies" / digest(clips.root.resolve(), sample_rate, seed, limits)
    folder.mkdir(parents=True, exist_ok=True)
    target, ids = clips.target(), clips.ids
    files: list[str] = []
    source: list[int] = []
    for row in track(range(len(clips)), "copies", "clip"):
        end = float(clips.end_time[row])
        start = float(clips.start_time[row])
        stamp = Path(clips.paths[row]).stat() if Path(clips.paths[row]).is_file() else None
        key = digest(ids[row], clips.labels[row], stamp.st_mtime_ns if stamp else 0)
        names = [f"{key}-{k}.flac" for k in range(n)]
        missing = [k for k, name in enumerate(names) if not (folder / name).is_file()]
        if missing:
            try:
                x, _ = read(
                    clips.paths[row], sample_rate=sample_rate, start_time=start,
                    end_time=None if np.isnan(end) else end,
                )  # fmt: skip
            except AudioError as error:
                _log.warning("no copies of %s: %s", ids[row], error.reason)
                continue
            for k in missing:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(derive(seed, "copy", ids[row], k) % (1 << 31))
                    changed = change(torch.from_numpy(x)[None], torch.tensor([target[row]]))
                write(folder / names[k], changed[0].numpy(), sample_rate, overload="scale")
        files += names
        source += [row] * n
    rows = np.array(source, np.int64)
    copies = clips[rows].with_columns(
        file=np.array(files, dtype=np.str_), start_time=np.zeros(len(rows)),
        end_time=np.full(len(rows), np.nan), root=folder, name=f"{clips.name}, copies",
    )  # fmt: skip
    return copies, rows
