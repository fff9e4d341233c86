"""``semisonic project``: from a folder without a label to a first classifier."""

from __future__ import annotations

from semisonic.apps.cli.main import PROJECT_VERBS, Verbs

command = Verbs(
    PROJECT_VERBS, name="project", help="From a folder without labels to a first classifier."
)
