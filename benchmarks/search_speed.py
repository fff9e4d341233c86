"""How long a search takes in 250 000 vectors, and what an approximate one in 50 000 misses.

    python benchmarks/search_speed.py -o benchmarks/results/search_speed.json

Processor time, one thread (the graph is made by all). Vectors lie in a memory-mapped file that the
system holds in memory. Two kinds: normal noise, the hardest for a graph of neighbours, and noise
around 500 centres, as recordings are.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from measuring import head
from semisonic.core.files import write_json
from semisonic.labeling.nearest import nearest, nearest_by_graph, open_graph

K = 10
QUERIES = 30
CENTRES = 500


def make(kind: str, n: int, dim: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    if kind == "centres":
        centres = rng.standard_normal((CENTRES, dim), dtype=np.float32)
        vectors = 0.5 * vectors + centres[rng.integers(0, CENTRES, n)]
    return vectors


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


def mapped(kind: str, n: int, dim: int, folder: Path) -> np.ndarray:
    np.save(folder / f"{kind}-{n}.npy", make(kind, n, dim))
    vectors: np.ndarray = np.load(folder / f"{kind}-{n}.npy", mmap_mode="r")
    return vectors


def measure_exact(n: int, dim: int, folder: Path) -> dict[str, Any]:
    vectors = mapped("noise", n, dim, folder)
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


def measure_graph(kind: str, n: int, dim: int, folder: Path) -> dict[str, Any]:
    vectors = mapped(kind, n, dim, folder)
    queries, times = queries_for(vectors), {}
    start = time.process_time()
    graph = open_graph(vectors, folder / f"{kind}.usearch", "cosine")
    made = time.process_time() - start
    times["exact"], exact = timed(lambda q: nearest(vectors, q, K).rows[0], queries)
    times["approximate"], near = timed(
        lambda q: nearest_by_graph(graph, vectors, q, K).rows[0], queries
    )
    found = {
        "kind": kind,
        "rows": n,
        "dim": dim,
        "ms_a_query": times,
        "recall_of_approximate": recall(exact, near),
        "graph_made_in_s": round(made, 1),
        "graph_mb": round((folder / f"{kind}.usearch").stat().st_size / 1e6, 1),
    }
    print(found, flush=True)
    return found


def recall(exact: list[Any], found: list[Any]) -> float:
    pairs = zip(exact, found, strict=True)
    return round(float(np.mean([len({*a.tolist()} & {*b.tolist()}) / K for a, b in pairs])), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=250_000, help="rows of the exact search")
    parser.add_argument("--graph", type=int, default=50_000, help="rows of the approximate one")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        exact = measure_exact(options.n, options.dim, folder)
        graphs = [
            measure_graph(kind, options.graph, options.dim, folder) for kind in ("noise", "centres")
        ]
    record = {
        "what": f"search for the {K} nearest vectors by cosine, processor time",
        **head("python benchmarks/search_speed.py -o FILE", [0, 1]),
        "usearch": version("usearch"),
        "queries": QUERIES,
        "exact": exact,
        "approximate": graphs,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
