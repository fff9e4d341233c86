"""The options of ``app``. No torch and no web framework here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.core.options import option


@dataclass(frozen=True)
class AppOptions:
    """A page in your browser: try a model, listen live, look at runs."""

    model: Path | None = option(
        None,
        "model file, or the run folder it lies in; one of those below --runs can be chosen "
        "on the page",
    )
    folder: tuple[Path, ...] = option(
        (), "folder of recordings that the page may open; nothing outside it is read"
    )
    project: Path | None = option(
        None, "folder of a project (see 'semisonic project new'), to listen and label in"
    )
    runs: Path = option(Path("runs"), "folder in which the page looks for models and reports")
    encoder: Path | None = option(
        None,
        "encoder that projects started on the page may use, such as a published one; see "
        "'semisonic convert'",
    )
    host: str = option(
        "127.0.0.1", "address to listen on; any other than this machine's own needs a token"
    )
    port: int = option(8765, "port; 0 for any that is free", minimum=0, maximum=65535)
    token: str = option(
        "", "word that a browser must know; made and printed if needed and not given"
    )
    browser: bool = option(True, "open the page in the browser")
    max_megabytes: float = option(
        1000.0, "largest file that the page takes", unit="MB", minimum=0.1, maximum=100_000.0
    )
    max_hours: float = option(12.0, "longest recording", unit="h", minimum=0.001, maximum=1000.0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
