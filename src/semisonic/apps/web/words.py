"""Errors in words for the page. No web framework here: the process that makes projects reads it."""

from __future__ import annotations

import errno

from semisonic.base.errors import AudioError, SemisonicError


def in_words(error: BaseException) -> str:
    """What went wrong, for people; an error of ours in the code is named as one."""
    if isinstance(error, AudioError):
        return error.reason
    if isinstance(error, SemisonicError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"{where}the disk is full. What was saved before is safe; free some space and "
                "try again"
            )
        return f"{where}{error.strerror or error}"
    return f"failed: {type(error).__name__}: {error}"
