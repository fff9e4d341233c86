"""From the name of a pre-training objective and its options to what is minimised."""

from __future__ import annotations

import dataclasses

from torch import nn

from semisonic.base.errors import ModelError, OptionError
from semisonic.features import Frontend, MelOptions
from semisonic.features.augment import OWN, OwnView, TimeCrop, augmenter, preset
from semisonic.features.options import WAVE
from semisonic.inference import pretext
from semisonic.inference.pretext import PretextOptions
from semisonic.learning import (
    Byol,
    Denoising,
    Masked,
    Objective,
    Reconstruction,
    SimClr,
    TwoViews,
    VicReg,
)
from semisonic.models import (
    AutoEncoder,
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
    create,
)

BACKGROUND_SNR_DB = (0.0, 20.0)
"""Range of the ratio of a view to another clip beneath it."""


def build_network(
    objective: str, model: str, mel: MelOptions, *, decoder: str, standardize: str, seed: int
) -> PretrainedEncoder:
    """The network that an objective trains: an auto-encoder, or an encoder alone.

    Its standardisation is still to be fitted.
    """
    if objective in pretext.WITHOUT_DECODER:
        return build_encoder(model, mel, standardize=standardize, seed=seed)
    chosen = choose_decoder(decoder, model, mel)
    return build_autoencoder(model, mel, decoder=chosen, standardize=standardize, seed=seed)


def build_objective(
    objective: str, network: PretrainedEncoder, options: PretextOptions, seed: int
) -> Objective:
    """The objective that trains a network made by :func:`build_network`.

    For layer-wise training it is the one after the layers, for the whole auto-encoder.

    Raises
    ------
    OptionError
        When an option was changed that the objective does not read.
    """
    options.check_for(objective)
    if isinstance(network, AutoEncoder):
        return _of_an_autoencoder(objective, network, options)
    return _of_two_views(objective, network, options, seed)


def _of_an_autoencoder(objective: str, network: AutoEncoder, o: PretextOptions) -> Reconstruction:
    standardize = frontend_of(network).standardize
    if objective == pretext.DENOISING:
        return Denoising(network, standardize, noise_db=o.noise_db, cell_dropout=o.cell_dropout)
    if objective == pretext.MASKED:
        return Masked(
            network, standardize, mask_share=o.mask_share, patch_mels=o.patch_mels,
            patch_frames=o.patch_frames, masked_only=o.masked_only,
        )  # fmt: skip
    return Reconstruction(network, standardize)


def _of_two_views(
    objective: str, network: PretrainedEncoder, o: PretextOptions, seed: int
) -> TwoViews:
    frontend = frontend_of(network)
    encoder, standardize = network.encoder, frontend.standardize
    view = build_view(o, frontend.options)
    if objective == pretext.BYOL:
        return Byol(
            encoder, standardize, view, projection=o.projection, target_decay=o.target_decay,
            predictor=o.predictor, seed=seed,
        )  # fmt: skip
    if objective == pretext.SIMCLR:
        return SimClr(
            encoder, standardize, view, projection=o.projection, temperature=o.contrast_temperature,
            seed=seed,
        )  # fmt: skip
    return VicReg(
        encoder, standardize, view, projection=o.projection, invariance=o.invariance,
        variance=o.variance, covariance=o.covariance, seed=seed,
    )  # fmt: skip


def build_view(options: PretextOptions, mel: MelOptions) -> nn.Module:
    """The module that makes a random view of each clip: a part of it, changed.

    Raises
    ------
    OptionError
        For waveforms, whose views are not made for comparing.
    """
    if mel.input == WAVE:
        raise OptionError(
            "option 'objective': comparing views of clips is made for spectrograms, and this "
            "network hears the waveform; give the objective 'none' and the method 'supervised'"
        )
    low, high = BACKGROUND_SNR_DB
    own = options.views in OWN
    changes = dataclasses.replace(
        preset("none" if own else options.views, mel),
        background=options.view_background,
        snr_min_db=low,
        snr_max_db=high,
        crop_bands=int(options.view_crop * mel.n_mels),
    )
    steps: list[nn.Module] = [OwnView(options.views)] if own else []
    steps.append(augmenter(changes, mel))
    if options.view_share < 1:
        steps.insert(0, TimeCrop(mel, options.view_share * mel.duration))
    return nn.Sequential(*steps)


def frontend_of(network: PretrainedEncoder) -> Frontend:
    """The front end that an encoder was made with.

    Raises
    ------
    ModelError
        When it was made without one.
    """
    if network.frontend is None:
        raise ModelError(
            "this encoder does not know the front end of its features; make it with "
            "build_encoder or build_autoencoder, or load it from a file"
        )
    return network.frontend


def choose_decoder(decoder: str, model: str, mel: MelOptions) -> str:
    """The decoder asked for; ``auto`` is un-pooling where the encoder can, else up-sampling."""
    if decoder != "auto":
        return decoder
    return "unpool" if create(model, mel.shape).encoder.has_switches else "upsample"
