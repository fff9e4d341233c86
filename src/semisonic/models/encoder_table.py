"""General encoders by name, from ``encoders.toml``, and the files of downloaded ones.

Without torch, so that the command line can list them at once.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from semisonic.core.errors import ModelError
from semisonic.core.user_cache import user_cache

FOLDER = "encoders"
"""Folder in the user's cache."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""Pattern of the names of encoders."""
_TOLD = ("name", "title", "trained_on", "source", "licence")


@dataclass(frozen=True)
class GeneralEncoder:
    """A published encoder, or an ONNX file of the user.

    Attributes
    ----------
    name, title, use, licence, source, trained_on, page : str
    sample_rate : int
        Hz, of its input.
    dim : int
        Length of an embedding; 0 if unknown.
    url : str
        URL of its file.
    checksum : str
        ``"sha256:"`` and digits; empty if unknown.
    size : int
        Approximate bytes of the file; 0 if unknown.
    members : tuple of str
        The path to the weights within a zip.
    window : float
        Seconds per window of an ONNX graph of samples; 0 for a network of this package.
    tensor : str
        The embedding in an ONNX graph: its name, :data:`BEFORE_CLASSES`, or empty for its output.
    """

    name: str
    title: str
    sample_rate: int
    licence: str
    source: str
    trained_on: str
    use: str = ""
    page: str = ""
    dim: int = 0
    url: str = ""
    checksum: str = ""
    size: int = 0
    members: tuple[str, ...] = ()
    window: float = 0.0
    tensor: str = ""

    def told(self) -> dict[str, str]:
        """The description for its file, and for every model that starts from it."""
        return {part: str(value) for part, value in asdict(self).items() if part in _TOLD}


BEFORE_CLASSES = "before classes"
"""Value of ``tensor``: the input of the last dense layer."""
_TABLES = tomllib.loads(Path(__file__).with_name("encoders.toml").read_text(encoding="utf-8"))
ENCODERS = {
    name: GeneralEncoder(name=name, **{**about, "members": tuple(about.get("members", ()))})
    for name, about in _TABLES.items()
}


def encoder_place(name: str, suffix: str = ".encoder") -> Path:
    """The file of an encoder in the user's cache, which may not exist."""
    return user_cache() / FOLDER / f"{name}{suffix}"


def named_encoder(text: str) -> Path | None:
    """The file of the general encoder that a text names; None if it names none.

    Raises
    ------
    ModelError
        When it names one that is not downloaded yet.
    """
    if not NAME.fullmatch(text):
        return None
    if (place := encoder_place(text)).is_file():
        return place
    if text in ENCODERS:
        raise ModelError(
            f"the general encoder '{text}' is not on this machine (expected {place}); get it with: "
            f"semisonic encoder get {text}"
        )
    return None
