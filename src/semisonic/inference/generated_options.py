"""How generated patches enter training. No torch here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.errors import OptionError
from semisonic.base.options import option
from semisonic.inference.methods.options import WITH_NOISY

NONE, VAE, GAN = GENERATORS = ("none", "vae", "gan")


@dataclass(frozen=True)
class GeneratedOptions:
    """Made-up spectrograms of each class, to learn from beside the labelled clips."""

    generator: str = option(
        NONE, "what makes patches of each class from the labelled training clips: vae, a "
        "conditional variational auto-encoder; gan, a conditional adversarial network",
        choices=GENERATORS,
    )  # fmt: skip
    generated_ratio: float = option(
        1.0, "generated patches a step for each labelled clip", minimum=0.05, maximum=20.0
    )
    generated_weight: float = option(
        1.0, "weight of a generated patch beside a labelled clip", minimum=0.0, maximum=100.0
    )
    generated_per_class: int = option(100, "patches drawn of each class", minimum=2, maximum=10_000)
    generator_steps: int = option(600, "steps in which the generator learns", minimum=1)
    generator_pool: bool = option(
        False, "let the generator hear the unlabelled clips, too, as clips of an unknown class"
    )

    @property
    def is_used(self) -> bool:
        """Whether anything is generated."""
        return self.generator != NONE

    def check_for(self, method: str) -> None:
        """Refuse what would do nothing.

        Raises
        ------
        OptionError
            For options without a generator, or a method that has no place for patches.
        """
        if not self.is_used:
            if self != GeneratedOptions():
                raise OptionError(
                    "option 'generator': found none beside other options of generated patches, "
                    "which would do nothing; choose vae or gan, or leave them out"
                )
            return
        if method not in WITH_NOISY:
            raise OptionError(
                f"option 'generator': the method '{method}' has no place for generated patches; "
                f"use one of {', '.join(WITH_NOISY)}, or leave them out"
            )
