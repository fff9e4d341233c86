"""Folders that nothing can be written to: each verb says which, and what to do instead."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calls import cli
from sounds import FRONT_END

TRAIN = f"train sounds {FRONT_END}--model (4)3c-2p-gp --epochs 1 --method supervised"
VERBS = {
    "predict": "predict model.zip sounds -o disk/out.csv",
    "export": "export model.zip --to torch -o disk/out.pt2",
    "suggest": "suggest model.zip sounds -n 2 -o disk/out.csv",
    "data labels": "data labels track.csv -o disk/out.csv",
    "scan": "scan sounds -o disk/empty",
    "train": f"{TRAIN} -o disk/empty",
    "train below": f"{TRAIN} -o disk/deep/out",
    "train, cache": f"{TRAIN} -o out --cache disk/cache",
    "detect": "detect model.zip sounds -o disk/out",
    "detect, clips": "detect model.zip sounds --threshold 0.01 -o out --save-clips disk/clips",
    "embed": "embed encoder.zip sounds -o disk/out",
    "evaluate": "evaluate model.zip sounds -o disk/out",
    "map": "map index -o disk/out",
    "data mix": "data mix sounds --sample-rate 8000 -o disk/out",
    "data synth": "data synth disk/out",
    "project new": "project new sounds --encoder model.zip -o disk/out",
    "project suggest": "project suggest disk/project -n 2",
}


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Nothing can be changed in a folder from now on, as the system says with this number."""

    def forbidden(*paths: object) -> None:
        for path in paths:
            whole = Path(os.path.abspath(path)) if isinstance(path, str | os.PathLike) else Path()
            if folder in whole.parents and whole.parent.exists():
                raise OSError(number, os.strerror(number), str(path))

    def guard(module: Any, name: str, changes: Callable[..., bool] = lambda *_, **__: True) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if changes(*arguments, **options):
                forbidden(*arguments[:2])
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    def opens_to_write(_: object, mode: str = "r", *__: object, **___: object) -> bool:
        return bool(set(mode) & set("wax+"))

    guard(io, "open", opens_to_write)
    guard(builtins, "open", opens_to_write)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    guard(os, "open", lambda _, flags, *__, **___: bool(flags & writing))
    for name in ("mkdir", "replace", "rename", "unlink", "rmdir", "link", "symlink"):
        guard(os, name)
    access = os.access

    def allowed(path: str, mode: int) -> bool:
        inside = folder in Path(os.path.abspath(path)).parents
        return access(path, mode) and not (inside and mode & os.W_OK)

    monkeypatch.setattr(os, "access", allowed)
    guard(shutil, "rmtree", lambda *_, ignore_errors=False, **__: not ignore_errors)


def content(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture(params=[errno.EROFS, errno.EACCES], ids=["read-only", "no-permission"])
def refused(request, place: Path, monkeypatch, capsys) -> Callable[[str], str]:
    """Call a verb that is to end as wrong use, and to leave the folder ``disk`` as it was."""
    disk = place / "disk"
    (disk / "empty").mkdir(parents=True)
    (disk / "cache" / "encoders").mkdir(parents=True)
    (disk / "cache" / "CACHE.txt").touch()
    (disk / "cache" / "encoders" / "old.encoder").touch()
    (place / "project").rename(disk / "project")
    (place / "track.csv").write_text(
        "file,start_time,end_time,label\nsounds/noise/noise0.wav,0.1,0.3,noise\n", encoding="utf-8"
    )

    def call(command: str) -> str:
        before = content(disk)
        with monkeypatch.context() as patch:
            forbid(patch, disk, request.param)
            status = cli(command, "-q")
        error = str(capsys.readouterr().err)
        assert status == 2, error
        assert os.strerror(request.param) in error
        for hidden in ("Traceback", ".part", ".lock", "journal"):
            assert hidden not in error
        assert content(disk) == before
        return error

    return call


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_cannot_be_written_to_is_named(refused, verb: str) -> None:
    error = refused(VERBS[verb])
    assert "disk" in error
    assert "cannot be written" in error
    assert "Choose a folder that can be written to" in error


@pytest.mark.parametrize(
    ("command", "cache", "named"),
    [
        ("encoder get yamnet --source model.zip --yes", "disk/none", "encoders: cannot be created"),
        ("cache clear", "disk/cache", "encoders: cannot be deleted"),
    ],
)
def test_a_cache_that_cannot_be_written_to_is_named(
    refused, place, monkeypatch, command: str, cache: str, named: str
) -> None:
    monkeypatch.setenv("SEMISONIC_CACHE", str(place / cache))
    error = refused(command)
    assert f"{place / cache / named}" in error
    assert "set the environment variable SEMISONIC_CACHE to" in error
