"""``embed``: recordings to vectors."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from semisonic.audio.remote import shown, url_of
from semisonic.base.errors import OptionError
from semisonic.base.options import check
from semisonic.base.wording import counted, duration
from semisonic.data.outputs import check_folder, placed
from semisonic.labeling.embed_options import EmbedOptions
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import STORE, EmbeddingIndex
from semisonic.labeling.making import BAD_FILES, make_index
from semisonic.labeling.naming import Failures


@dataclass(frozen=True)
class EmbedResult:
    """What ``embed`` did.

    Attributes
    ----------
    index : EmbeddingIndex
    n_clips, n_new : int
        Clips named; those of them that were embedded now.
    failures : tuple of (str, str)
    seconds : float
    place : Path
        The folder of the index, or its URL; then ``index`` was read from a copy that is gone.
    """

    index: EmbeddingIndex
    n_clips: int
    n_new: int
    failures: Failures
    seconds: float
    place: Path

    def summary(self) -> str:
        """For a terminal."""
        index = self.index
        clips = (
            f"{counted(self.n_clips, 'clip')}: {self.n_new} embedded in {duration(self.seconds)}"
        )
        if self.n_clips > self.n_new:
            clips += f", {self.n_clips - self.n_new} were there"
        files = counted(len(set(index.clips.file.tolist())), "recording")
        lines = [clips, f"{counted(len(index), 'row')} of {index.dim} numbers, {files}"]
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read: see {BAD_FILES}")
        lines.append(f"index: {shown(self.place)}")
        return "\n".join(lines)


def run_embed(options: EmbedOptions) -> EmbedResult:
    """Make an index, or add to one what it does not hold.

    Raises
    ------
    DataError
        When no file is found.
    ModelError
        When the model file is missing or damaged.
    OptionError
        When the folder holds something else, or an index of another model or other windows.
    """
    check(options)
    began = time.perf_counter()
    if url_of(options.output) and not all(map(url_of, options.files)):
        raise OptionError(
            "output: found a URL, but recordings of this machine, which an index names from its "
            "folder; give a folder, or recordings by their URLs"
        )
    if not url_of(options.output):
        check_folder(options.output, "an index", {STORE})
    embedder = open_embedder(options.model)
    with placed(options.output) as folder:
        made = make_index(embedder, options.files, dataclasses.replace(options, output=folder))
    return EmbedResult(
        made.index, made.n_clips, made.n_new, made.failures, time.perf_counter() - began,
        options.output,
    )  # fmt: skip
