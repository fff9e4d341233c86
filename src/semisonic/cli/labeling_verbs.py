"""The verbs around labelling: embed, search, map, suggest, project."""

from __future__ import annotations

from dataclasses import MISSING
from pathlib import Path

from semisonic.cli.parser import Session, Status, verb
from semisonic.core.options import DEVICE, DeviceOptions, EngineOptions, option, same_option
from semisonic.data.options import GROUP, LABEL_CHOICES
from semisonic.labeling.options import (
    BATCH_SIZE,
    PROJECTIONS,
    TSNE,
    UNITS,
    WINDOW,
    ProjectOptions,
    QueueOptions,
)

_MODEL = option(MISSING, "classifier or encoder: its file or run folder")
_INDEX = option(MISSING, "folder of the index, written by 'semisonic embed'")
_DEVICE, _WORKERS = same_option(DeviceOptions, "device"), same_option(DeviceOptions, "workers")


@verb(
    examples=[
        "semisonic embed runs/model path/to/recordings -o runs/index",
        "semisonic embed yamnet path/to/recordings --labels none --hop 1 -o runs/index",
        "semisonic embed birdnet.npy segments.csv -o runs/birdnet",
    ],
    resumes=True,
)
def embed(
    session: Session,
    model: Path = option(
        MISSING,
        "classifier or encoder: its file or run folder; or embeddings made elsewhere: a .npy or "
        ".parquet file, or the folder of a perch-hoplite database",
    ),
    files: tuple[Path, ...] = option(
        MISSING,
        "recordings, folders of recordings, or tables of clips; with a .npy file, the CSV table "
        "of its rows; with other embeddings, the folder that their file names are relative to",
    ),
    output: Path = option(
        Path("runs/embed"),
        "folder of the index; recordings that it already has are not embedded again",
    ),
    per: str = option(
        WINDOW,
        "what a row is: a window of the model's clip length, or a clip (the mean of its windows)",
        choices=UNITS,
    ),
    hop: float | None = option(
        None, "step between windows; by default the model's clip length", unit="s", minimum=0.001
    ),
    labels: str = option(
        "auto",
        "source of the labels, for colours on the map; auto chooses by the layout of the data; "
        "none: no labels, for folders that are not classes",
        choices=LABEL_CHOICES,
    ),
    group: str = option("auto", GROUP),
    batch_size: int = option(BATCH_SIZE, "windows embedded in one batch", minimum=1),
    engine: EngineOptions = option(EngineOptions(), "engine"),
    device: str = _DEVICE,
    workers: int | None = _WORKERS,
) -> Status:
    """Turn recordings into embeddings, for 'semisonic search' and 'semisonic map'.

    Writes embeddings.npy (float32, a row per window), index.csv (what each row is) and
    embedding.json (which model). The same command adds more files to the same folder; recordings
    that it already has are not embedded again.
    """
    from semisonic.labeling.embed import embed_files

    result = embed_files(
        model,
        files,
        output,
        engine,
        per=per,
        hop=hop,
        labels=labels,
        group=group,
        batch_size=batch_size,
        device=device,
        workers=workers,
    )
    session.say(result.summary())
    session.note(f"next: semisonic map {output}, or semisonic search {output} RECORDING")
    return session.failed(result.failures)


