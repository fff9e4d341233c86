"""The staged networks by name.

All are for log-mel of about 64 x 216 (5 s) and take clips of any length. ``small`` is the
first choice on a CPU, ``tiny`` is for devices, ``base`` for a graphics card. Each of the
others differs from one of these in one idea; ``benchmarks/network_designs.py`` compares them.

Their speed on a CPU is set by the numbers that are touched rather than by multiply-adds: a map
of 32 x 108 costs more than all that follows. ``quarter`` therefore steps over four cells at once,
which is faster; ``small`` takes two steps of two with a maximum between, which did better on inner
validation parts. Plain 3 x 3 convolutions, which matrix
units are made for, are used where filters for each map alone would need fewer multiply-adds.
"""

from __future__ import annotations

from dataclasses import replace

from semisonic.models.design import ONE, Design, Stage, Stem

QUARTER = Stem(32, kernel=(7, 7), stride=(4, 4))
"""To 16 x 54 in one step."""


def _three(stem: Stem, widths: tuple[int, int, int], like: Stage) -> Design:
    """Three stages alike but for their width, the first at the size of the stem's map."""
    first, second, third = (replace(like, width=width) for width in widths)
    return Design(stem, (replace(first, down=ONE), second, third))


WIDTHS = (32, 64, 128)
FAST = _three(QUARTER, WIDTHS, Stage(0))
SMALL = replace(FAST, stem=Stem(24, pool=(2, 2)))
TINY = _three(replace(QUARTER, width=16), (16, 32, 48), Stage(0))
BASE = Design(
    Stem(32),
    tuple(Stage(width, depth=2) for width in (64, 128, 256)),
    drop_path=0.1,
)

DESIGNS: dict[str, Design] = {
    "small": SMALL,
    "tiny": TINY,
    "base": BASE,
    # Other courses of size: one step of four, as in all that follow; no blocks at 16 x 54.
    "quarter": FAST,
    "short": replace(FAST, stages=(Stage(64), Stage(128))),
    "deep": replace(FAST, stages=(Stage(64, depth=2), Stage(96))),
    # Other blocks.
    "plain": _three(QUARTER, WIDTHS, Stage(0, block="plain")),
    "preactivation": _three(QUARTER, WIDTHS, Stage(0, block="preactivation")),
    "excite": _three(QUARTER, WIDTHS, Stage(0, excite=True)),
    "inverted": _three(QUARTER, (32, 64, 112), Stage(0, depth=2, block="inverted")),
    "broadcast": _three(QUARTER, (48, 96, 160), Stage(0, depth=2, block="broadcast")),
    "drop-path": replace(FAST, drop_path=0.2),
    # Other views of mel: absolute, folded into maps from the middle on or from the start.
    "frequency-norm": replace(
        FAST,
        stages=(*FAST.stages[:1], *(replace(s, frequency_norm=True) for s in FAST.stages[1:])),
    ),
    "rows": replace(FAST, keep_rows=True),
    "fold": Design(
        QUARTER,
        (Stage(32, down=ONE), Stage(64), Stage(128, 2, kernel=(1, 3), down=(2, 1), fold=True)),
    ),
    "temporal": Design(
        Stem(96, kernel=(1, 5), stride=(1, 2), fold=True),
        tuple(Stage(96, kernel=(1, 5), down=(1, step)) for step in (1, 2, 2)),
    ),
    # Other poolings over time.
    "mean": replace(FAST, over_time="mean"),
    "attention": replace(FAST, over_time="attention"),
    "salient": replace(FAST, over_time="salient"),
    # Others of tiny and base.
    "tiny-broadcast": _three(
        replace(QUARTER, width=24), (24, 48, 96), Stage(0, depth=2, block="broadcast")
    ),
    "tiny-inverted": _three(
        replace(QUARTER, width=16), (16, 32, 56), Stage(0, depth=2, block="inverted")
    ),
    "tiny-temporal": Design(
        Stem(48, kernel=(1, 5), stride=(1, 2), fold=True),
        tuple(Stage(48, kernel=(1, 3), down=(1, step)) for step in (1, 2, 2)),
    ),
    "base-preactivation": replace(
        BASE, stages=tuple(replace(stage, block="preactivation") for stage in BASE.stages)
    ),
}
