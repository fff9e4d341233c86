"""General encoders by name, from ``encoders.toml``, and where those that were fetched lie.

No torch here, so that the command line can list them at once.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from semisonic.core.errors import ModelError
from semisonic.core.user_cache import user_cache

FOLDER = "encoders"
"""In the user's cache."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""What the name of an encoder may be, also that of a user's own."""
_TOLD = ("name", "title", "trained_on", "source", "licence")


@dataclass(frozen=True)
class GeneralEncoder:
    """A published encoder, or an ONNX file of a user's.

    Attributes
    ----------
    name, title, use, licence, source, trained_on, page : str
    sample_rate : int
        Hz, of the samples it hears.
    dim : int
        Numbers in an embedding; 0 where that is not known.
    url : str
        Where its file is.
    checksum : str
        ``"sha256:"`` and digits; empty where it is not known.
    size : int
        Bytes of the file, about; 0 where that is not known.
    members : tuple of str
        The way to the weights where the file is a zip.
    window : float
        Seconds that an ONNX graph of samples takes at once; 0 for a network of this package.
    tensor : str
        The embedding in such a graph: its name, :data:`BEFORE_CLASSES`, or empty for its output.
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
        """What its file, and that of every model that starts from it, says of it."""
        return {part: str(value) for part, value in asdict(self).items() if part in _TOLD}


BEFORE_CLASSES = "before classes"
"""As a tensor: what the last dense layer of a graph reads."""
_TABLES = tomllib.loads(Path(__file__).with_name("encoders.toml").read_text(encoding="utf-8"))
ENCODERS = {
    name: GeneralEncoder(name=name, **{**about, "members": tuple(about.get("members", ()))})
    for name, about in _TABLES.items()
}


def encoder_place(name: str, suffix: str = ".encoder") -> Path:
    """The file of an encoder in the user's cache, which need not be there."""
    return user_cache() / FOLDER / f"{name}{suffix}"


def named_encoder(text: str) -> Path | None:
    """The file of the general encoder that a text names; None where the text names none.

    Raises
    ------
    ModelError
        When it names one that was not fetched yet.
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
