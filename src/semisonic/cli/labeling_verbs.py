"""The verbs around labelling: embed, search, map, suggest, project."""

from __future__ import annotations

from semisonic.cli.parser import command_from
from semisonic.cli.session import Session, Status
from semisonic.labeling.options import (
    EmbedOptions,
    MapOptions,
    ProjectLearnOptions,
    ProjectOptions,
    ProjectSuggestOptions,
    SearchOptions,
    SuggestOptions,
)

# ``semisonic embed``: recordings to vectors.


def embed(options: EmbedOptions, session: Session) -> Status:
    """Turn recordings into vectors that a search and a map can use.

    Writes embeddings.npy (float32, a row per window), index.csv (what each row is) and
    embedding.json (which model). More files are added to the same folder by the same command;
    what it holds already is not embedded again.
    """
    from semisonic.labeling.embed import run_embed

    result = run_embed(options)
    session.say(result.summary())
    session.note(
        f"next: semisonic map {options.output}, or semisonic search {options.output} RECORDING"
    )
    return session.failed(result.failures)


embed_command = command_from(
    EmbedOptions,
    embed,
    name="embed",
    examples=[
        "semisonic embed runs/model path/to/recordings -o runs/index",
        "semisonic embed yamnet.encoder path/to/recordings --labels none --hop 1 -o runs/index",
    ],
    resumes=True,
)


# ``semisonic search``: what sounds like an example.


def search(options: SearchOptions, session: Session) -> Status:
    """Find the recordings that sound like an example.

    Every row of the index is compared, block by block. Windows of a recording that follow each
    other are one hit.
    """
    from semisonic.labeling.search import run_search

    session.say(run_search(options).summary())
    return Status.OK


search_command = command_from(
    SearchOptions,
    search,
    name="search",
    optional=("query",),
    examples=[
        "semisonic search runs/index example.wav",
        "semisonic search runs/index long.wav --start 12.5 --end 14 -k 20 -o runs/search",
        "semisonic search runs/index --row 17 --row 42 --other-files",
    ],
)


# ``semisonic map``: recordings as points to listen to.


def draw_map(options: MapOptions, session: Session) -> Status:
    """Draw recordings as points to listen to, those that sound alike near each other.

    The page needs no other file and no network, unless its sounds are links.
    """
    from semisonic.labeling.map import run_map

    result = run_map(options)
    session.say(result.summary())
    return session.failed(result.failures)


map_command = command_from(
    MapOptions,
    draw_map,
    name="map",
    examples=[
        "semisonic map runs/index",
        "semisonic map runs/index --clusters auto -o runs/clusters",
        "semisonic map runs/index --projection pca --most 10000 --sounds link -o runs/all",
    ],
)


# ``semisonic suggest``: what to listen to next.


def suggest(options: SuggestOptions, session: Session) -> Status:
    """Say which stretches of recordings to listen to and to label next.

    Writes a table: recording, times, why it is asked, the classifier's guesses, and an empty
    column 'label'. Fill that in and train from the table, or answer in the page.
    """
    from semisonic.labeling.suggest import run_suggest

    result = run_suggest(options)
    session.say(result.summary())
    session.note(
        f"next: fill in the column 'label' of {options.output}, then "
        f"semisonic train {options.output}"
    )
    return session.failed(result.failures)


suggest_command = command_from(
    SuggestOptions,
    suggest,
    name="suggest",
    arguments=("model", "data"),
    examples=[
        "semisonic suggest synth path/to/recordings -n 20 -o queue.csv",
        "semisonic suggest runs/model path/to/recordings --log labels.jsonl -o queue.csv",
        "semisonic suggest runs/model runs/index --strategy uncertain",
    ],
    resumes=True,
)


# ``semisonic project new``: start from a folder of recordings.


def project_new(options: ProjectOptions, session: Session) -> Status:
    """Start from a folder of recordings without a label.

    Looks at all recordings, lets an encoder learn from them without labels, makes vectors of
    all stretches and finds groups that sound alike. Takes minutes, once; nothing is asked.
    """
    from semisonic.labeling.start import start_project

    started = start_project(options)
    session.say(started.summary())
    return session.failed(started.failures, options.output / "scan" / "bad_files.csv")


project_new_command = command_from(
    ProjectOptions,
    project_new,
    name="new",
    arguments=("recordings",),
    examples=[
        "semisonic project new path/to/recordings -o runs/project",
        "semisonic project new path/to/recordings --encoder yamnet.encoder -o runs/project",
    ],
    resumes=True,
)


# ``semisonic project suggest``: what to listen to next in a project.


def project_suggest(options: ProjectSuggestOptions, session: Session) -> Status:
    """Write the table of what to listen to next.

    The first tables hold what is typical of groups without a label; once there is a
    classifier, what it doubts. A part is drawn by chance: it tells how good the classifier is.
    """
    from semisonic.labeling.project import suggest_in_project

    session.say(suggest_in_project(options).summary())
    session.note(
        f"next: fill in the column 'label', then semisonic project learn {options.project}"
    )
    return Status.OK


project_suggest_command = command_from(
    ProjectSuggestOptions,
    project_suggest,
    name="suggest",
    arguments=("project",),
    examples=["semisonic project suggest runs/project -n 20"],
)


# ``semisonic project learn``: a classifier from the answers so far.


def project_learn(options: ProjectLearnOptions, session: Session) -> Status:
    """Learn from all answers so far, and measure.

    Takes a second or two. Writes model.zip, and a row of history.csv with the accuracy on
    stretches that were drawn by chance.
    """
    from semisonic.labeling.project import learn_in_project

    result = learn_in_project(options)
    session.say(result.summary())
    return session.failed(result.problems, what="line")


project_learn_command = command_from(
    ProjectLearnOptions,
    project_learn,
    name="learn",
    arguments=("project",),
    examples=[
        "semisonic project learn runs/project",
        "semisonic project learn runs/project --answers runs/project/queue.csv",
    ],
)