@verb(
    optional=("query",),
    examples=[
        "semisonic search runs/index example.wav",
        "semisonic search runs/index long.wav --start 12.5 --end 14 -k 20 -o runs/search",
        "semisonic search runs/index --row 17 --row 42 --other-files",
    ],
)
def search(
    session: Session,
    index: Path = _INDEX,
    query: tuple[Path, ...] = option((), "recordings as examples; several examples are averaged"),
    row: tuple[int, ...] = option((), "rows of the index as examples", minimum=0),
    start: float = option(0.0, "start of the example in its recording", unit="s", minimum=0),
    end: float | None = option(
        None,
        "end of the example; by default the end of the recording",
        unit="s",
        minimum=0,
    ),
    k: int = option(10, "number of hits", minimum=1, maximum=10_000),
    all_windows: bool = option(
        False, "count each window as a hit; off: join adjacent windows of a recording into one hit"
    ),
    other_files: bool = option(
        False, "leave out hits in the recordings that the examples come from"
    ),
    model: Path | None = option(None, "model of the index, if it was moved"),
    output: Path | None = option(None, "run folder for the table and a page with players"),
    players: int = option(20, "hits with a player on the page", minimum=0, maximum=200),
    device: str = option("auto", DEVICE),
) -> Status:
    """Find the recordings that sound like an example.

    Compares the examples with every row of the index. Adjacent windows of a recording are one hit.
    """
    from semisonic.labeling.search import search_index

    found = search_index(
        index,
        query,
        row,
        start=start,
        end=end,
        k=k,
        all_windows=all_windows,
        other_files=other_files,
        model=model,
        output=output,
        players=players,
        device=device,
    )
    session.say(found.summary())
    return Status.OK


@verb(
    examples=[
        "semisonic map runs/index",
        "semisonic map runs/index --clusters auto -o runs/clusters",
        "semisonic map runs/index --projection pca --most 10000 -o runs/all",
    ],
)
def map(  # noqa: A001
    session: Session,
    index: Path = _INDEX,
    output: Path | None = option(None, "run folder; by default 'map' in the index"),
    projection: str = option(
        TSNE,
        "how points are placed: tsne keeps neighbours together; pca is linear and quick",
        choices=PROJECTIONS,
    ),
    most: int = option(
        3000,
        "most points on the map; from more rows, this many are drawn at random",
        minimum=5,
        maximum=20_000,
    ),
    clusters: str = option(
        "",
        "number of groups of rows that sound alike (k-means), written into the index; auto: the "
        "number whose groups are found again in halves of the rows",
    ),
    megabytes: float = option(
        20.0,
        "largest size of the sounds in the page; above it, the page plays the recordings from "
        "their own files",
        unit="MB",
        minimum=0.0,
        maximum=500,
    ),
    seed: int = option(0, "seed of everything random", minimum=0),
) -> Status:
    """Draw a map of recordings to listen to, in which similar sounds are near each other.

    The page needs no other file and no network, unless it links to the recordings.
    """
    from semisonic.labeling.map import draw_map

    result = draw_map(
        index,
        output,
        projection=projection,
        most=most,
        clusters=clusters,
        megabytes=megabytes,
        seed=seed,
    )
    session.say(result.text)
    return session.failed(result.failures)


@verb(
    arguments=("model", "data"),
    examples=[
        "semisonic suggest synth path/to/recordings -n 20 -o queue.csv",
        "semisonic suggest runs/model path/to/recordings -o queue.csv",
        "semisonic suggest runs/model runs/index --log queue.csv -o next.csv",
    ],
    resumes=True,
)
def suggest(
    session: Session,
    model: Path = option(
        MISSING,
        "classifier or encoder: its file or run folder; or 'synth', an encoder trained on "
        "synthetic sounds, if there is no model yet",
    ),
    data: Path = option(
        MISSING, "recordings without labels, a table of clips, or the folder of an index"
    ),
    output: Path = option(
        Path("queue.csv"), "table of the segments, in the order to listen to them"
    ),
    log: Path | None = option(
        None,
        "label log, or a table with labels such as a queue that was filled in; segments "
        "answered in it are left out",
    ),
    cache: Path | None = option(
        None, "folder that keeps the embeddings of the recordings; by default beside the table"
    ),
    seed: int = option(0, "seed of everything random; keep it from round to round", minimum=0),
    queue: QueueOptions = option(QueueOptions(), "queue"),
    device: str = _DEVICE,
    workers: int | None = _WORKERS,
) -> Status:
    """Choose the segments of recordings to listen to and label next.

    Writes a table: recording, times, the reason for the choice, the classifier's predictions, and
    an empty column 'label'. Fill in the column and train on the table, or answer in the app.
    """
    from semisonic.labeling.suggest import write_queue

    said, failures = write_queue(
        model,
        data,
        output,
        queue,
        log=log,
        cache=cache,
        seed=seed,
        device=device,
        workers=workers,
    )
    session.say(said)
    session.note(f"next: fill in the column 'label' of {output}, then semisonic train {output}")
    return session.failed(failures)


