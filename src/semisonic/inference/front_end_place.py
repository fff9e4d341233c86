"""Where spectrograms are computed: before training, or in the batch."""

from __future__ import annotations

import torch

from semisonic.training import choose_device


def in_batch_device(in_batch: str, device: str | torch.device) -> torch.device | None:
    """The device on which spectrograms are computed batch by batch; None: once, before.

    Parameters
    ----------
    in_batch : {"auto", "yes", "no"}
        Auto: on a graphics card of CUDA only. On a processor a spectrogram takes longer than a
        step of a small network, and features that are kept are read in microseconds.
    device : str or torch.device
        Where the network is trained; see :func:`semisonic.training.choose_device`.
    """
    place = choose_device(device)
    wanted = in_batch == "yes" or (in_batch == "auto" and place.type == "cuda")
    return place if wanted else None
