"""The options of the training loop; without torch."""

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

    epochs: int = option(50, "largest number of passes over the training clips", minimum=1)
    steps: int = option(
        0,
        "exact number of training steps, instead of epochs; the last epoch may be shorter; 0: "
        "use epochs",
        minimum=0,
    )
    epoch_steps: int = option(
        0,
        "least number of steps in an epoch; with few clips, an epoch has several passes",
        minimum=0,
    )
    batch_size: int = option(32, "clips per step", minimum=1)
    optimizer: str = option("adam", "optimiser", choices=OPTIMIZERS)
    learning_rate: float = option(1e-3, "highest learning rate", minimum=0.0)
    momentum: float = option(0.9, "Nesterov momentum of sgd", minimum=0.0, maximum=0.999)
    weight_decay: float = option(0.0, "weight decay, not applied to biases and norms", minimum=0.0)
    schedule: str = option("constant", "schedule of the learning rate", choices=SCHEDULES)
    falls: tuple[float, ...] = option(
        (0.5, 0.75),
        "schedule step: shares of the training after which the rate falls",
        minimum=0.0,
        maximum=1.0,
    )
    step_factor: float = option(0.1, "schedule step: factor of each fall", minimum=0.0, maximum=1.0)
    warmup_epochs: float = option(
        0.0,
        "epochs in which the rate rises from zero; for onecycle, its rising part (0: 30 %)",
        minimum=0.0,
    )
    patience: int = option(
        0, "stop after this many epochs without a better monitor; 0: never", minimum=0
    )
    monitor: str = option(
        "val_loss", "column of the history that decides the best epoch, such as val_accuracy"
    )
    restore_best: bool = option(True, "keep the weights of the best epoch; off: of the last")
    ema_decay: float = option(
        0.0,
        "decay per step of the moving average of the weights; 0: off",
        minimum=0.0,
        maximum=0.99999,
    )
    precision: str = option(
        "auto",
        "number format of the forward pass; auto: bf16 if the device has instructions for it",
        choices=PRECISIONS,
    )
    freeze_epochs: float = option(
        0.0,
        "first epochs in which the encoder is frozen and only the layers after it are trained; "
        "as many as all epochs, or more: always",
        minimum=0.0,
    )
    layer_decay: float = option(
        1.0,
        "learning rate of each layer of the encoder, as a share of the rate of the next layer; "
        "1: the same rate for all",
        minimum=0.01,
        maximum=1.0,
    )
    clip_norm: float = option(0.0, "largest norm of all gradients together; 0: off", minimum=0.0)
    checkpoint_interval: float = option(
        60.0, "longest time between two checkpoints; 0: one per step", unit="s", minimum=0.0
    )

    @property
    def heeds_validation(self) -> bool:
        """Whether held-out clips would decide anything."""
        return self.patience > 0 or self.restore_best

    def steps_an_epoch(self, steps_per_pass: int) -> int:
        """Steps of an epoch, in whole passes, if a pass has this many."""
        return max(1, -(-self.epoch_steps // steps_per_pass)) * steps_per_pass

    def n_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole training."""
        return self.steps or self.epochs * steps_per_epoch