@verb(
    ProjectOptions,
    name="new",
    examples=[
        "semisonic project new path/to/recordings -o runs/project",
        "semisonic project new path/to/recordings --encoder yamnet -o runs/project",
        "semisonic project new segments.csv --encoder birdnet.npy -o runs/birds",
    ],
    resumes=True,
)
def project_new(options: ProjectOptions, session: Session) -> Status:
    """Start a project from a folder of recordings without labels.

    Checks all recordings, trains an encoder on them without labels, computes the embeddings of all
    segments and finds groups that sound alike. This takes minutes, once, and asks nothing.
    """
    from semisonic.labeling.start import start_project

    started = start_project(options)
    session.say(started.summary())
    return session.failed(started.failures, options.output / "scan" / "bad_files.csv")


@verb(
    name="suggest",
    arguments=("project",),
    examples=["semisonic project suggest runs/project -n 20"],
)
def project_suggest(
    session: Session,
    project: Path = option(Path("runs/project"), "folder of the project"),
    output: Path | None = option(
        None, "table of the segments; by default queue.csv in the project"
    ),
    annotator: str = option("", "name of the person who filled in the previous table"),
    queue: QueueOptions = option(QueueOptions(n=20), "queue"),
) -> Status:
    """Write the table of segments to listen to next.

    The first tables have typical segments of groups without labels; once there is a classifier,
    the segments it is least sure of. Some are drawn at random, to measure the classifier.
    """
    from semisonic.labeling.project import Project, suggest_in_project

    opened = Project.open(project)
    session.say(suggest_in_project(opened, queue, output, annotator=annotator))
    session.note(f"next: fill in the column 'label', then semisonic project learn {project}")
    return Status.OK


@verb(
    name="learn",
    arguments=("project",),
    examples=[
        "semisonic project learn runs/project",
        "semisonic project learn runs/project --answers runs/project/queue.csv",
    ],
)
def project_learn(
    session: Session,
    project: Path = option(Path("runs/project"), "folder of the project"),
    answers: Path | None = option(
        None, "table whose column 'label' was filled in; its answers are first added to the log"
    ),
    annotator: str = option("", "name of the person who filled in the table"),
    several_labels: bool | None = option(
        None,
        "from now on, allow several labels for a clip of the project; --no-several-labels: only "
        "one; by default as before",
    ),
) -> Status:
    """Learn from all answers so far, and measure.

    Takes a second or two. Writes model.zip, and adds a row to history.csv with the accuracy on
    segments that were drawn at random.
    """
    from semisonic.labeling.project import Project, learn_in_project

    opened = Project.open(project)
    if several_labels is not None:
        opened.set_several_labels(several_labels)
    said, problems = learn_in_project(opened, answers, annotator=annotator)
    session.say(said)
    return session.failed(problems, what="line")


@verb(
    name="improve",
    arguments=("project",),
    examples=["semisonic project improve runs/project"],
    resumes=True,
)
def project_improve(
    session: Session,
    project: Path = option(Path("runs/project"), "folder of the project"),
    device: str = _DEVICE,
    workers: int | None = _WORKERS,
) -> Status:
    """Train the encoder of a project on its recordings, for better embeddings.

    For projects that started with the encoder of the package. Takes minutes, and keeps answers and
    groups. The new embeddings are not used if fewer answers are predicted correctly with them.
    """
    from semisonic.labeling.improve import improve_project

    session.say(improve_project(project, device=device, workers=workers).said)
    return Status.OK
