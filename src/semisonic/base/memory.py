"""Memory that is freed and needed again at once, clip after clip."""

from __future__ import annotations

import ctypes

# Names of glibc's malloc.h; the first is as high as it may be.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST, _KEPT = 32 << 20, 64 << 20


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MiB that it has freed, where its C library is glibc.

    As it is, glibc gives blocks of the size of a clip back to the system, which has to find and
    clear new pages for the next clip: a third of the time of decoding a wav file. Applications
    call this, and the processes that they start; a library leaves the allocator alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
