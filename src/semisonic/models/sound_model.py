"""The classifier: front end, encoder, neck, class layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.core.label_names import class_name
from semisonic.features.frontend import Frontend
from semisonic.features.options import LOG_MEL, MelOptions
from semisonic.models.decision import Decision, DecisionModule, Moments, probabilities
from semisonic.models.encoder import PatchStep, frame_grid
from semisonic.models.event_layer import CONTEXT, SHORTEST, EventLayer
from semisonic.models.necks import Backbone
from semisonic.models.registry import create, register_instance
from semisonic.models.weights import initialise, undisturbed


class SoundModel(nn.Module):
    """Computes scores of classes from waves.

    Created by :func:`build` or :func:`load`.

    Attributes
    ----------
    frontend : Frontend
        Log-mel and standardisation.
    encoder : Encoder
        Standardised features to a map; the part that pre-training shares.
    neck : Neck
        The map to one vector per clip, the embedding.
    head : nn.Sequential
        Dropout and the class layer.
    statistics : Moments
        Statistics of features in dB, for the rule against noise, without parameters.
    classes : tuple of str
        Names in the order of the scores.
    multi_label : bool
        Whether classes exclude each other (False) or each is present or not (True).
    name : str
        The registered name or the architecture.
    decision : Decision
        From the output of the network to scores; empty unless it was fitted.
    event_layer : EventLayer or None
        Scores along time, if trained.
    """

    event_layer: EventLayer | None

    def __init__(
        self,
        frontend: Frontend,
        body: Backbone,
        classes: Sequence[str],
        *,
        multi_label: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ModelError(f"dropout: found {dropout}, expected 0 to less than 1")
        self.name, self.dropout, self.frontend = body.name, float(dropout), frontend
        self.encoder, self.neck = body.encoder, body.neck
        self._decision: Decision
        self._decide: DecisionModule
        self.statistics = Moments(frontend.options)
        self._set_head(classes, multi_label)

    @property
    def mel(self) -> MelOptions:
        """The parameters of the front end."""
        return self.frontend.options

    def forward(self, wave: Tensor) -> Tensor:
        """Logits of waves.

        Parameters
        ----------
        wave : Tensor, shape (batch, time)
            Samples within ±1 at ``mel.sample_rate``.

        Returns
        -------
        Tensor, shape (batch, n_classes)
        """
        logits: Tensor = self.head(self._embed(self.frontend(wave)))
        return logits

    def from_features(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """Logits of features.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            In dB.
        n_frames : Tensor of int64, shape (batch,), or None
            If clips of several lengths were padded: the number of valid frames of each. Pad with
            silence, as the last valid frames depend a little on it.

        Returns
        -------
        Tensor, shape (batch, n_classes)
        """
        logits: Tensor = self.head(self.embed(x, n_frames))
        return logits

    def embed(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """Embeddings, shape (batch, dim), of features as in :meth:`from_features`."""
        return self._embed(self.frontend.standardize(x), n_frames)

    @property
    def no_frames(self) -> str:
        """Why :meth:`embed_along_time` gives no embeddings of frames; empty if it does."""
        patches = any(isinstance(step, PatchStep) for step in self.encoder.plan)
        why = self.encoder.no_frames or self.neck.no_frames
        return why or ("its frames are patches that overlap" if patches else "")

    def embed_along_time(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of features, and of each frame of their code as if it were alone.

        :attr:`head` makes logits of both: those of frames are class activations along time, after
        Zhou et al. (2016), "Learning deep features for discriminative localization". With a mean
        over time followed by the class layer only, the mean of the frames' logits is that of the
        clip. With other poolings (the maximum, attention), a frame's logits are those of a clip
        that consists of this frame.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            In dB.

        Returns
        -------
        clip : Tensor, shape (batch, dim)
        frames : Tensor, shape (batch, frame of the code, dim)
            Their times: :meth:`frame_times`.

        Raises
        ------
        ModelError
            If the network cannot do this; :attr:`no_frames` says why.
        """
        if self.no_frames:
            raise ModelError(f"'{self.name}' gives no scores of frames: {self.no_frames}")
        code = self._code(self.frontend.standardize(x))
        return self.neck(code), self.neck.frames(code)

    def score_along_time(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of features, and of points along their time.

        Without an event layer, the score of a point is the geometric mean of the scores of the
        whole window, which shows the class, and of the frame alone, which shows the time.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            In dB.

        Returns
        -------
        whole, known : Tensor of float64, shape (batch, n_classes) and (batch,)
            As from :meth:`score`.
        along : Tensor of float64, shape (batch, point, n_classes)
            Their times: :meth:`point_times`.

        Raises
        ------
        ModelError
            If the network cannot do this; :attr:`no_points` says why.
        """
        layer = self.event_layer
        if layer is None:
            embedding, frames = self.embed_along_time(x)
            whole, known = self.score(x, embedding)
            return whole, known, torch.sqrt(whole[:, None] * self.calibrated(self.head(frames)))
        over, cleaned, recorded = layer.split(x)
        code = self._code(self.frontend.standardize(cleaned)).mean(dim=2)
        embedding = self.embed(x)
        along = layer(layer.activity(over), code, embedding) * recorded[..., None]
        return *self.score(x, embedding), along.double().cpu()

    @property
    def no_points(self) -> str:
        """Why :meth:`score_along_time` gives no scores along time; empty if it does."""
        return "" if self.event_layer is not None else self.no_frames

    def point_times(self) -> Tensor:
        """Times in a window of the scores along its time, s, float64, shape (point,)."""
        if self.event_layer is not None:
            return self.event_layer.times(self.mel.n_frames)
        return self.frame_times(self.encoder.code_shape(self.mel.n_mels, self.mel.n_frames)[2])

    def frame_times(self, n_frames: int) -> Tensor:
        """Centres of the first frames of the code in a clip, s, float64, shape (n_frames,)."""
        first, step = frame_grid(self.encoder.plan)
        mel = self.mel
        middle = 0.0 if mel.center else mel.window / 2 / mel.sample_rate
        frame = mel.hop_length / mel.sample_rate
        return middle + frame * (first + step * torch.arange(n_frames, dtype=torch.float64))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Uncalibrated probabilities for training, shape (..., n_classes).

        They sum to one unless multi-label. For reported scores use :meth:`score`.
        """
        return probabilities(logits, multi_label=self.multi_label)

    def score(self, x: Tensor, embedding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scores of features, by the model's decision.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            In dB.
        embedding : Tensor, shape (batch, dim), optional
            Result of :meth:`embed`, if already computed.

        Returns
        -------
        scores, known : Tensor
            As from :meth:`decide`.
        """
        embedding = self.embed(x) if embedding is None else embedding
        statistics = self.statistics(x) if self.decision.unknown else None
        return self.decide(self.head(embedding), statistics, embedding)

    def decide(
        self, logits: Tensor, statistics: Tensor | None = None, embedding: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of logits, see :class:`DecisionModule`; all scores are computed here.

        Parameters
        ----------
        logits, statistics, embedding : Tensor, shape (batch, ...)
            On any device. The last two are for the rules for unknown sounds.

        Returns
        -------
        scores : Tensor of float64, shape (batch, n_classes)
            On the CPU. They sum to one unless multi-label.
        known : Tensor of float64, shape (batch,)
            How known each sound is, 0 to 1: unknown below 0.5.

        Raises
        ------
        ModelError
            When a score is not finite, as weights overflow.
        """
        others = (None if one is None else one.cpu() for one in (statistics, embedding))
        scores, known = self._decide(logits.cpu(), *others)
        if not (torch.isfinite(scores).all() and torch.isfinite(known).all()):
            raise ModelError(
                f"the model '{self.name}' gives scores that are not finite numbers: its weights or "
                "its calibration are too large. Train it again, or copy its file again"
            )
        return scores, known

    def calibrated(self, logits: Tensor) -> Tensor:
        """Scores without the rules for unknown sounds, shape (..., n_classes), on the CPU."""
        return self._decide.calibrated(logits.cpu())

    @property
    def decision(self) -> Decision:
        """From the output of the network to scores."""
        return self._decision

    @decision.setter
    def decision(self, decision: Decision) -> None:
        self._decision = decision
        # No part of the module: it stays in double precision on the CPU, wherever the network is.
        self.__dict__["_decide"] = DecisionModule(decision, multi_label=self.multi_label)

    def with_head(
        self, classes: Sequence[str], *, multi_label: bool | None = None, seed: int = 0
    ) -> SoundModel:
        """A copy with a new class layer and an empty decision; this model is not changed.

        Parameters
        ----------
        classes : sequence of str
        multi_label : bool or None
            None to keep the value.
        seed : int
            Seed of the new layer's weights.
        """
        model = copy.deepcopy(self)
        with undisturbed():
            model._set_head(classes, self.multi_label if multi_label is None else multi_label)
            initialise(model.head, seed, "head.")
        model.head.to(next(self.head.parameters()).device)
        return model.train(self.training)

    def _set_head(self, classes: Sequence[str], multi_label: bool) -> None:
        names = tuple(class_name(str(name)) for name in classes)
        if not names or len(set(names)) != len(names):
            raise ModelError(
                f"classes: found {len(names)} names, {len(set(names))} different; expected at "
                "least one, each once"
            )
        self.classes, self.multi_label = names, bool(multi_label)
        # What was fitted belongs to the class layer before.
        self.decision, self.event_layer = Decision(), None
        self.head = nn.Sequential(nn.Dropout(self.dropout), self.neck.class_layer(len(names)))

    def _code(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The map of standardised features, after a check of their shape."""
        expected = (self.mel.n_channels, self.mel.n_mels)
        if x.ndim != 4 or tuple(x.shape[1:3]) != expected:
            raise ModelError(
                f"found features of shape {tuple(x.shape)}, expected (batch, {expected[0]}, "
                f"{expected[1]}, frame)"
            )
        if n_frames is not None and not 1 <= n_frames.min() <= n_frames.max() <= x.shape[3]:
            raise ModelError(
                f"n_frames: found {n_frames.min()} to {n_frames.max()}, expected 1 to {x.shape[3]}"
            )
        code: Tensor = self.encoder(x, n_frames)
        return code

    def _embed(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        counted = None if n_frames is None else self.encoder.frames_after(n_frames)
        embedding: Tensor = self.neck(self._code(x, n_frames), counted)
        return embedding


def build(
    network: str | nn.Module,
    mel: MelOptions,
    classes: Sequence[str],
    *,
    standardize: str = "global",
    multi_label: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
) -> SoundModel:
    """Build a new classifier.

    Parameters
    ----------
    network : str or nn.Module
        A registered name (:func:`semisonic.models.registry.names`) or an architecture such as
        ``"(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc"``. A class layer at its end is recognised. Or a
        network of your own, see :func:`semisonic.register`, which is copied with its weights.
    mel : MelOptions
        The front end; its shape determines the size of the network.
    classes : sequence of str
    standardize : {"global", "mel", "none"}
        Fit ``model.frontend.standardize`` on the training features before training.
    multi_label : bool
        Whether a clip may have several classes.
    dropout : float
        Share of the embedding's values dropped in training.
    seed : int
        Seed of the initial weights; torch's global generator is not used.

    Raises
    ------
    ModelError
        For an unknown name, a wrong architecture, or features too small for it.
    """
    name = network if isinstance(network, str) else register_instance(network)
    with undisturbed(seed):
        body = create(name, mel.shape, len(classes))
        frontend = Frontend(mel, standardize)
        model = SoundModel(frontend, body, classes, multi_label=multi_label, dropout=dropout)
        for part in ("encoder", "neck", "head"):
            initialise(model.get_submodule(part), seed, f"{part}.")
    return model


def new_event_layer(model: SoundModel) -> EventLayer:
    """A new, untrained event layer for a model.

    Raises
    ------
    ModelError
        When the model cannot have one; the text says why.
    """
    mel, encoder, why = model.mel, model.encoder, model.encoder.no_frames
    if mel.input != LOG_MEL or mel.deltas or mel.reference != "one" or mel.peak_normalize:
        why = "its features are not levels of one channel that keep the loudness of the sound"
    elif model.multi_label:
        why = "a clip may have several labels"
    elif mel.duration < SHORTEST:
        why = f"its windows are {mel.duration:g} s long, less than {SHORTEST:g} s"
    if why:
        raise ModelError(f"'{model.name}' cannot learn the times of events: {why}")
    step = frame_grid(encoder.plan)[1] * mel.hop_length / mel.sample_rate
    n_maps = encoder.code_shape(mel.n_mels, mel.n_frames)[0]
    around = round(CONTEXT / step)
    return EventLayer(mel, n_maps, around, model.neck.out_features, len(model.classes))
