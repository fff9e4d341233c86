"""What all tests share: quiet threads and, where they are at hand, real recordings."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from semisonic.core import plugins
from semisonic.features import options as augmentations

# How long an example takes is a matter of the machine and of what else runs on it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("OMP_NUM_THREADS", "1")

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
def own_parts_forgotten() -> Iterator[None]:
    """What a test registers or loads as a plugin is known to that test alone.

    torch is not imported here, so that a test may show that something goes without it.
    """
    loaded, path = list(plugins._loaded), list(sys.path)
    changes = dict(augmentations.REGISTERED)
    registry = sys.modules.get("semisonic.models.registry")
    networks = {} if registry is None else dict(registry._REGISTERED)
    yield
    new = [name for name in plugins._loaded if name not in loaded]
    for name in new:
        sys.modules.pop(Path(name).stem if name.endswith(".py") else name, None)
    if new:
        sys.path[:] = path
    plugins._loaded[:] = loaded
    augmentations.REGISTERED.clear()
    augmentations.REGISTERED.update(changes)
    registry = sys.modules.get("semisonic.models.registry")
    if registry is not None:
        registry._REGISTERED.clear()
        registry._REGISTERED.update(networks)


@pytest.fixture(autouse=True)
def no_handler_of_a_command() -> None:
    """What an earlier command shows on the terminal, which is closed by now, shows nothing."""
    logging.getLogger("semisonic").handlers.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings (esc10, animals, odd_files, esc50-meta), or a skip."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEMISONIC_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}; set SEMISONIC_DATA to a folder with esc10")
    return folder
