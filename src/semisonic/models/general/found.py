"""The tensors of a weight file, each of which is used once or set aside by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from semisonic.base.errors import ModelError


class Found:
    """Tensors by the names that their authors gave them.

    Parameters
    ----------
    path : object
        For messages.
    tensors : mapping of str to Tensor
    """

    def __init__(self, path: object, tensors: Mapping[str, Tensor]) -> None:
        self.path = path
        self._left = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor as float32, which is then used up.

        Raises
        ------
        ModelError
            When there is none, or it has another shape.
        """
        if name not in self._left:
            raise ModelError(
                f"{self.path}: the tensor '{name}' is missing; is it the file of another network?"
            )
        tensor = self._left.pop(name)
        if tuple(tensor.shape) != shape:
            raise ModelError(
                f"{self.path}: the tensor '{name}' has shape {tuple(tensor.shape)}, expected "
                f"{shape}; is it the file of another network?"
            )
        return tensor.detach().float()

    def count(self, name: str) -> Tensor:
        """A counter of batches, zero where the file has none."""
        return self._left.pop(name, torch.tensor(0)).long().reshape(())

    def finish(self) -> None:
        """See that nothing is left.

        Raises
        ------
        ModelError
            With the names of what was not used.
        """
        if self._left:
            names = sorted(self._left)
            shown = ", ".join(f"'{name}'" for name in names[:4])
            raise ModelError(
                f"{self.path}: {len(names)} tensors have no place in this network ({shown}"
                f"{', ...' if len(names) > 4 else ''}); is it the file of another one?"
            )
