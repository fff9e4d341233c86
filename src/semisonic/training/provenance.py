"""What a result was computed with: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from semisonic.base.processors import n_processors

_PACKAGES = ("semisonic", "torch", "numpy", "soundfile", "soxr", "scikit-learn", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory and graphics cards."""
    return {
        "system": platform.platform(),
        "cpu": _processor(),
        "cores": n_processors(),
        "memory_gib": _memory_gib(),
        "gpu": _cards(),
    }


def commit() -> str | None:
    """The git commit of the package's own source, with '+' after it when files differ from it.

    None for an installed package, or without git.
    """
    here = Path(__file__).resolve().parent
    tracked = _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
    found = _git(here, "rev-parse", "HEAD") if tracked else None
    if not found:
        return None
    changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", "..")
    return found + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30, 1)


def _cards() -> list[str]:
    torch = sys.modules.get("torch")  # a command that never loaded it computed on no card
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
