"""Pre-trained encoders, alone or as auto-encoders, and transfer from them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.core.options import to_dict
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.decoders import Decoder
from semisonic.models.encoder import Encoder, MirroredEncoder, Trace
from semisonic.models.necks import Neck
from semisonic.models.registry import create, register_instance
from semisonic.models.sound_model import SoundModel
from semisonic.models.weights import initialise, undisturbed


class PretrainedEncoder(nn.Module):
    """An encoder with the front end of its training.

    It cannot be called: :meth:`encode` returns the code. An :class:`AutoEncoder` also has a
    decoder, and calling it returns the reconstruction.

    Parameters
    ----------
    encoder : Encoder
        Its weights are not changed.
    frontend : Frontend
        The front end of its features.
    name : str
        The registered name or the architecture of the encoder.
    neck : Neck or None
        For a published network: its trained layers between the map and the embedding.

    Attributes
    ----------
    published : mapping
        Origin of its weights, if it started from published ones, which were trained with other
        people's labels. It is kept in its file and in models trained from it; empty otherwise.
    """

    def __init__(
        self, encoder: Encoder, frontend: Frontend, name: str, *, neck: Neck | None = None
    ) -> None:
        super().__init__()
        self.frontend, self.encoder, self.name, self.neck = frontend, encoder, name, neck
        self.published: Mapping[str, Any] = {}

    @property
    def mel(self) -> MelOptions:
        """The parameters of the front end."""
        return self.frontend.options

    def encode(self, x: Tensor) -> Tensor:
        """The code of standardised features (batch, channel, mel, frame).

        Returns
        -------
        Tensor, shape (batch, out_channels, fewer mel, fewer frames)
        """
        code: Tensor = self.encoder(x)
        return code


def build_encoder(
    network: str | nn.Module, mel: MelOptions, *, standardize: str = "global", seed: int = 0
) -> PretrainedEncoder:
    """Build an encoder with its front end: a new one for pre-training, or a network trained
    elsewhere.

    A new one has the initial weights that :func:`semisonic.models.sound_model.build` gives the
    same network with the same seed. Dense layers of an architecture are not part of it.

    Parameters
    ----------
    network : str or nn.Module
        A registered name or an architecture; or a network of your own, see
        :func:`semisonic.register`, which is copied with its weights.
    mel : MelOptions
        With ``input="wave"`` the network reads samples, (batch, 1, 1, time).
    standardize : {"global", "mel", "none"}
        Fit ``frontend.standardize`` on the training features before training; for a network
        trained elsewhere use "none".
    seed : int
        Seed of the initial weights.

    Raises
    ------
    ModelError
        For a network that does not fit the features.

    Examples
    --------
    An encoder of samples that was learned elsewhere, for ``SoundClassifier(encoder=...)`` and
    :func:`semisonic.embed`:

    >>> import semisonic
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16000, 32))
    >>> wave = semisonic.MelOptions(input="wave", sample_rate=16000, duration=1.0)
    >>> encoder = semisonic.build_encoder(network, wave, standardize="none")
    """
    name = network if isinstance(network, str) else register_instance(network)
    with undisturbed(seed):
        body = create(name, mel.shape)
        initialise(body.encoder, seed, "encoder.")
        frontend = Frontend(mel, standardize)
    return PretrainedEncoder(body.encoder, frontend, body.name)


class AutoEncoder(PretrainedEncoder):
    """Reconstructs standardised features from the encoder's code.

    With the paper's encoder and ``unpool`` it has the published 150 977 parameters.

    Parameters
    ----------
    encoder, frontend, name
        As for :class:`PretrainedEncoder`.
    decoder : {"unpool", "upsample", "subpixel", "unet"}
        See :mod:`semisonic.models.decoders`.
    seed : int
        Seed of the decoder's initial weights.

    Raises
    ------
    ModelError
        For an encoder without a mirror image, or without switches for "unpool".
    """

    encoder: MirroredEncoder

    def __init__(
        self,
        encoder: Encoder,
        frontend: Frontend,
        name: str,
        *,
        decoder: str = "unpool",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, frontend, name)
        self.decoder_name = decoder
        if not isinstance(encoder, MirroredEncoder):
            raise ModelError(
                f"'{name}' cannot be an auto-encoder: only the notation, 'small', 'tiny' and "
                "'base' have decoders; pre-train it without one ('simclr')"
            )
        if decoder == "unpool" and not encoder.has_switches:
            raise ModelError(
                f"'{name}' does not record positions of maxima, which un-pooling needs; use the "
                "decoder 'upsample', 'subpixel' or 'unet'"
            )
        with undisturbed():
            self.decoder = Decoder(encoder.plan, decoder)
            initialise(self.decoder, seed, "decoder.")

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            Standardised features.

        Returns
        -------
        Tensor, same shape
        """
        record = Trace(self.decoder.needs_switches, self.decoder.needs_maps)
        reconstruction: Tensor = self.decoder(self.encoder(x, record=record), record)
        return reconstruction

    def reconstruct(self, features: Tensor) -> Tensor:
        """The reconstruction in dB of features in dB, both (batch, channel, mel, frame)."""
        standardize = self.frontend.standardize
        return standardize.inverse(self(standardize(features)))


