"""``convert``: published weights to an encoder of ours, for ``train --encoder``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semisonic.base.options import check
from semisonic.base.result import Result
from semisonic.data.outputs import check_file
from semisonic.inference.options import ConvertOptions
from semisonic.inference.published import Origin
from semisonic.inference.verbs.runs import stamp
from semisonic.models import PretrainedEncoder, convert_published, count_parameters, save_encoder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ConvertResult(Result):
    """What ``convert`` made.

    Attributes
    ----------
    network : PretrainedEncoder
    encoder : Path
        Its file.
    origin : Origin
    """

    network: PretrainedEncoder
    encoder: Path
    origin: Origin

    def to_frame(self) -> pd.DataFrame:
        """One row: the network, its parameters, its file."""
        import pandas as pd

        return pd.DataFrame(
            {
                "network": [self.network.name],
                "parameters": [count_parameters(self.network)],
                "encoder": [str(self.encoder)],
            }
        )

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Nothing can fail in part."""
        return ()

    def summary(self) -> str:
        """For a terminal."""
        frontend = self.network.frontend
        lines = [f"{self.origin.title}, {count_parameters(self.network):,} parameters"]
        if frontend is not None:
            mel = frontend.options
            lines.append(f"input: {mel.duration:g} s at {mel.sample_rate} Hz, shorter clips padded")
        return "\n".join([*lines, *self.origin.facts(), f"encoder: {self.encoder}"])


def convert(options: ConvertOptions) -> ConvertResult:
    """Read published weights and write an encoder file; nothing in the weight file is run.

    Raises
    ------
    ModelError
        When the file is missing, damaged, needs code to be run, or is that of another network.
    OptionError
        When there is a file of the output's name.
    """
    check(options)
    check_file(
        options.output, "convert", (".encoder", ".zip"), inputs=[options.weights], again=False
    )
    network = convert_published(options.network, options.weights, duration=options.duration)
    save_encoder(options.output, network, about=stamp("convert", options))
    return ConvertResult(network, options.output, Origin.told(network.published))
