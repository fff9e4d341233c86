"""``semisonic data``: the verbs about recordings."""

from __future__ import annotations

from semisonic.apps.cli.main import DATA_VERBS, Verbs

command = Verbs(
    DATA_VERBS, name="data", help="Look at recordings, check, decode, make or fetch them."
)
