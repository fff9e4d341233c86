"""One clip to its windows, each with its row of the table. No draw depends on another clip."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semisonic.audio import write
from semisonic.base.seeds import generator
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.mixing.adding import add_sound, place_sound, rms
from semisonic.data.mixing.backgrounds import Backgrounds
from semisonic.data.mixing.cutting import Wave, read_sound
from semisonic.data.mixing.options import MixOptions

COLUMNS = (
    "file", "label", "group", "fold", "label_type", "source", "event_start", "event_end", "snr_db",
    "background", "background_start",
)  # fmt: skip
Row = dict[str, Any]
_TRIES = 20


@dataclass
class Made:
    """What became of one task: rows of the table, or why there is none."""

    rows: list[Row] = field(default_factory=list)
    left_out: str = ""
    n_scaled: int = 0


@dataclass(frozen=True, eq=False)
class WindowMaker:
    """Makes and writes windows below ``root``.

    ``part_of`` says for each fold which part of the backgrounds it hears.
    """

    root: Path
    clips: Clips
    options: MixOptions
    backgrounds: Backgrounds
    part_of: dict[int, int]

    def of_clip(self, row: int) -> Made:
        """The windows of one clip.

        Raises
        ------
        AudioError
            When the clip cannot be decoded.
        """
        options, clips = self.options, self.clips
        sound = read_sound(clips, row, options.sample_rate, options.cutting)
        if isinstance(sound, str):
            return Made(left_out=sound)
        made, name = Made(), self.clips[row].ids[0]
        fold = int(clips.fold[row])
        for copy in range(options.copies):
            mixed = self._mixed(sound, name, copy, fold)
            if mixed is None:
                return Made(left_out="mostly digital silence")
            wave, about = mixed
            label = LABEL_SEPARATOR.join(clips.labels[row])
            file = f"{_name(label)}-{row:06d}-{copy}.wav"
            made.n_scaled += self._write(file, wave)
            made.rows.append(
                {"file": file, "label": label, "group": str(clips.group[row]), "fold": fold,
                 "label_type": str(clips.label_type[row]), "source": name, **about}
            )  # fmt: skip
        return made

    def of_background(self, number: int, fold: int) -> Made:
        """A window of nothing but background."""
        options = self.options
        rng = generator(options.seed, "background window", number)
        quiet = self.backgrounds.draw(rng, self.part_of[fold])
        file = f"{_name(options.background_label)}-{number:06d}.wav"
        n_scaled = self._write(file, quiet.wave)
        row = {"file": file, "label": options.background_label,
               "group": f"background {quiet.group}", "fold": fold, "label_type": "positive",
               **_from_background(quiet.name, quiet.start)}  # fmt: skip
        return Made([row], n_scaled=n_scaled)

    def _mixed(self, sound: Wave, name: str, copy: int, fold: int) -> tuple[Wave, Row] | None:
        """A window with the sound in it; None when the sound is silence nearly everywhere."""
        options, rate = self.options, self.options.sample_rate
        rng = generator(options.seed, "window", name, copy)
        quiet = self.backgrounds.draw(rng, self.part_of[fold])
        low_db, high_db = options.snr_db
        snr_db = float(rng.uniform(low_db, high_db))
        for _ in range(_TRIES):
            first, end, at = place_sound(rng, len(sound), len(quiet.wave))
            heard = add_sound(quiet.wave, sound[first:end], at, snr_db, rms(quiet.wave), rate)
            if heard is not None:
                about = {
                    "event_start": f"{heard[0] / rate:.4f}",
                    "event_end": f"{heard[1] / rate:.4f}",
                    "snr_db": f"{snr_db:.2f}",
                }
                return quiet.wave, about | _from_background(quiet.name, quiet.start)
        return None

    def _write(self, file: str, wave: Wave) -> int:
        """Write a window; 1 if it had to be made quieter as a whole to fit into a file."""
        write(self.root / file, wave, self.options.sample_rate, overload="scale")
        return int(abs(wave).max() > 1)


def _from_background(name: str, start: float) -> Row:
    return {"background": name, "background_start": f"{start:.3f}"}


def _name(label: str) -> str:
    """A part of a file's name made of a label, on any file system."""
    return re.sub(r"[^\w-]+", "_", label).strip("_") or "sound"
