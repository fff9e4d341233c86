from __future__ import annotations

from collections.abc import Iterator

import pytest

from semisonic.core import progress


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """No test shows the bars that a command before it turned on."""
    yield
    progress.show(False)
