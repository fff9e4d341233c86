"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import semisonic
from sounds import write_sounds

ROOT = Path(semisonic.__file__).parent
MODULES = sorted(
    ".".join(("semisonic", *file.relative_to(ROOT).with_suffix("").parts))
    for file in ROOT.rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)


def test_there_are_examples() -> None:
    assert len(MODULES) > 1


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path) -> Path:
    """Where the examples run: ``labelled/`` and ``later/`` of two classes, ``recordings/``,
    ``recipe.toml``, and the run folder ``runs/tones`` of a classifier that knows the two."""
    folder = tmp_path_factory.mktemp("examples")
    write_sounds(folder / "labelled", n=24)
    for file in sorted(folder.glob("labelled/*/*1[0-9].wav")):
        (folder / "later" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.move(file, folder / "later" / file.parent.name)
    (folder / "recordings").mkdir()
    rng = np.random.default_rng(0)
    files = sorted(folder.glob("later/*/*.wav"))
    for number in range(3):
        parts = [sf.read(files[i])[0] for i in rng.choice(len(files), 4)]
        sf.write(folder / "recordings" / f"site{number}.wav", np.concatenate(parts), 8000)
    shutil.copy(tiny_recipe, folder / "recipe.toml")
    start = {"method": "supervised", "encoder": "none", "epochs": 20}
    small = {"sample_rate": 8000, "duration": 0.5, "n_mels": 32}
    semisonic.train(folder / "labelled", folder / "runs" / "tones", **start, **small)
    return folder


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(
    name: str, working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(working_folder)
    module = import_module(name)
    public = {one: getattr(semisonic, one) for one in semisonic.__all__}
    names = {**public, **vars(module), "np": np}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert result.attempted
    assert not result.failed
