"""Heads whose members vote: neighbours and trees."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from semisonic.models.simple.heads import LEAST, Shape, SimpleHead


class NeighbourHead(SimpleHead):
    """The nearest examples vote, weighted by one over their distance.

    Tables: ``examples`` (example, feature), ``shares`` (example, class) of 0 and 1,
    ``n_neighbours``, and ``several``, 1 with several labels per clip.
    """

    examples: Tensor
    shares: Tensor
    n_neighbours: Tensor
    several: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        self._asked, self._several = 0, False
        self.numbers(
            examples=torch.zeros(0, n_features),
            shares=torch.zeros(0, n_classes),
            n_neighbours=torch.tensor(0),
            several=torch.tensor(0),
        )

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        n = shapes["examples"][0] if shapes["examples"] else 0
        return n > 0 and shapes == {
            "examples": (n, self.n_features), "shares": (n, self.n_classes), "n_neighbours": (),
            "several": (),
        }  # fmt: skip

    def check(self) -> None:
        """Raises ModelError for more neighbours than examples, or shares out of range."""
        if not 1 <= int(self.n_neighbours) <= len(self.examples):
            self.refuse(f"'n_neighbours' is {int(self.n_neighbours)} of {len(self.examples)}")
        if not ((self.shares >= 0) & (self.shares <= 1)).all():
            self.refuse("'shares' are not within 0 to 1")
        self._asked, self._several = int(self.n_neighbours), bool(self.several)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        if not len(self.examples):
            self.unfitted()
        x, examples = x.double(), self.examples.double()
        if torch.compiler.is_compiling():  # cdist without a matrix product cannot be exported
            far = (x[:, None] - examples).square().sum(dim=2).sqrt()
        else:
            far = torch.cdist(x, examples, compute_mode="donot_use_mm_for_euclid_dist")
        far, nearest = far.topk(self._asked, dim=1, largest=False)
        same = (far == 0).double()
        # A clip that is an example itself is asked of no other.
        weights = torch.where(same.amax(dim=1, keepdim=True) > 0, same, 1 / far.clamp(min=1e-300))
        weights = weights / weights.sum(dim=1, keepdim=True)
        scores = (weights[:, :, None] * self.shares.double()[nearest]).sum(dim=1)
        return logits_of(scores, self._several)


class TreesHead(SimpleHead):
    """Trees of yes-or-no questions; what their leaves hold is added up.

    A node asks whether a statistic is at most its threshold and goes left if so; a leaf goes to
    itself. The sum of leaves is a score (a forest) or a logit (boosting).

    Tables: ``feature``, ``threshold``, ``left``, ``right`` and ``row`` (node,), ``roots`` (tree,),
    ``leaves`` (row, class): what is added, the same row for like leaves, ``start`` (class,): what
    it is added to, and ``kind``, 0 for logits, 1 for scores of exclusive classes, 2 for scores
    with several labels per clip.
    """

    LOGITS, EXCLUSIVE, SEVERAL = 0, 1, 2

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    row: Tensor
    roots: Tensor
    leaves: Tensor
    start: Tensor
    kind: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        whole = torch.zeros(0, dtype=torch.int64)
        self.numbers(
            feature=whole, threshold=torch.zeros(0), left=whole, right=whole, row=whole,
            roots=whole, leaves=torch.zeros(0, n_classes, dtype=torch.float64),
            start=torch.zeros(0, dtype=torch.float64), kind=torch.tensor(0),
        )  # fmt: skip
        self._depth = self._kind = 0

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        if any(len(shapes[name]) != 1 for name in ("row", "roots")) or not shapes["leaves"]:
            return False
        (n,), (n_trees,), n_rows = shapes["row"], shapes["roots"], shapes["leaves"][0]
        nodes = dict.fromkeys(("feature", "threshold", "left", "right", "row"), (n,))
        expected: dict[str, Shape] = {
            **nodes, "roots": (n_trees,), "leaves": (n_rows, self.n_classes),
            "start": (self.n_classes,), "kind": (),
        }  # fmt: skip
        return min(n, n_trees, n_rows) > 0 and shapes == expected

    def check(self) -> None:
        """Raises ModelError for nodes that lead nowhere, or back."""
        n = len(self.row)
        own = torch.arange(n, device=self.row.device)
        limits = (
            ("feature", 0, self.n_features), ("row", 0, len(self.leaves)), ("roots", 0, n),
            ("left", 0, n), ("right", 0, n), ("kind", 0, 3),
        )  # fmt: skip
        for name, low, high in limits:
            table = self.get_buffer(name)
            if ((table < low) | (table >= high)).any():
                self.refuse(f"'{name}' holds numbers outside {low} to {high - 1}")
        leaf = (self.left == own) & (self.right == own)
        if not (leaf | ((self.left > own) & (self.right > own))).all():
            self.refuse("a tree leads back to itself")
        self._depth, self._kind = self._measure(), int(self.kind)

    def _measure(self) -> int:
        """The most questions from a root to a leaf."""
        nodes, depth = torch.unique(self.roots), 0
        while True:
            inner = nodes[self.left[nodes] != nodes]
            if not len(inner):
                return depth
            nodes = torch.unique(torch.cat([self.left[inner], self.right[inner]]))
            depth += 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        if not len(self.roots):
            self.unfitted()
        x = x.float()
        node = self.roots.expand(x.shape[0], -1)  # (batch, tree)
        for _ in range(self._depth):
            below = x.gather(1, self.feature[node]) <= self.threshold[node]
            node = torch.where(below, self.left[node], self.right[node])
        total = self.start + self._sum(self.row[node])
        if self._kind == self.LOGITS:
            return total
        return logits_of(total, self._kind == self.SEVERAL)

    def _sum(self, rows: Tensor) -> Tensor:
        """The sum of the leaves that each clip came to, (batch, tree) to (batch, class)."""
        if torch.compiler.is_compiling() or len(rows) <= 1:
            return self.leaves[rows].sum(dim=1)
        # One clip at a time, as leaves of all trees and clips side by side may be large.
        return torch.stack([self.leaves[row].sum(dim=0) for row in rows])


def logits_of(scores: Tensor, several: bool) -> Tensor:
    """Logits whose softmax, or sigmoid, the scores are."""
    high = scores.clamp(min=LEAST).log()
    return high - (1 - scores).clamp(min=LEAST).log() if several else high
