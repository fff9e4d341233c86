"""Recordings as vectors: an index of them, search by example, clusters and a map to listen to.

Names are imported when first used: the options alone need neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisonic.labeling.clusters import Clusters, find_clusters
    from semisonic.labeling.embed_options import EmbedOptions
    from semisonic.labeling.embedder import Embedder, open_embedder
    from semisonic.labeling.hits import Hit
    from semisonic.labeling.index import EmbeddingIndex
    from semisonic.labeling.making import embed
    from semisonic.labeling.map_options import MapOptions
    from semisonic.labeling.search_options import SearchOptions
    from semisonic.labeling.verbs.embed import EmbedResult, run_embed
    from semisonic.labeling.verbs.map import MapResult, run_map
    from semisonic.labeling.verbs.search import SearchResult, run_search

_WHERE = {
    "clusters": ("Clusters", "find_clusters"),
    "embed_options": ("EmbedOptions",),
    "embedder": ("Embedder", "open_embedder"),
    "hits": ("Hit",),
    "index": ("EmbeddingIndex",),
    "making": ("embed",),
    "map_options": ("MapOptions",),
    "search_options": ("SearchOptions",),
    "verbs.embed": ("EmbedResult", "run_embed"),
    "verbs.map": ("MapResult", "run_map"),
    "verbs.search": ("SearchResult", "run_search"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Clusters",
    "EmbedOptions",
    "EmbedResult",
    "Embedder",
    "EmbeddingIndex",
    "Hit",
    "MapOptions",
    "MapResult",
    "SearchOptions",
    "SearchResult",
    "embed",
    "find_clusters",
    "open_embedder",
    "run_embed",
    "run_map",
    "run_search",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
