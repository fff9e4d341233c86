"""The verbs about this machine and what lies on it: app, cache, info."""

from __future__ import annotations

import json

from semisonic.classifier.options import InfoOptions
from semisonic.cli.parser import command_from
from semisonic.cli.session import Session, Status
from semisonic.core.text import bytes_text, text_table
from semisonic.core.user_cache import CacheOptions, cache_entries, clear_cache, user_cache
from semisonic.web.options import AppOptions

# ``semisonic app``: a page in the browser.


def app(options: AppOptions, session: Session) -> Status:
    """Try a model, listen live, label recordings and look at runs, in the browser.

    The page is served by this machine and needs nothing from the internet. What is dropped on it
    stays in a temporary folder until the app is closed. Ctrl-C closes it.
    """
    from semisonic.web.serving import serve

    serve(options, session.say)
    return Status.OK


app_command = command_from(
    AppOptions,
    app,
    name="app",
    optional=("model",),
    examples=[
        "semisonic app runs/model",
        "semisonic app runs/model --folder path/to/recordings",
        "semisonic app --project runs/project",
        "semisonic app runs/model --host 0.0.0.0 --no-browser",
    ],
)


# ``semisonic cache``: what is kept for all runs, and how to be rid of it.


def cache(options: CacheOptions, session: Session) -> Status:
    """List what is kept for all runs with its size, or delete it (clear).

    It holds what takes long to make and depends on nobody's recordings, such as encoders that have
    learned made-up sounds. What was deleted is made again when it is needed. The environment
    variable SEMISONIC_CACHE names another folder.
    """
    if options.action == "clear":
        session.say(f"{user_cache()}: {bytes_text(clear_cache())} deleted")
        return Status.OK
    found = cache_entries()
    if not found:
        session.say(f"{user_cache()}: empty")
        return Status.OK
    session.say(text_table(["name", "size"], [[one.name, bytes_text(one.size)] for one in found]))
    total = bytes_text(sum(one.size for one in found))
    session.say(f"{user_cache()}: {total}; may be deleted: semisonic cache clear")
    return Status.OK


cache_command = command_from(
    CacheOptions,
    cache,
    name="cache",
    optional=("action",),
    examples=["semisonic cache", "semisonic cache clear"],
)


# ``semisonic info``: what a model or a run is, and what this machine has.


def info(options: InfoOptions, session: Session) -> None:
    """Say what a model, an encoder, a run folder or an architecture is.

    Without a path: what this machine has, and the versions in use.
    """
    from semisonic.classifier.info import info as work

    found = work(options)
    if options.json:
        session.say(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, default=str))
    else:
        session.say(found.summary())


info_command = command_from(
    InfoOptions,
    info,
    name="info",
    optional=("path",),
    examples=[
        "semisonic info",
        "semisonic info runs/model --json",
        'semisonic info "(64)5c-2p-(64)3c-2p-128fc" --n-mels 28',
    ],
)
