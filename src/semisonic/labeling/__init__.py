"""Recordings as vectors, to search and to look at; and the loop from answers to a classifier.

Names are imported when first used: the options alone need neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names

if TYPE_CHECKING:
    from semisonic.labeling.clusters import Clusters, find_clusters
    from semisonic.labeling.doubted import Doubted, doubted_answers
    from semisonic.labeling.embed_options import EmbedOptions
    from semisonic.labeling.embedder import Embedder, open_embedder
    from semisonic.labeling.estimate import Estimate, accuracy_by_random
    from semisonic.labeling.hits import Hit
    from semisonic.labeling.index import EmbeddingIndex
    from semisonic.labeling.label_log import LabelLog
    from semisonic.labeling.learn_options import LearnOptions
    from semisonic.labeling.loop import Round, train_again
    from semisonic.labeling.making import embed
    from semisonic.labeling.map_options import MapOptions
    from semisonic.labeling.project import Cluster, Project
    from semisonic.labeling.project_options import (
        ProjectLearnOptions,
        ProjectOptions,
        ProjectSuggestOptions,
    )
    from semisonic.labeling.queue import Queue, Suggestion
    from semisonic.labeling.search_options import SearchOptions
    from semisonic.labeling.search_result import SearchResult
    from semisonic.labeling.starting import Started, start_project
    from semisonic.labeling.suggest_options import SuggestOptions
    from semisonic.labeling.suggesting import suggest
    from semisonic.labeling.verbs.embed import EmbedResult, run_embed
    from semisonic.labeling.verbs.map import MapResult, run_map
    from semisonic.labeling.verbs.project import LearnResult, learn_in_project, suggest_in_project
    from semisonic.labeling.verbs.search import run_search
    from semisonic.labeling.verbs.suggest import SuggestResult, run_suggest

_WHERE = {
    "clusters": ("Clusters", "find_clusters"),
    "doubted": ("Doubted", "doubted_answers"),
    "embed_options": ("EmbedOptions",),
    "embedder": ("Embedder", "open_embedder"),
    "estimate": ("Estimate", "accuracy_by_random"),
    "hits": ("Hit",),
    "index": ("EmbeddingIndex",),
    "label_log": ("LabelLog",),
    "learn_options": ("LearnOptions",),
    "loop": ("Round", "train_again"),
    "making": ("embed",),
    "map_options": ("MapOptions",),
    "project": ("Cluster", "Project"),
    "project_options": ("ProjectLearnOptions", "ProjectOptions", "ProjectSuggestOptions"),
    "queue": ("Queue", "Suggestion"),
    "search_options": ("SearchOptions",),
    "search_result": ("SearchResult",),
    "starting": ("Started", "start_project"),
    "suggesting": ("suggest",),
    "suggest_options": ("SuggestOptions",),
    "verbs.embed": ("EmbedResult", "run_embed"),
    "verbs.map": ("MapResult", "run_map"),
    "verbs.project": ("LearnResult", "learn_in_project", "suggest_in_project"),
    "verbs.search": ("run_search",),
    "verbs.suggest": ("SuggestResult", "run_suggest"),
}

__all__ = [
    "Cluster",
    "Clusters",
    "Doubted",
    "EmbedOptions",
    "EmbedResult",
    "Embedder",
    "EmbeddingIndex",
    "Estimate",
    "Hit",
    "LabelLog",
    "LearnOptions",
    "LearnResult",
    "MapOptions",
    "MapResult",
    "Project",
    "ProjectLearnOptions",
    "ProjectOptions",
    "ProjectSuggestOptions",
    "Queue",
    "Round",
    "SearchOptions",
    "SearchResult",
    "Started",
    "SuggestOptions",
    "SuggestResult",
    "Suggestion",
    "accuracy_by_random",
    "doubted_answers",
    "embed",
    "find_clusters",
    "learn_in_project",
    "open_embedder",
    "run_embed",
    "run_map",
    "run_search",
    "run_suggest",
    "start_project",
    "suggest",
    "suggest_in_project",
    "train_again",
]


__getattr__ = lazy_names(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
