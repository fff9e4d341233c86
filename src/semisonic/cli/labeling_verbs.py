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

_MODEL = option(MISSING, "classifier or encoder: its file, or the run folder it lies in")
_INDEX = option(MISSING, "folder that 'embed' wrote")
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
        "classifier or encoder: its file, or the run folder it lies in; or vectors made elsewhere: "
        "a .npy or .parquet file, or the folder of a database of perch-hoplite",
    ),
    files: tuple[Path, ...] = option(
        MISSING,
        "recordings, folders of recordings, or tables of clips; beside a .npy file the CSV table "
        "of its rows, beside other vectors the folder that they name recordings from",
    ),
    output: Path = option(
        Path("runs/embed"), "folder of the index; what it holds already is not embedded again"
    ),
    per: str = option(
        WINDOW,
        "a row for each window of the model's clip length, or for each clip: the mean of "
        "its windows",
        choices=UNITS,
    ),
    hop: float | None = option(
        None, "step between windows; the model's clip length if not given", unit="s", minimum=0.001
    ),
    labels: str = option(
        "auto",
        "where labels come from, for colours on the map; auto looks at the layout, none leaves "
        "them out, for folders that are no classes",
        choices=LABEL_CHOICES,
    ),
    group: str = option("auto", GROUP),
    batch_size: int = option(BATCH_SIZE, "windows embedded at once", minimum=1),
    engine: EngineOptions = option(EngineOptions(), "engine"),
    device: str = _DEVICE,
    workers: int | None = _WORKERS,
) -> Status:
    """Turn recordings into vectors that a search and a map can use.

    Writes embeddings.npy (float32, a row per window), index.csv (what each row is) and
    embedding.json (which model). More files are added to the same folder by the same command;
    what it holds already is not embedded again.
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
    query: tuple[Path, ...] = option(
        (), "recordings to look for; the mean of several examples is looked for"
    ),
    row: tuple[int, ...] = option((), "rows of the index as examples", minimum=0),
    start: float = option(0.0, "where the example begins in its recording", unit="s", minimum=0),
    end: float | None = option(
        None,
        "where the example ends; at the end of the recording if not given",
        unit="s",
        minimum=0,
    ),
    k: int = option(10, "hits", minimum=1, maximum=10_000),
    all_windows: bool = option(
        False, "each window is a hit; otherwise neighbouring ones of a recording are one"
    ),
    other_files: bool = option(False, "leave out hits in the recordings of the examples"),
    model: Path | None = option(None, "model that the index was made with, if it was moved"),
    output: Path | None = option(None, "run folder for the table and a page with players"),
    players: int = option(20, "hits on the page with a player", minimum=0, maximum=200),
    device: str = option("auto", DEVICE),
) -> Status:
    """Find the recordings that sound like an example.

    Every row of the index is compared, block by block. Windows of a recording that follow each
    other are one hit.
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
    output: Path | None = option(None, "run folder; if not given 'map' in the index"),
    projection: str = option(
        TSNE, "tsne keeps neighbours together; pca is linear and quick", choices=PROJECTIONS
    ),
    most: int = option(
        3000,
        "points on the map; of more rows so many are drawn at random",
        minimum=5,
        maximum=20_000,
    ),
    clusters: str = option(
        "",
        "groups of rows that sound alike (k-means), written into the index: a number, or auto: the "
        "number whose groups come out again in halves of the rows",
    ),
    megabytes: float = option(
        20.0,
        "most that sounds in the page may take; of more, the page plays the recordings where "
        "they lie",
        unit="MB",
        minimum=0.0,
        maximum=500,
    ),
    seed: int = option(0, "seed of everything random", minimum=0),
) -> Status:
    """Draw recordings as points to listen to, those that sound alike near each other.

    The page needs no other file and no network, unless its sounds are links.
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
        "classifier or encoder: its file, or the run folder it lies in; 'synth': an encoder that "
        "has learned to name synthetic sounds, where there is no model yet",
    ),
    data: Path = option(
        MISSING, "recordings without labels, a table of clips, or the folder of an index"
    ),
    output: Path = option(Path("queue.csv"), "table with the segments, in the order to listen"),
    log: Path | None = option(
        None,
        "label log, or a table with labels such as a queue that was filled in: what is "
        "answered in it is not asked again",
    ),
    cache: Path | None = option(
        None, "folder that keeps the vectors of recordings; beside the table if not given"
    ),
    seed: int = option(0, "seed of everything random; keep it from round to round", minimum=0),
    queue: QueueOptions = option(QueueOptions(), "queue"),
    device: str = _DEVICE,
    workers: int | None = _WORKERS,
) -> Status:
    """Say which segments of recordings to listen to and to label next.

    Writes a table: recording, times, why it is asked, the classifier's predictions, and an empty
    column 'label'. Fill that in and train from the table, or answer in the page.
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
    """Start from a folder of recordings without a label.

    Looks at all recordings, lets an encoder learn from them without labels, makes vectors of
    all segments and finds groups that sound alike. Takes minutes, once; nothing is asked.
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
    output: Path | None = option(None, "the table; queue.csv in the project if not given"),
    annotator: str = option("", "who filled in the queue before"),
    queue: QueueOptions = option(QueueOptions(n=20), "queue"),
) -> Status:
    """Write the table of what to listen to next.

    The first tables hold what is typical of groups without a label; once there is a
    classifier, what it is least sure of. A part is drawn at random: it tells how good the
    classifier is.
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
        None, "a queue whose column 'label' was filled in: its answers go into the log first"
    ),
    annotator: str = option("", "who filled it in"),
    several_labels: bool | None = option(
        None,
        "from now on a clip of the project may carry several labels at once, or with "
        "--no-several-labels one; as the project has it if not given",
    ),
) -> Status:
    """Learn from all answers so far, and measure.

    Takes a second or two. Writes model.zip, and a row of history.csv with the accuracy on
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
    """Let the encoder of a project learn from its recordings, for better vectors.

    For projects that began with the encoder that comes with Semisonic. Takes minutes. Answers
    and groups stay. Vectors with which fewer answers are predicted rightly are not used.
    """
    from semisonic.labeling.improve import improve_project

    session.say(improve_project(project, device=device, workers=workers).said)
    return Status.OK
