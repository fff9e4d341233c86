"""From options to the loss they name."""

from __future__ import annotations

from torch import nn

from semisonic.base.errors import OptionError
from semisonic.base.options import check
from semisonic.learning.losses.base import RowLoss
from semisonic.learning.losses.bootstrapping import SoftBootstrapping
from semisonic.learning.losses.cross_entropy import CrossEntropy
from semisonic.learning.losses.generalised import GeneralisedCrossEntropy
from semisonic.learning.losses.options import LossOptions
from semisonic.learning.losses.small_loss import SmallLoss


def create_loss(
    options: LossOptions,
    *,
    multi_label: bool = False,
    label_smoothing: float = 0.0,
    steps_per_epoch: int = 0,
) -> nn.Module:
    """The loss that the options name.

    Parameters
    ----------
    options : LossOptions
    multi_label : bool
        Whether a clip may carry several labels.
    label_smoothing : float
        From 0 to below 1; see :class:`RowLoss`.
    steps_per_epoch : int
        Of the labelled stream. Needed for small-loss selection, whose warm-up is in epochs.

    Returns
    -------
    nn.Module
        ``forward(logits, target)`` gives the loss of each row, shape (batch,).

    Raises
    ------
    OptionError
        For a value out of range, or selection without ``steps_per_epoch``.
    """
    check(options)
    loss = _plain(options, multi_label, label_smoothing)
    if not options.noise_rate:
        return loss
    if options.selection_epochs and steps_per_epoch < 1:
        raise OptionError(
            f"small-loss selection rises over {options.selection_epochs:g} epochs: found "
            f"steps_per_epoch={steps_per_epoch}, expected the steps of one"
        )
    return SmallLoss(loss, options.noise_rate, round(options.selection_epochs * steps_per_epoch))


def _plain(options: LossOptions, multi_label: bool, label_smoothing: float) -> RowLoss:
    if options.loss == "bootstrap":
        return SoftBootstrapping(
            options.bootstrap_beta, multi_label=multi_label, label_smoothing=label_smoothing
        )
    if options.loss == "lq":
        return GeneralisedCrossEntropy(
            options.lq_power, multi_label=multi_label, label_smoothing=label_smoothing
        )
    return CrossEntropy(multi_label=multi_label, label_smoothing=label_smoothing)
