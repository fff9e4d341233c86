"""Variables and folders of other programs: they decide nothing here and break nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from calls import cli
from semisonic.core import user_cache
from sounds import FRONT_END, write_sounds
from systems import LINKS, POSIX

HOSTILE = {
    "MPLBACKEND": "no_such_backend",  # as Jupyter's is where matplotlib-inline is missing
    "MPLCONFIGDIR": "/dev/null/matplotlib",
    "XDG_CACHE_HOME": "/dev/null/cache",
    "XDG_CONFIG_HOME": "/dev/null/config",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "COLUMNS": "many",
    "LINES": "-1",
    "NO_COLOR": "1",
    "TQDM_NCOLS": "wide",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "first",
    "OMP_NUM_THREADS": "1,x",
}
UNSET = ("HOME", "TERM", "USERPROFILE")
VERBS = (
    f"train many {FRONT_END}--model (4)3c-2p-gp --epochs 1 --method supervised -q",
    "detect model.zip many -o detected -q",
    "evaluate model.zip many -o evaluated -q",
    "scan many -o scanned -q",
    "map index -q",
    "calibrate model.zip many -o calibrated -q",
    "project new many -o labels --encoder model.zip --clusters 2 -q",
    "cache",
    "encoder list",
)
RUN_ALL = (
    "import contextlib, sys\n"
    "with contextlib.suppress(ImportError):\n"
    "    import pwd; pwd.getpwuid = {}.__getitem__\n"  # a user number without an account
    "from semisonic.cli.main import main\n"
    "for verb in sys.argv[1:]:\n"
    "    if status := main(verb.split()):\n"
    "        sys.exit(f'{verb}: status {status}')"
)


@pytest.mark.slow
def test_verbs_do_their_work_whatever_other_programs_have_set(place) -> None:
    write_sounds(place / "many", 12)
    (place / "many" / "noise" / "noise0.wav").rename(place / "many" / "noise" / "Größe.wav")
    found = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *VERBS],
        env={name: text for name, text in {**os.environ, **HOSTILE}.items() if name not in UNSET},
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


def drawn(code: str, **variables: str) -> list[str]:
    """What a program prints that has drawn a figure."""
    start = "from semisonic.evaluation.plots import style; figure = style.new_figure(2, 1); "
    found = subprocess.run(
        [sys.executable, "-c", start + code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.parametrize("backend", ["no_such_backend", "module://no_such_module", "svg"])
def test_figures_need_no_backend_that_is_named_for_others(backend, tmp_path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: qtagg\n", encoding="utf-8")
    code = (
        "import io, os; stream = io.BytesIO();\n"
        "with style.look():\n"
        "    figure.suptitle('x'); figure.savefig(stream, format='png')\n"
        "print(stream.getvalue()[:4] == b'\\x89PNG', os.environ['MPLBACKEND'])"
    )
    rc = str(tmp_path / "matplotlibrc")
    assert drawn(code, MPLBACKEND=backend, MATPLOTLIBRC=rc) == ["True", backend]


def test_a_backend_that_exists_is_used_by_who_asked_for_it() -> None:
    assert drawn("import matplotlib; print(matplotlib.get_backend())", MPLBACKEND="svg") == ["svg"]


@pytest.fixture
def homeless(monkeypatch, tmp_path) -> Path:
    """The temporary folder of a user without account and variables."""
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "SEMISONIC_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def no_account(_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", no_account)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    user_cache._place_without_home.cache_clear()
    return tmp_path


@POSIX
@pytest.mark.parametrize("words", ["cache", "cache clear", "encoder list"])
def test_without_a_home_the_temporary_folder_is_used_and_named(homeless, words, capsys) -> None:
    assert cli(words) == 0
    (folder,) = homeless.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    told = capsys.readouterr().err
    assert str(folder) in told
    assert "SEMISONIC_CACHE" in told


@POSIX
@LINKS
def test_without_a_home_the_folder_of_somebody_else_is_not_used(homeless, capsys) -> None:
    assert cli("cache") == 0
    (folder,) = homeless.iterdir()
    folder.rmdir()
    folder.symlink_to(homeless)
    user_cache._place_without_home.cache_clear()
    assert cli("cache") == 2
    assert "home folder" in capsys.readouterr().err
