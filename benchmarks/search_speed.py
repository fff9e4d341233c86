"""How long a search takes in 250 000 vectors.

    python benchmarks/search_speed.py -o benchmarks/results/search_speed.json

Processor time, one thread. Vectors of noise lie in a memory-mapped file that the system holds in
memory.
"""

# ruff: noqa: E402  (thread counts must be set before numpy is imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from measuring import head
from semisonic.core.files import write_json
from semisonic.labeling.nearest import nearest

K = 10
QUERIES = 30


def plain(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """What one writes in a notebook."""
    length = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return np.argsort(-(vectors @ query) / length)[:K]


def timed(run: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[float, list[Any]]:
    """Median milliseconds of processor time a query, and the answers."""
    run(queries[0])
    times, answers = [], []
    for query in queries:
        start = time.process_time()
        answers.append(run(query))
        times.append(1000 * (time.process_time() - start))
    return round(statistics.median(times), 2), answers


def queries_for(vectors: np.ndarray) -> np.ndarray:
    """Some of the vectors with noise."""
    rng = np.random.default_rng(1)
    rows = rng.choice(len(vectors), QUERIES, replace=False)
    noise = rng.standard_normal((QUERIES, vectors.shape[1]), dtype=np.float32)
    return np.asarray(vectors[rows]) + 0.5 * noise


def mapped(n: int, dim: int, folder: Path) -> np.ndarray:
    rng = np.random.default_rng(0)
    np.save(folder / "noise.npy", rng.standard_normal((n, dim), dtype=np.float32))
    vectors: np.ndarray = np.load(folder / "noise.npy", mmap_mode="r")
    return vectors


def measure_exact(n: int, dim: int, folder: Path) -> dict[str, Any]:
    vectors = mapped(n, dim, folder)
    queries, times = queries_for(vectors), {}
    times["exact"], exact = timed(lambda q: nearest(vectors, q, K).rows[0], queries)
    times["numpy argsort"], by_numpy = timed(lambda q: plain(vectors, q), queries)
    oracle = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(vectors)
    times["scikit-learn"], by_sklearn = timed(
        lambda q: oracle.kneighbors(q[None], return_distance=False)[0], queries
    )
    start = time.process_time()
    nearest(vectors, queries, K)
    together = 1000 * (time.process_time() - start) / QUERIES
    times[f"exact, {QUERIES} queries at once"] = round(together, 2)
    agrees = {"numpy": recall(exact, by_numpy), "scikit-learn": recall(exact, by_sklearn)}
    found = {"rows": n, "dim": dim, "ms_a_query": times, "exact_agrees_with": agrees}
    print(found, flush=True)
    return found


def recall(exact: list[Any], found: list[Any]) -> float:
    pairs = zip(exact, found, strict=True)
    return round(float(np.mean([len({*a.tolist()} & {*b.tolist()}) / K for a, b in pairs])), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=250_000, help="rows of the exact search")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        exact = measure_exact(options.n, options.dim, Path(place))
    record = {
        "what": f"search for the {K} nearest vectors by cosine, processor time",
        **head("python benchmarks/search_speed.py -o FILE", [0, 1]),
        "queries": QUERIES,
        "exact": exact,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