def build_autoencoder(
    name_or_notation: str,
    mel: MelOptions,
    *,
    decoder: str = "unpool",
    standardize: str = "global",
    seed: int = 0,
) -> AutoEncoder:
    """Build a new auto-encoder with its front end.

    Its encoder has the initial weights that :func:`semisonic.models.sound_model.build` gives the
    same network with the same seed. Dense layers of an architecture are not part of it.

    Parameters
    ----------
    name_or_notation : str
        A registered name or an architecture.
    mel : MelOptions
    decoder : {"unpool", "upsample", "subpixel", "unet"}
    standardize : {"global", "mel", "none"}
        Fit ``frontend.standardize`` on the training features before training.
    seed : int
        Seed of the initial weights.

    Raises
    ------
    ModelError
        For a network that does not fit the features or the decoder.
    """
    plain = build_encoder(name_or_notation, mel, standardize=standardize, seed=seed)
    return AutoEncoder(plain.encoder, plain.frontend, plain.name, decoder=decoder, seed=seed)


def transfer(
    pretrained: PretrainedEncoder,
    model: SoundModel | PretrainedEncoder,
) -> None:
    """Copy the weights of an encoder to a classifier, or to an encoder for further training.

    Parameters
    ----------
    pretrained : PretrainedEncoder
        It is not changed.
    model : SoundModel or PretrainedEncoder
        The weights of its encoder and the statistics of its features are overwritten; neck and
        head, or the decoder, are kept. From a published encoder, the neck and the origin of the
        weights are copied, too.

    Raises
    ------
    ModelError
        When the encoders or the front ends differ, or the statistics are missing; the model is
        then unchanged.
    """
    source, target = pretrained.encoder.state_dict(), model.encoder.state_dict()
    shapes = [{k: tuple(x.shape) for k, x in state.items()} for state in (source, target)]
    wrong = [
        f"{name}: {shapes[0].get(name)} against {shapes[1].get(name)}"
        for name in sorted(source.keys() | target.keys())
        if shapes[0].get(name) != shapes[1].get(name)
    ]
    if wrong or pretrained.encoder.plan != model.encoder.plan:
        raise ModelError(
            f"transfer: the encoder of '{pretrained.name}' does not fit that of '{model.name}'"
            + (f" ({'; '.join(wrong[:3])})" if wrong else " (other pools)")
            + "; use the same convolutions and pools"
        )
    _check_front_ends(pretrained.frontend, model.frontend)
    model.encoder.load_state_dict(source)
    if isinstance(model, PretrainedEncoder):
        model.published = pretrained.published
    if pretrained.neck is not None and pretrained.name == model.name:
        if model.neck is None:
            model.neck = copy.deepcopy(pretrained.neck)
        model.neck.load_state_dict(pretrained.neck.state_dict())
    theirs = pretrained.frontend.standardize.state_dict()
    model.frontend.standardize.load_state_dict(theirs)


def _check_front_ends(theirs: Frontend, ours: Frontend) -> None:
    a, b = to_dict(theirs.options), to_dict(ours.options)
    # The length of a clip does not matter to convolutions.
    other = [
        f"{name} {value} against {b[name]}"
        for name, value in a.items()
        if name != "duration" and value != b[name]
    ]
    if other:
        raise ModelError(
            f"transfer: the encoder was trained on other features ({'; '.join(other)}); build "
            "the model with the front end of the encoder"
        )
    if theirs.standardize.kind != ours.standardize.kind:
        raise ModelError(
            f"transfer: the encoder standardises by '{theirs.standardize.kind}', the model by "
            f"'{ours.standardize.kind}'; use the same for both"
        )
    if not theirs.standardize.is_fitted:
        raise ModelError("transfer: the statistics of the encoder were never fitted")


def in_order(model: SoundModel, classes: Sequence[str]) -> SoundModel:
    """A copy of a classifier that scores its classes in another order.

    Parameters
    ----------
    model : SoundModel
        It is not changed.
    classes : sequence of str
        The same classes in the new order.

    Returns
    -------
    SoundModel

    Raises
    ------
    ModelError
        When they are not the same classes.
    """
    ours, wanted = set(model.classes), set(classes)
    if ours != wanted:
        lacking, more = (
            ", ".join(sorted(names)[:5]) or "none" for names in (wanted - ours, ours - wanted)
        )
        raise ModelError(
            "keep_head: expected the classes of the earlier model; its class layer lacks: "
            f"{lacking}; and has in addition: {more}. Leave keep_head out to make a new class "
            "layer"
        )
    order = torch.tensor([model.classes.index(name) for name in classes])
    head = {name: tensor[order] for name, tensor in model.head.state_dict().items()}
    turned = model.with_head(classes)
    turned.head.load_state_dict(head)
    return turned
