"""What ``export`` made, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semisonic.base.result import Result
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.parity import Parity
from semisonic.inference.exporting.speed import Form
from semisonic.inference.exporting.telling import parity_lines
from semisonic.models import SoundModel

_HEADS = ("form", "MB", "ms a clip", "x real time")


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExportResult(Result):
    """A file and what is known of it.

    Attributes
    ----------
    model : SoundModel
        The original.
    file, card : Path
    kind : {"audio", "features"}
    fixed : str
        Why clips have one length; empty if the file takes longer ones.
    parity : Parity or None
        The comparison; None without.
    forms : tuple of Form
        Size and speed of the model and its files; empty if not measured.
    notes : tuple of str
    failures : tuple of (str, str)
        Recordings that could not be read, with reasons.
    """

    model: SoundModel
    file: Path
    card: Path
    kind: str
    fixed: str
    parity: Parity | None
    forms: tuple[Form, ...]
    notes: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]

    def to_frame(self) -> pd.DataFrame:
        """A row a form, the model itself and its files: size and speed; empty if not measured."""
        import pandas as pd

        return pd.DataFrame(
            [(one.name, one.n_bytes, one.milliseconds, one.real_time) for one in self.forms],
            columns=["name", "n_bytes", "milliseconds", "real_time"],
        )

    def summary(self) -> str:
        """For a terminal."""
        mel, n = self.model.mel, len(self.model.classes)
        more = "" if self.fixed else " or longer"
        what = "audio" if self.kind == AUDIO else "features of audio"
        lines = [
            f"{self.file}: {what}, {mel.duration:g} s{more} at {mel.sample_rate} Hz, to scores of "
            f"{n} {'class' if n == 1 else 'classes'}"
        ]
        lines += [f"model card: {self.card}", *self.notes]
        if self.fixed:
            lines.append(f"clips of one length: {self.fixed}")
        if self.parity is None:
            lines.append("not compared with the model")
        else:
            lines += [f"compared: {line}" for line in parity_lines(self.parity, self.model)]
        if self.forms:
            lines += ["", f"one clip of {mel.duration:g} s at a time, one thread:", *self._table()]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        rows = [_HEADS]
        for form in self.forms:
            megabytes, times = f"{form.n_bytes / 1e6:.2f}", f"{form.real_time:,.0f}"
            rows.append((form.name, megabytes, f"{form.milliseconds:.2f}", times))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join(
                text.rjust(width) if place else text.ljust(width)
                for place, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
