"""The verbs about this machine and its files: app, cache, info."""

from __future__ import annotations

import json
from pathlib import Path

from semisonic.classifier.options import EventOptions
from semisonic.cli.parser import Session, Status, verb
from semisonic.core.options import option, same_option
from semisonic.core.text import bytes_text, text_table
from semisonic.core.user_cache import cache_entries, clear_cache, user_cache
from semisonic.features.options import MelOptions


@verb(
    optional=("model",),
    examples=[
        "semisonic app runs/model",
        "semisonic app runs/model --folder path/to/recordings",
        "semisonic app --project runs/project",
        "semisonic app runs/model --threshold thresholds.csv",
        "semisonic app runs/model --host 0.0.0.0 --no-browser",
        "semisonic app runs/model --host 0.0.0.0 --allowed-host sounds.example.org",
    ],
)
def app(
    session: Session,
    model: Path | None = option(
        None,
        "model file or its run folder; models below --runs can also be chosen on the page",
    ),
    folder: tuple[Path, ...] = option(
        (), "folder of recordings that the page may open; nothing outside is read; may be repeated"
    ),
    project: Path | None = option(
        None, "folder of a project to label in (see 'semisonic project new')"
    ),
    runs: Path = option(Path("runs"), "folder in which the page looks for models and reports"),
    encoder: Path | None = option(
        None,
        "encoder for projects that are started on the page: a file, the name of a general "
        "encoder (see 'semisonic encoder list'), or embeddings made elsewhere (.parquet, or the "
        "folder of a perch-hoplite database)",
    ),
    threshold: str = same_option(EventOptions, "threshold"),
    host: str = option(
        "127.0.0.1", "address to listen on; an address that other machines can reach needs a token"
    ),
    port: int = option(8765, "port to listen on; 0: any free port", minimum=0, maximum=65535),
    allowed_host: tuple[str, ...] = option(
        (),
        "name in the browser's address bar, if it is another one than this machine's, as behind a "
        "proxy; may be repeated",
    ),
    token: str = option(
        "", "password that the browser must give; if needed and not given, one is made and printed"
    ),
    browser: bool = option(True, "open the page in the browser"),
    max_megabytes: float = option(
        1000.0, "largest file that the page accepts", unit="MB", minimum=0.1, maximum=100_000.0
    ),
    max_hours: float = option(
        12.0, "longest recording that the page accepts", unit="h", minimum=0.001, maximum=1000.0
    ),
    device: str = option("auto", "device: auto, cpu, cuda, cuda:1 or mps"),
) -> Status:
    """Open a page in the browser to try a model, listen live, label recordings and see runs.

    This machine serves the page, and nothing comes from the internet. Files dropped on the page
    stay in a temporary folder until the app stops. Ctrl-C stops the app.
    """
    from semisonic.web.serving import serve

    serve(
        session.say,
        host=host,
        port=port,
        allowed_host=allowed_host,
        token=token,
        browser=browser,
        model=model,
        folder=folder,
        project=project,
        runs=runs,
        encoder=encoder,
        threshold=threshold,
        max_megabytes=max_megabytes,
        max_hours=max_hours,
        device=device,
    )
    return Status.OK


@verb(optional=("action",), examples=["semisonic cache", "semisonic cache clear"])
def cache(
    session: Session,
    action: str = option(
        "list", "list the files, or clear: delete them", choices=("list", "clear")
    ),
) -> Status:
    """List the files that are kept for all runs, with their sizes, or delete them (clear).

    These files take long to make and do not depend on your recordings, such as encoders trained on
    synthetic sounds. Deleted files are made again when needed. The environment variable
    SEMISONIC_CACHE sets another folder.
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
    session.say(f"{user_cache()}: {total}; to delete them: semisonic cache clear")
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
    path: str = option("", "model, encoder, run folder or architecture; by default this machine"),
    json_: bool = option(False, "print JSON"),
    mel: MelOptions = option(MelOptions(), "front end for which an architecture is shown"),
) -> None:
    """Describe a model, an encoder, a run folder or an architecture.

    Without an argument, show what this machine has and which versions are in use.
    """
    from semisonic.classifier.info import info as work

    found = work(path, mel)
    if json_:
        session.say(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, default=str))
    else:
        session.say(found.summary())
