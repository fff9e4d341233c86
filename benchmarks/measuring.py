"""How the speeds are measured: in turns, by processor time, each beside others and a limit.

All ways of doing one thing have their turn in every round, in an order that rotates, so that
what else runs on the machine meets all of them alike. Processor time of this process is counted
on one thread. A ratio is the median of the ratios of single rounds; its quartiles say how far
it can be trusted. Ratios hardly depend on the machine, times do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from semisonic.core.files import write_json
from semisonic.training.run_folder import commit, machine, versions

Work = Callable[[], object]
ROUNDS = 7
OTHERS = ("librosa", "onnxruntime", "miniaudio", "numba")
MILLI = 1e3


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    part, what : str
    unit : str
        Of the three times, such as ``ms a clip``.
    ours, theirs : float
        Medians; ``theirs`` is NaN without an alternative.
    alternative : str
        What ``theirs`` is.
    ratio, low, high : float
        How many times faster ours is: median and quartiles over the rounds.
    limit : str
        What cannot be beaten, or what ours would be without its own cost.
    at_limit, share : float
        The time of the limit, and its share of ours.
    """

    part: str
    what: str
    unit: str
    ours: float
    alternative: str = ""
    theirs: float = float("nan")
    ratio: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    limit: str = ""
    at_limit: float = float("nan")
    share: float = float("nan")

    @property
    def key(self) -> str:
        """What the row is about, the same on every machine."""
        return f"{self.part}: {self.what} / {self.alternative}"


Seconds = dict[str, list[float]]


@contextmanager
def one_core() -> Iterator[None]:
    """Within the block torch and the libraries of numpy compute on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def take_turns(ways: Mapping[str, Work], rounds: int = ROUNDS) -> Seconds:
    """Processor seconds of each way in each round; a round before them warms up.

    A way that works in other processes returns the seconds that they took (a float); they are
    added.
    """
    names = list(ways)
    found: Seconds = {name: [] for name in names}
    with one_core():
        for number in range(-1, rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                start = time.process_time()
                more = ways[name]()
                seconds = time.process_time() - start
                if number >= 0:
                    found[name].append(seconds + (more if isinstance(more, float) else 0.0))
    return found


def compare(
    part: str,
    what: str,
    times: Seconds,
    *,
    ours: str,
    n: int,
    against: tuple[str, ...],
    limit: str | tuple[str, float] = "",
    unit: str = "ms a clip",
) -> list[Row]:
    """A row for each alternative.

    Parameters
    ----------
    times : mapping
        What :func:`take_turns` found.
    ours : str
        The name of our way.
    n : int
        Clips (or what the unit counts) in a call.
    against : tuple of str
        Names of the alternatives; empty for a row of ours alone.
    limit : str or (str, float)
        The name of a way, or a name and seconds a call.
    """
    scale = MILLI / n
    mine = times[ours]
    base: dict[str, Any] = {"part": part, "what": what, "unit": unit}
    base["ours"] = statistics.median(mine) * scale
    if isinstance(limit, str) and limit:
        shares = [a / b for a, b in zip(times[limit], mine, strict=True)]
        base |= {
            "limit": limit,
            "at_limit": statistics.median(times[limit]) * scale,
            "share": statistics.median(shares),
        }
    elif limit:
        base |= {
            "limit": limit[0],
            "at_limit": limit[1] * scale,
            "share": limit[1] / statistics.median(mine),
        }
    rows = []
    for name in against:
        ratios = [b / a for a, b in zip(mine, times[name], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        theirs = statistics.median(times[name]) * scale
        rows.append(Row(**base, alternative=name, theirs=theirs, ratio=middle, low=low, high=high))
    return rows or [Row(**base)]


def head(command: str, seed: int | Sequence[int]) -> dict[str, Any]:
    """What every result file begins with: how to make it again, from which code, and where.

    Parameters
    ----------
    command : str
        As it is typed, with words in capitals for what lies elsewhere on another machine.
    seed : int or sequence of int
        All seeds that something was drawn from; 0 where a benchmark has no choice of them.
    """
    found = versions()
    for name in OTHERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": command,
        "commit": commit(),
        "seed": seed if isinstance(seed, int) else list(seed),
        "machine": machine(),
        "versions": found,
    }


def record(**about: Any) -> dict[str, Any]:
    """The head of a file of speeds, with the load of the machine."""
    name = Path(sys.argv[0]).name
    return {
        **about,
        **head(f"python benchmarks/{name} -o FILE", 0),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def rounded(value: float, digits: int = 4) -> float | None:
    """To some digits that count; None for NaN, which JSON has not."""
    return None if value != value else float(f"{value:.{digits}g}")


def as_json(row: Row) -> dict[str, Any]:
    """A row for a result file."""
    return {
        name: rounded(value) if isinstance(value, float) else value
        for name, value in asdict(row).items()
    }


def from_json(found: Mapping[str, Any]) -> Row:
    """A row of a result file."""
    return Row(**{name: float("nan") if v is None else v for name, v in found.items()})


def table(rows: list[Row]) -> str:
    """The rows as text in columns."""
    lines = [
        f"{'what':46s} {'ours':>9s}  {'unit':11s} {'alternative':36s} {'theirs':>9s} "
        f"{'ratio':>6s} {'(quartiles)':>14s}  {'limit':28s} {'share':>5s}"
    ]
    lines += [
        f"{row.part + ': ' + row.what:46s} {_number(row.ours):>9s}  {row.unit:11s} "
        f"{row.alternative:36s} {_number(row.theirs):>9s} {_number(row.ratio):>6s} "
        f"{_quartiles(row):>14s}  {row.limit:28s} {_percent(row.share):>5s}"
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _number(value: float) -> str:
    return "" if value != value else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _quartiles(row: Row) -> str:
    return "" if row.low != row.low else f"({_number(row.low)} to {_number(row.high)})"


def _percent(value: float) -> str:
    return "" if value != value else f"{100 * value:.0f} %"


def main(text: str, measure: Callable[[Path | None], list[Row]], **about: Any) -> None:
    """The command line of a part: where the recordings are, where the results go."""
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of recordings, else synthetic ones")
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    rows = measure(options.data)
    print(table(rows))
    if options.output is not None:
        head = record(what=text.partition("\n")[0], **about)
        head["data"] = "made up" if options.data is None else options.data.name
        write_json(options.output, {**head, "rows": [as_json(row) for row in rows]})
