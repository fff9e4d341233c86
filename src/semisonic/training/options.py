"""How a network is trained: the options of the loop; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.core.options import option

OPTIMIZERS = ("adam", "adamw", "sgd")
PRECISIONS = ("auto", "fp32", "bf16")
SCHEDULES = ("constant", "step", "cosine", "onecycle")


@dataclass(frozen=True)
class FitOptions:
    """Options of :func:`semisonic.training.loop.fit`.

    The loop reads all but ``batch_size``, which the caller gives to the streams.
    """

    epochs: int = option(50, "passes over the clips that are learned from, at most", minimum=1)
    steps: int = option(
        0,
        "steps of training instead of epochs, exactly so many: the last epoch may be a shorter "
        "one; 0: epochs",
        minimum=0,
    )
    epoch_steps: int = option(
        0,
        "an epoch has at least so many steps: few clips are passed over several times",
        minimum=0,
    )
    batch_size: int = option(32, "clips per step", minimum=1)
    optimizer: str = option("adam", "how weights are changed", choices=OPTIMIZERS)
    learning_rate: float = option(1e-3, "highest learning rate", minimum=0.0)
    momentum: float = option(0.9, "Nesterov momentum of sgd", minimum=0.0, maximum=0.999)
    weight_decay: float = option(
        0.0, "pull of weights (not of biases and norms) towards zero", minimum=0.0
    )
    schedule: str = option("constant", "course of the learning rate", choices=SCHEDULES)
    falls: tuple[float, ...] = option(
        (0.5, 0.75),
        "schedule step: parts of the training after which the rate falls",
        minimum=0.0,
        maximum=1.0,
    )
    step_factor: float = option(
        0.1, "schedule step: what a fall multiplies by", minimum=0.0, maximum=1.0
    )
    warmup_epochs: float = option(
        0.0,
        "epochs in which the rate rises from zero; for onecycle its rising part (0: 30 %)",
        minimum=0.0,
    )
    patience: int = option(
        0, "stop after so many epochs without a better monitor; 0 never stops", minimum=0
    )
    monitor: str = option(
        "val_loss", "column of the history that tells the best epoch, such as val_accuracy"
    )
    restore_best: bool = option(True, "end with the weights of the best epoch, not of the last")
    ema_decay: float = option(
        0.0, "decay a step of the weights' moving average; 0 is off", minimum=0.0, maximum=0.99999
    )
    precision: str = option(
        "auto",
        "number format of the forward pass; auto: bf16 where the device has instructions for it",
        choices=PRECISIONS,
    )
    freeze_epochs: float = option(
        0.0,
        "first epochs in which the encoder stays as it is and only what stands on it is "
        "trained; as many as there are, or more: it is never trained",
        minimum=0.0,
    )
    layer_decay: float = option(
        1.0,
        "each layer of the encoder learns at so many times the rate of the one above it; "
        "1: all at one rate",
        minimum=0.01,
        maximum=1.0,
    )
    clip_norm: float = option(0.0, "largest norm of all gradients together; 0 is off", minimum=0.0)
    checkpoint_interval: float = option(
        60.0, "longest time between two checkpoints; 0 writes one per step", unit="s", minimum=0.0
    )

    @property
    def heeds_validation(self) -> bool:
        """Whether clips that are held out would decide anything."""
        return self.patience > 0 or self.restore_best

    def steps_an_epoch(self, steps_per_pass: int) -> int:
        """Steps of an epoch when a pass over the clips takes so many: whole passes."""
        return max(1, -(-self.epoch_steps // steps_per_pass)) * steps_per_pass

    def n_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole training."""
        return self.steps or self.epochs * steps_per_epoch
