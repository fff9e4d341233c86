"""Where to compute."""

from __future__ import annotations

import os

import torch

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest

_KNOWN = ("auto", "cpu", "cuda", "cuda:0", "mps")


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device with this name, if it is there.

    Parameters
    ----------
    name : str or torch.device
        ``auto`` (the first graphics card that CUDA knows, else the processor), ``cpu``,
        ``cuda``, ``cuda:1`` and so on, or ``mps`` (Apple; only when asked for). Under
        ``torchrun``, ``auto`` and ``cuda`` give each process of a machine its own card.

    Raises
    ------
    OptionError
        When the name is unknown or this machine has no such device.
    """
    text = str(name)
    kind, _, number = text.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise OptionError(f"option 'device': found '{text}'; {nearest(text, _KNOWN)}")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        return _card(text, number or os.environ.get("LOCAL_RANK", "0"))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("option 'device': found 'mps', but this machine or torch has no Metal")
    return torch.device(kind)


def _card(text: str, number: str) -> torch.device:
    if not torch.cuda.is_available():
        raise OptionError(
            f"option 'device': found '{text}', but torch sees no CUDA card "
            f"(torch {torch.__version__}); use 'cpu', or install torch's CUDA build"
        )
    count = torch.cuda.device_count()
    if int(number) >= count:
        raise OptionError(
            f"option 'device': found '{text}' (card {number}), but this machine has {count} "
            f"CUDA card{'s' * (count != 1)}, numbered from 0; start no more processes than cards"
        )
    return torch.device("cuda", int(number))
