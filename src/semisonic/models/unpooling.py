"""Un-pooling: pooled values go back to the places they came from, all else is zero.

After Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks". The
seed made the mask as a gradient of a gradient, in Theano only, for windows as large as their
step; several places could be marked when values tied. Here the places come from the pooling
itself: exactly one per window, for any window and step, on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from semisonic.models.architecture import Size
from semisonic.models.plan import DownStep


def max_unpool(pooled: Tensor, switches: Tensor, step: DownStep, size: Size) -> Tensor:
    """Undo a max-pool.

    Parameters
    ----------
    pooled : Tensor, shape (batch, channel, mel, frame)
        One value a window.
    switches : Tensor of int64, same shape
        Place of each window's maximum, counted through the flattened map of ``size``.
    step : DownStep
        The pool.
    size : (mel, frame)
        Size of the map before pooling; rows and columns that no window reached stay zero.

    Returns
    -------
    Tensor, shape (batch, channel, *size)
        A place that is the maximum of several overlapping windows gets their mean, so that
        un-pooling pooled values restores each maximum.
    """
    if step.overlaps:
        return _mean_at(pooled, switches, size)
    if torch.are_deterministic_algorithms_enabled():
        return _at(pooled, switches, size)  # the kernel below refuses; here no place repeats
    return F.max_unpool2d(pooled, switches, step.size, step.stride, output_size=size)


def _at(pooled: Tensor, switches: Tensor, size: Size) -> Tensor:
    batch, channels = pooled.shape[:2]
    flat = pooled.new_zeros(batch, channels, size[0] * size[1])
    return flat.scatter(2, switches.flatten(2), pooled.flatten(2)).view(batch, channels, *size)


def _mean_at(pooled: Tensor, switches: Tensor, size: Size) -> Tensor:
    batch, channels = pooled.shape[:2]
    places, values = switches.flatten(2), pooled.flatten(2)
    empty = pooled.new_zeros(batch, channels, size[0] * size[1])
    total = empty.scatter_add(2, places, values)
    with torch.no_grad():
        count = empty.scatter_add(2, places, torch.ones_like(values)).clamp_(min=1)
    return (total / count).view(batch, channels, *size)
