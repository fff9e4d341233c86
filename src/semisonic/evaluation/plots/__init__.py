"""Figures, one file each; every function returns a matplotlib ``Figure`` and opens no window.

This package imports matplotlib, and all others take it from here: figures are drawn into memory, so
that a back end that another program named is none of their business.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from semisonic.core.variables import set_aside

BACKEND = "MPLBACKEND"
"""Variable with the back end that pyplot will use; Jupyter sets it."""


def _import_matplotlib() -> None:
    """Import matplotlib, which refuses to be imported where the named back end is missing.

    The variable stays as it is, and where its back end exists, pyplot uses it as always. Where
    matplotlib cannot write its settings, it warns and takes a temporary folder: that is no matter
    of a training or a report.
    """
    if "matplotlib" in sys.modules:
        return
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with set_aside(BACKEND):
            import matplotlib as mpl
    finally:
        log.setLevel(level)
    if os.environ.get(BACKEND):
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = os.environ[BACKEND]


_import_matplotlib()
