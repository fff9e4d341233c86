"""``find-rate``: try learning rates on the training clips, before a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semisonic.classifier.options import FindRateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.run_files import open_run, unreadable
from semisonic.classifier.strategy import asked_method
from semisonic.classifier.train import data_of, ready_training
from semisonic.classifier.training import check_has_rate, sweep_model
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.files import replacing, write_csv
from semisonic.core.text import Result
from semisonic.evaluation.plots.training import rate_sweep
from semisonic.evaluation.report.media import figure_png
from semisonic.training.rate_sweep import RateSweep

if TYPE_CHECKING:
    import pandas as pd

TABLE, FIGURE = "rates.csv", "rates.png"


@dataclass(frozen=True)
class FindRateResult(Result):
    """What ``find-rate`` found.

    Attributes
    ----------
    sweep : RateSweep
    figure : Path
    n_train : int
        Clips that were learned from.
    frozen : bool
        Whether the encoder was.
    notes : tuple of str
    failures : tuple of (str, str)
    remarks : tuple of (str, str)
    """

    sweep: RateSweep
    figure: Path
    n_train: int
    frozen: bool
    notes: tuple[str, ...]
    failures: Failures
    remarks: Failures

    def to_frame(self) -> pd.DataFrame:
        """A row per step: the learning rate, the loss, and its moving average."""
        import pandas as pd

        return pd.DataFrame(
            {"rate": self.sweep.rates, "loss": self.sweep.losses, "smoothed": self.sweep.smoothed}
        )

    def summary(self) -> str:
        """For a terminal."""
        sweep, what = self.sweep, "frozen encoder" if self.frozen else "whole network"
        lines = [
            f"{len(sweep.rates)} steps on {self.n_train} clips, {what}, learning rates "
            f"{sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}"
            + (": the loss exploded there" if sweep.stopped else "")
        ]
        if sweep.suggestion is None:
            lines.append(
                "the loss fell at none of them: give a smaller --lowest-rate, and see the figure"
            )
        else:
            lines.append(
                f"the loss was lowest at {sweep.rates[sweep.lowest]:.2g}; a tenth of that is a "
                f"good start: --learning-rate {sweep.suggestion:.2g}"
            )
            if not sweep.stopped and sweep.lowest == len(sweep.rates) - 1:
                lines.append("it was still falling at the end: give a larger --highest-rate")
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines.append(f"figure: {self.figure}")
        return "\n".join(lines)


def find_rate(options: FindRateOptions) -> FindRateResult:
    """Train for some steps with a rising learning rate, keep the losses and no weights.

    The method ``auto`` is a training here.

    ``rates.csv`` and ``rates.png`` are written into the run folder.

    Raises
    ------
    OptionError, DataError, ModelError
        As ``train`` does; and for the method probe.
    """
    if options.processes > 1:
        raise OptionError(
            f"option 'processes': found {options.processes}, but rates are tried by one "
            "process; leave it out"
        )
    check_has_rate(asked_method(options.model, options.method))
    clips = data_of(options, "find-rate")
    with open_run("find-rate", options) as run, open_engine(options.where) as engine:
        training = ready_training(options, clips, run, engine)
        ready = training.ready
        sweep = sweep_model(
            ready.config,
            ready.data,
            lowest=options.lowest_rate,
            highest=options.highest_rate,
            steps=options.sweep_steps,
            seed=options.seed,
            device=options.device,
            start=training.start,
        )
        frozen = bool(ready.config.fit.freeze_epochs)
        write_csv(
            run.path(TABLE),
            ["step", "learning_rate", "loss", "smoothed_loss"],
            [
                [step, f"{rate:.6g}", f"{loss:.6g}", f"{mean:.6g}"]
                for step, (rate, loss, mean) in enumerate(
                    zip(sweep.rates, sweep.losses, sweep.smoothed, strict=True)
                )
            ],
        )
        title = "Learning rates" + (", encoder frozen" if frozen else "")
        figure = rate_sweep(sweep.rates, sweep.losses, sweep.smoothed, sweep.suggestion, title)
        with replacing(run.path(FIGURE)) as part:
            part.write_bytes(figure_png(figure).png)
        run.note(suggestion=sweep.suggestion, lowest_at=sweep.rates[sweep.lowest])
    return FindRateResult(
        sweep,
        run.folder / FIGURE,
        ready.prepared.n_clips(ready.data.labelled),
        frozen,
        training.notes,
        ready.prepared.failures,
        ready.prepared.remarks,
    )
