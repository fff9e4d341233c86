"""Losses of labelled clips: from logits and targets to the loss of each row.

**Cross-entropy**, the plain loss to compare every other one with.

Papers: label smoothing, Szegedy et al. 2016; soft targets, Zhang et al. 2018, "mixup: beyond
empirical risk minimization".

What it changes: nothing. A row with a confidently wrong answer has a steep slope, so wrong labels
have a strong influence; the other losses change that.

Where we differ: with several labels per clip it is the binary cross-entropy, mean over the
classes.

**Soft bootstrapping**: the target is a mixture of the label and the network's answer.

Paper: Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich 2015, "Training deep neural networks on
noisy labels with bootstrapping", the soft version.

What it changes: the target of a row becomes ``beta`` times its label plus ``1 - beta`` times the
network's own probabilities. A wrong label then has less influence on a network that is consistent
about clean labels. As in the paper, the gradient flows through both occurrences of the
probabilities, so the loss is cross-entropy plus a pull towards confident answers.

Where we differ: with several labels per clip, each class is a separate question, and its target is
mixed with its own probability. The paper's 0.95 is the default; seed systems for tagging used 0.7
with several labels.

**Generalised cross-entropy** L_q: between cross-entropy and mean absolute error.

Paper: Zhang and Sabuncu 2018, "Generalized cross entropy loss for training deep neural
networks with noisy labels".

What it changes: a row with probability p for its label costs ``(1 - p^q) / q``. As q goes to 0
this is cross-entropy; at q = 1 it is the absolute error, which wrong labels cannot pull far
but which learns slowly. The slope of a row is that of cross-entropy times p^q, so labels that
the network finds impossible count little.

Where we differ: targets may be shares; a row then costs the sum over classes of share times
cost. With several labels each class is a question with two answers, and a row costs the mean
over the classes. The truncated form, which leaves out rows below a probability, is not here:
small-loss selection does that for any loss.

**Small-loss selection**: learn only from the rows of a batch that the network finds plausible.

Paper: Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama 2018, "Co-teaching: robust training of deep
neural networks with extremely noisy labels"; the rule for how many rows to keep.

What it changes: networks learn what is common before they learn single wrong labels by heart,
so early on a large loss is a sign of a wrong label. The share of a batch that is left out
rises from 0 to ``noise_rate`` over the first ``n_warmup`` steps and stays there.

Where we differ: one network chooses for itself, instead of two that choose for each other; it
costs half as much and confirms its own mistakes more. Rows are ranked by the divergence of the
network's answer from the target. For labels that is the cross-entropy, as in the paper; for
the shares that mix-up makes it leaves out the part that no answer could avoid, without which
the most mixed rows would always be dropped.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import DataError
from semisonic.learning.options import OWN_LOSSES


def shares(target: Tensor, n_classes: int) -> Tensor:
    """Targets as shares of classes.

    Parameters
    ----------
    target : Tensor
        Class numbers, (batch,), or shares, (batch, class).
    n_classes : int

    Returns
    -------
    Tensor of float, shape (batch, class)

    Raises
    ------
    DataError
        For anything else.

    Examples
    --------
    >>> shares(torch.tensor([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if target.ndim == 1 and not target.is_floating_point():
        return functional.one_hot(target, n_classes).float()
    if target.ndim == 2 and target.shape[1] == n_classes:
        return target if target.dtype == torch.float64 else target.float()
    raise DataError(
        f"targets: found shape {tuple(target.shape)} and type {target.dtype}, expected class "
        f"numbers (batch,) or shares (batch, {n_classes})"
    )


def full(logits: Tensor) -> Tensor:
    """Logits in float32 or better."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


class RowLoss(nn.Module):
    """Base of the losses: the loss of each row from logits and targets.

    Parameters
    ----------
    multi_label : bool
        Whether each class is a separate yes-or-no question (sigmoid) or exactly one class is right
        (softmax). With several labels a row's loss is the mean over the classes.
    label_smoothing : float
        Share of a target that is spread over all classes, from 0 to below 1 (Szegedy et al.
        2016, "Rethinking the Inception architecture", section 7). With several labels both
        answers are pulled towards one half, since the paper speaks of one label only.

    Notes
    -----
    ``forward(logits, target)`` takes logits of shape (batch, class) and as target either class
    numbers, int64 (batch,), or the share of each class, float (batch, class), as mix-up makes
    them. It gives the loss of each row, shape (batch,), float32 or better, so that a caller
    can weigh rows; its mean is what is minimised.
    """

    def __init__(self, *, multi_label: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.multi_label = multi_label
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, shape (batch,)."""
        logs, wanted = self.answers(logits, target, self.label_smoothing)
        return self.of_row(self.cost(logs, wanted))

    def cost(self, logs: Tensor, wanted: Tensor) -> Tensor:
        """The cost of each answer from its log probability and its share of the target."""
        raise NotImplementedError

    def answers(
        self, logits: Tensor, target: Tensor, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Log probabilities of the answers, and how right each is.

        Returns
        -------
        logs, wanted : Tensor, shape (batch, class, 1 or 2)
            With several labels the answers are yes and no.
        """
        if logits.ndim != 2:
            raise DataError(f"loss: found logits of shape {tuple(logits.shape)}, expected two axes")
        logits = full(logits)
        wanted = self.smoothed(logits, target, label_smoothing)
        if not self.multi_label:
            return logits.log_softmax(dim=1)[..., None], wanted[..., None]
        logs = functional.logsigmoid(torch.stack((logits, -logits), dim=2))
        return logs, torch.stack((wanted, 1.0 - wanted), dim=2)

    def smoothed(self, logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """The shares that logits (batch, class) should give, (batch, class)."""
        wanted = shares(target, logits.shape[1]).to(logits.dtype)
        if len(wanted) != len(logits):
            raise DataError(
                f"loss: found targets of shape {tuple(target.shape)} for logits of shape "
                f"{tuple(logits.shape)}; expected class numbers or shares of as many rows"
            )
        even = 0.5 if self.multi_label else 1.0 / logits.shape[1]
        return wanted + label_smoothing * (even - wanted)

    def of_row(self, costs: Tensor) -> Tensor:
        """Costs of answers summed to those of rows; with several labels the mean over classes."""
        of_class = costs.sum(dim=2)
        return of_class.mean(dim=1) if self.multi_label else of_class.sum(dim=1)

    def extra_repr(self) -> str:
        """What tells two losses apart; checkpoints are compared by it."""
        return f"multi_label={self.multi_label}, label_smoothing={self.label_smoothing}"


class CrossEntropy(RowLoss):
    """Cross-entropy of each row, in nats; see :class:`RowLoss` for the arguments."""

    def cost(self, logs: Tensor, wanted: Tensor) -> Tensor:
        """The cost of each answer."""
        return -wanted * logs


class SoftBootstrapping(RowLoss):
    """Cross-entropy against a mixture of label and prediction.

    Parameters
    ----------
    beta : float
        Weight of the label, above 0 to 1. At 1 it is cross-entropy.
    **options
        See :class:`RowLoss`.
    """

    def __init__(self, beta: float = 0.95, **options: Any) -> None:
        super().__init__(**options)
        self.beta = beta

    def cost(self, logs: Tensor, wanted: Tensor) -> Tensor:
        """The cost of each answer."""
        return -torch.lerp(logs.exp(), wanted, self.beta) * logs

    def extra_repr(self) -> str:
        """What tells two losses apart."""
        return f"beta={self.beta}, {super().extra_repr()}"


class GeneralisedCrossEntropy(RowLoss):
    """The loss L_q of each row, 0 to ``1 / q``.

    Parameters
    ----------
    q : float
        Above 0 to 1; the paper uses 0.7.
    **options
        See :class:`RowLoss`.
    """

    def __init__(self, q: float = 0.7, **options: Any) -> None:
        super().__init__(**options)
        self.q = q

    def cost(self, logs: Tensor, wanted: Tensor) -> Tensor:
        """The cost of each answer."""
        # expm1 keeps small q exact, where 1 - p^q would lose all its digits.
        return -wanted * torch.expm1(self.q * logs) / self.q

    def extra_repr(self) -> str:
        """What tells two losses apart."""
        return f"q={self.q}, {super().extra_repr()}"


class OwnLoss(RowLoss):
    """A loss that is not from this package; nothing in it is learned.

    Parameters
    ----------
    name : str
        As it was registered: see :func:`semisonic.register_loss`.
    **options
        See :class:`RowLoss`.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        loss = OWN_LOSSES[name]
        self.name = name
        self.loss = copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss
        self.requires_grad_(False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, shape (batch,).

        Raises
        ------
        DataError
            If something else comes out of it.
        """
        logits = full(logits)
        rows: object = self.loss(logits, self.smoothed(logits, target, self.label_smoothing))
        shape = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        if not isinstance(rows, Tensor) or shape != (len(logits),):
            raise DataError(
                f"the loss '{self.name}': found {shape} for logits of shape "
                f"{tuple(logits.shape)}, expected the loss of each row, ({len(logits)},)"
            )
        return rows

    def extra_repr(self) -> str:
        """What tells two losses apart."""
        return f"{self.name}, {super().extra_repr()}"


class SmallLoss(nn.Module):
    """Keep the most plausible rows of each batch of another loss.

    Parameters
    ----------
    loss : RowLoss
        The loss of each row.
    noise_rate : float
        Share of the labels that are taken to be wrong, from 0 to below 1.
    n_warmup : int
        Steps until that share is left out.

    Attributes
    ----------
    step : Tensor of int64, a buffer
        Batches seen in training mode. Being a buffer it is in checkpoints, so a resumed training
        continues with the same share.

    Notes
    -----
    ``forward`` gives the loss of each row, shape (batch,): 0 for rows that are left out, and
    for the others their loss times (rows / rows kept), so that the mean over the batch is the
    mean over the rows kept. A loss that is not finite stays so, chosen or not. At least one row
    is always kept. The number of rows is rounded: with less than ``0.5 / noise_rate`` rows a
    batch nothing is left out.
    """

    step: Tensor

    def __init__(self, loss: RowLoss, noise_rate: float, n_warmup: int = 0) -> None:
        super().__init__()
        self.loss = loss
        self.noise_rate, self.n_warmup = noise_rate, n_warmup
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def kept_share(self) -> Tensor:
        """The share of a batch that the next step keeps, a scalar in (0, 1]."""
        risen = (self.step / max(1, self.n_warmup)).clamp(max=1.0)
        done = risen if self.n_warmup else torch.ones_like(risen)
        return 1.0 - self.noise_rate * done

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, shape (batch,), zero for rows that are left out.

        In evaluation mode all rows are kept and the step does not move.
        """
        rows: Tensor = self.loss(logits, target)
        if not self.training:
            return rows
        n_rows = len(rows)
        # All on the device: a number brought to the CPU would make it wait at every step.
        n_kept = (self.kept_share() * n_rows).round().clamp(min=1.0)
        place = self.surprise(logits, target).argsort(stable=True).argsort()
        kept = (place < n_kept).to(rows.dtype)
        self.step += 1
        return rows * kept * (n_rows / n_kept)

    @torch.no_grad()
    def surprise(self, logits: Tensor, target: Tensor) -> Tensor:
        """How far the answer is from the target, in nats, shape (batch,): what rows rank by."""
        logs, wanted = self.loss.answers(logits, target)
        return self.loss.of_row(-wanted * logs - torch.special.entr(wanted))

    def extra_repr(self) -> str:
        """What tells two selections apart."""
        return f"noise_rate={self.noise_rate}, n_warmup={self.n_warmup}"


def create_loss(
    name: str = "cross-entropy",
    *,
    beta: float = 0.95,
    power: float = 0.7,
    noise_rate: float = 0.0,
    n_warmup: int = 0,
    multi_label: bool = False,
    label_smoothing: float = 0.0,
) -> nn.Module:
    """The loss with a name.

    Parameters
    ----------
    name : str
        One of :data:`~semisonic.learning.options.LOSSES`, or one that was registered.
    beta, power : float
        Of :class:`SoftBootstrapping` and of :class:`GeneralisedCrossEntropy`.
    noise_rate, n_warmup
        Of :class:`SmallLoss`; a rate of 0 keeps all rows.
    multi_label, label_smoothing
        See :class:`RowLoss`.

    Returns
    -------
    nn.Module
        ``forward(logits, target)`` gives the loss of each row, shape (batch,).
    """
    shared: dict[str, Any] = {"multi_label": multi_label, "label_smoothing": label_smoothing}
    loss: RowLoss = CrossEntropy(**shared)
    if name == "bootstrap":
        loss = SoftBootstrapping(beta, **shared)
    elif name == "lq":
        loss = GeneralisedCrossEntropy(power, **shared)
    elif name in OWN_LOSSES:
        loss = OwnLoss(name, **shared)
    return SmallLoss(loss, noise_rate, n_warmup) if noise_rate else loss
