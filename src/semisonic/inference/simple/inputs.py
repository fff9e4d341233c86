"""What simple classifiers see of a clip: statistics of cepstra, of a spectrogram, or an embedding.

No sklearn and no torch at import: recipes read the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.features import CepstrumOptions, MelOptions

if TYPE_CHECKING:
    from semisonic.models import PretrainedEncoder

CEPSTRUM, MEL, EMBEDDING = "mfcc-zcr", "mel", "embedding"
INPUTS = (CEPSTRUM, MEL, EMBEDDING)
INPUTS_HELP = (
    "what a classifier sees of a clip: mfcc-zcr, 26 statistics of cepstra and zero crossings; "
    "mel, statistics of the spectrogram; embedding, what an encoder makes of it"
)


def front_of(inputs: str, mel: MelOptions) -> MelOptions | CepstrumOptions:
    """The front end whose features the inputs are made from."""
    if inputs == CEPSTRUM:
        return CepstrumOptions(mel.sample_rate, mel.duration)
    return mel


def vectors(
    inputs: str,
    features: Any,
    rows: NDArray[np.int64],
    *,
    encoder: PretrainedEncoder | None = None,
    mel: MelOptions | None = None,
) -> NDArray[np.float64]:
    """The numbers of some clips.

    Parameters
    ----------
    inputs : str
        One of :data:`INPUTS`.
    features : ndarray, shape (n, channel, mel, frame)
        Of the front end that :func:`front_of` names.
    rows : ndarray of int64
    encoder : PretrainedEncoder, optional
        For embeddings, with ``mel``, the front end it was trained behind.

    Returns
    -------
    ndarray of float64, shape (len(rows), d)

    Raises
    ------
    OptionError
        When an embedding is asked for without an encoder.
    """
    if inputs == EMBEDDING:
        if encoder is None or mel is None:
            raise OptionError("inputs 'embedding': found no encoder to embed with")
        return _embedded(encoder, mel, features, rows)
    if inputs == CEPSTRUM:
        return np.asarray(features[rows], np.float64).reshape(len(rows), -1)
    from semisonic.features import mel_statistics

    return mel_statistics(features[rows]).astype(np.float64)


def _embedded(
    encoder: PretrainedEncoder, mel: MelOptions, features: Any, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    from semisonic.inference.pretext_objectives import frontend_of
    from semisonic.inference.scoring import embed_rows
    from semisonic.models import build, transfer

    known = frontend_of(encoder).standardize
    model = build(encoder.name, mel, ("a", "b"), standardize=known.kind)
    transfer(encoder, model, statistics="own")
    model.frontend.standardize.load_state_dict(known.state_dict())
    return embed_rows(model, features, rows)
