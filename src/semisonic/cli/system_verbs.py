"""The verbs about this machine and what lies on it: app, cache, info."""

from __future__ import annotations

import json
from pathlib import Path

from semisonic.cli.parser import Session, Status, verb
from semisonic.core.options import option
from semisonic.core.text import bytes_text, text_table
from semisonic.core.user_cache import cache_entries, clear_cache, user_cache
from semisonic.features.options import MelOptions


@verb(
    optional=("model",),
    examples=[
        "semisonic app runs/model",
        "semisonic app runs/model --folder path/to/recordings",
        "semisonic app --project runs/project",
        "semisonic app runs/model --host 0.0.0.0 --no-browser",
    ],
)
def app(
    session: Session,
    model: Path | None = option(
        None,
        "model file, or the run folder it lies in; one of those below --runs can be chosen "
        "on the page",
    ),
    folder: tuple[Path, ...] = option(
        (), "folder of recordings that the page may open; nothing outside it is read"
    ),
    project: Path | None = option(
        None, "folder of a project (see 'semisonic project new'), to listen and label in"
    ),
    runs: Path = option(Path("runs"), "folder in which the page looks for models and reports"),
    encoder: Path | None = option(
        None,
        "encoder that projects started on the page may use: a file, the name of a general "
        "encoder (see 'semisonic encoder list'), or vectors made elsewhere (.parquet, or the "
        "folder of a perch-hoplite database)",
    ),
    host: str = option(
        "127.0.0.1", "address to listen on; any other than this machine's own needs a token"
    ),
    port: int = option(8765, "port; 0 for any that is free", minimum=0, maximum=65535),
    token: str = option(
        "", "word that a browser must know; made and printed if needed and not given"
    ),
    browser: bool = option(True, "open the page in the browser"),
    max_megabytes: float = option(
        1000.0, "largest file that the page takes", unit="MB", minimum=0.1, maximum=100_000.0
    ),
    max_hours: float = option(12.0, "longest recording", unit="h", minimum=0.001, maximum=1000.0),
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps"),
) -> Status:
    """Try a model, listen live, label recordings and look at runs, in the browser.

    The page is served by this machine and needs nothing from the internet. What is dropped on it
    stays in a temporary folder until the app is closed. Ctrl-C closes it.
    """
    from semisonic.web.serving import serve

    serve(
        session.say,
        host=host,
        port=port,
        token=token,
        browser=browser,
        model=model,
        folder=folder,
        project=project,
        runs=runs,
        encoder=encoder,
        max_megabytes=max_megabytes,
        max_hours=max_hours,
        device=device,
    )
    return Status.OK


@verb(optional=("action",), examples=["semisonic cache", "semisonic cache clear"])
def cache(
    session: Session,
    action: str = option("list", "what to do; list if not given", choices=("list", "clear")),
) -> Status:
    """List what is kept for all runs with its size, or delete it (clear).

    It holds what takes long to make and depends on nobody's recordings, such as encoders that have
    learned synthetic sounds. What was deleted is made again when it is needed. The environment
    variable SEMISONIC_CACHE names another folder.
    """
    if action == "clear":
        session.say(f"{user_cache()}: {bytes_text(clear_cache())} deleted")
        return Status.OK
    found = cache_entries()
    if not found:
        session.say(f"{user_cache()}: empty")
        return Status.OK
    session.say(text_table(["name", "size"], [[name, bytes_text(size)] for name, size in found]))
    total = bytes_text(sum(size for _, size in found))
    session.say(f"{user_cache()}: {total}; may be deleted: semisonic cache clear")
    return Status.OK


@verb(
    optional=("path",),
    examples=[
        "semisonic info",
        "semisonic info runs/model --json",
        'semisonic info "(64)5c-2p-(64)3c-2p-128fc" --n-mels 28',
    ],
)
def info(
    session: Session,
    path: str = option(
        "", "model, encoder, run folder, or architecture; this machine if not given"
    ),
    json_: bool = option(False, "print JSON"),
    mel: MelOptions = option(MelOptions(), "front end that an architecture is shown for"),
) -> None:
    """Say what a model, an encoder, a run folder or an architecture is.

    Without a path: what this machine has, and the versions in use.
    """
    from semisonic.classifier.info import info as work

    found = work(path, mel)
    if json_:
        session.say(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, default=str))
    else:
        session.say(found.summary())
