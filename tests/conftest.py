"""What all tests share: quiet threads and, where they are at hand, real recordings."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from semisonic.core import plugins, progress
from semisonic.features.options import OWN_AUGMENTATIONS
from semisonic.learning.options import OWN_LOSSES

# How long an example takes is a matter of the machine and of what else runs on it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("OMP_NUM_THREADS", "1")

# librosa compiles some functions when it is imported, which takes a third less time so.
os.environ.setdefault("NUMBA_OPT", "0")

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that; tests
# that interrupt a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def user_cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that all tests share, so that none touches the user's."""
    folder = tmp_path_factory.mktemp("user-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMISONIC_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def no_bars() -> Iterator[None]:
    """No test shows the bars that a command before it turned on."""
    progress.show_progress(False)
    yield
    progress.show_progress(False)


@pytest.fixture(autouse=True)
def own_parts_forgotten() -> Iterator[None]:
    """What a test registers or loads as a plugin is known to that test alone.

    torch is not imported here, so that a test may show that something goes without it.
    """
    loaded, path = list(plugins._loaded), list(sys.path)
    kept = [(parts, dict(parts)) for parts in (OWN_AUGMENTATIONS, OWN_LOSSES)]
    registry = sys.modules.get("semisonic.models.registry")
    networks = {} if registry is None else dict(registry._REGISTERED)
    yield
    new = [name for name in plugins._loaded if name not in loaded]
    for name in new:
        sys.modules.pop(Path(name).stem if name.endswith(".py") else name, None)
    if new:
        sys.path[:] = path
    plugins._loaded[:] = loaded
    for parts, before in kept:
        parts.clear()
        parts.update(before)
    registry = sys.modules.get("semisonic.models.registry")
    if registry is not None:
        registry._REGISTERED.clear()
        registry._REGISTERED.update(networks)


@pytest.fixture(autouse=True)
def no_handler_of_a_command() -> None:
    """What an earlier command shows on the terminal, which is closed by now, shows nothing."""
    logging.getLogger("semisonic").handlers.clear()


@pytest.fixture
def tells(capsys) -> Callable[..., pytest.CaptureResult[str]]:
    """Call a command (``calls.cli``) that is to end with this status; what it wrote."""
    from calls import cli

    def call(status: int, *words: object) -> pytest.CaptureResult[str]:
        found = cli(*words)
        said = capsys.readouterr()
        assert found == status, said.err
        return said

    return call


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings (esc10, animals, odd_files, esc50-meta), or a skip."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEMISONIC_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}; set SEMISONIC_DATA to a folder with esc10")
    return folder


RATE = 8000
TINY_RECIPE = """
title = "tiny"
question = "?"
validation = 0.0
[[budgets]]
labels_per_class = 2
draws = 2
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.pretrain]
epochs = 2
[setting.fit]
epochs = 3
[[settings]]
name = "un-pooling"
[[settings]]
name = "up-sampling"
decoder = "upsample"
"""


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory) -> Path:
    """``labelled.csv`` with 2 classes, 3 folds and 2 clips per recording, and ``pool/``."""
    import numpy as np

    from semisonic.audio.write import write

    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    time = np.arange(RATE // 2) / RATE
    lines = ["file,label,group,fold"]
    for name, pitch in (("low", 300.0), ("high", 2000.0)):
        for i in range(12):
            tone = np.sin(2 * np.pi * pitch * (1 + 0.1 * rng.random()) * time)
            wave = (0.3 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32)
            file = f"clips/{name}{i}.wav"
            (folder / "clips").mkdir(exist_ok=True)
            write(folder / file, wave, RATE)
            lines.append(f"{file},{name},{name}-{i // 2},{i // 4 + 1}")
    (folder / "labelled.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "pool").mkdir()
    for i in range(6):
        noise = (0.1 * rng.standard_normal(len(time))).astype(np.float32)
        write(folder / "pool" / f"noise{i}.wav", noise, RATE)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_set) -> Path:
    """The recipe file."""
    file = tiny_set / "tiny.toml"
    file.write_text(TINY_RECIPE, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def run_tiny(tiny_set, tmp_path_factory):
    """Run a recipe, a file or its text, on the tiny set; the result."""
    from semisonic.experiments.options import RunOptions
    from semisonic.experiments.run import RunResult, run_recipe

    def run(recipe: str | Path, output: Path | None = None, **changes: object) -> RunResult:
        if "\n" in str(recipe):
            file = tmp_path_factory.mktemp("recipe") / "recipe.toml"
            file.write_text(str(recipe), encoding="utf-8")
            recipe = file
        values: dict[str, object] = {
            "recipe": str(recipe),
            "data": tiny_set / "labelled.csv",
            "unlabelled": tiny_set / "pool",
            "output": output or tmp_path_factory.mktemp("run") / "out",
            "device": "cpu",
            "workers": 1,
        }
        return run_recipe(RunOptions(**(values | changes)))

    return run


@pytest.fixture(scope="session")
def job_times():
    """When each job of a run folder was done: the same twice if nothing was trained between."""
    return lambda folder: {f: f.stat().st_mtime_ns for f in folder.glob("jobs/*/job.json")}
