"""Layer-wise training as a sequence of ordinary ones, each with a checkpoint of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from semisonic.features.frontend import Standardize
from semisonic.learning.objective import Objective
from semisonic.learning.reconstruction import LayerReconstruction, layer_decoder, put_together
from semisonic.models.pretrained import AutoEncoder
from semisonic.models.weights import initialise, undisturbed
from semisonic.training.devices import choose_device
from semisonic.training.loop import BatchStream, FitResult, fit
from semisonic.training.options import FitOptions

ValidateObjective = Callable[[Objective], Mapping[str, float]]


def fit_layers(
    autoencoder: AutoEncoder,
    standardize: Standardize,
    stream: BatchStream,
    options: FitOptions,
    *,
    layer_epochs: int,
    seed: int,
    device: str | torch.device = "cpu",
    validate: ValidateObjective | None = None,
    folder: Path | None = None,
) -> tuple[FitResult, ...]:
    """Train the encoder part by part and put the auto-encoder together.

    Parameters
    ----------
    autoencoder : AutoEncoder
        Its weights are the first weights; it carries the trained ones when this returns.
    standardize : Standardize
        Fitted.
    stream : BatchStream
        Batches without labels.
    options : FitOptions
        For every layer alike, but for the epochs.
    layer_epochs : int
        Epochs of each layer; 0 trains none and leaves everything as it is.
    validate : callable, optional
        Gets the objective of the layer at hand.
    folder : Path, optional
        Keeps a folder ``layer-1``, ``layer-2`` ... with a checkpoint each.

    Returns
    -------
    tuple of FitResult
        One a layer.

    Raises
    ------
    ModelError
        When the encoder cannot be cut into layers, or the decoder has skips past the code.
    """
    if not layer_epochs:
        return ()
    place, results = choose_device(device), []
    n_layers = len(autoencoder.encoder.part_plans)
    decoders = [layer_decoder(autoencoder, number) for number in range(n_layers)]
    for number, decoder in enumerate(decoders):
        with undisturbed():
            initialise(decoder, seed, f"layer {number + 1}.")
        layer = LayerReconstruction(autoencoder.encoder, number, decoder, standardize).to(place)
        results.append(
            fit(
                layer,
                {"unlabelled": stream},
                replace(options, epochs=layer_epochs, steps=0),
                seed=seed,
                device=place,
                validate=None if validate is None else partial(validate, layer),
                folder=None if folder is None else folder / f"layer-{number + 1}",
                label=f"layer {number + 1} of {n_layers}",
            )
        )
    put_together(autoencoder, [decoder.to(place) for decoder in decoders])
    return tuple(results)
