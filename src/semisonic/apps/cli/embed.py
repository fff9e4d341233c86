"""``semisonic embed``: recordings to vectors."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import EmbedOptions


def embed(options: EmbedOptions, session: Session) -> Status:
    """Turn recordings into vectors that a search and a map can use.

    Writes embeddings.npy (float32, a row per window), index.csv (what each row is) and
    embedding.json (which model). More files are added to the same folder by the same command;
    what it holds already is not embedded again.
    """
    from semisonic.labeling import run_embed

    result = run_embed(options)
    session.say(result.summary())
    session.note(
        f"next: semisonic map {options.output}, or semisonic search {options.output} RECORDING"
    )
    return session.failed(result.failures)


command = command_from(
    EmbedOptions,
    embed,
    name="embed",
    examples=[
        "semisonic embed runs/model path/to/recordings -o runs/index",
        "semisonic embed yamnet.encoder path/to/recordings --labels none --hop 1 -o runs/index",
    ],
    resumes=True,
)
