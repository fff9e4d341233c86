"""``semisonic cache``: what is kept for all runs, and how to be rid of it."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status, table
from semisonic.base.user_cache import CacheOptions, clear, entries, in_megabytes, user_cache


def cache(options: CacheOptions, session: Session) -> Status:
    """List what is kept for all runs with its size, or delete it (clear).

    It holds what takes long to make and depends on nobody's recordings, such as encoders that have
    learned made-up sounds. What was deleted is made again when it is needed. The environment
    variable SEMISONIC_CACHE names another folder.
    """
    if options.action == "clear":
        session.say(f"{user_cache()}: {in_megabytes(clear())} deleted")
        return Status.OK
    found = entries()
    if not found:
        session.say(f"{user_cache()}: empty")
        return Status.OK
    session.say(table(["name", "size"], [[one.name, in_megabytes(one.size)] for one in found]))
    total = in_megabytes(sum(one.size for one in found))
    session.say(f"{user_cache()}: {total}; may be deleted: semisonic cache clear")
    return Status.OK


command = command_from(
    CacheOptions,
    cache,
    name="cache",
    optional=("action",),
    examples=["semisonic cache", "semisonic cache clear"],
)
