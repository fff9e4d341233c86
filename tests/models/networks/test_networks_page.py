"""The page about networks: every name, and numbers as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.networks.staged import DESIGNS
from semisonic.models.registry import create, names

PAGE = (Path(__file__).parents[3] / "docs/networks.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w.-]+)` \| ([^|]+) \| ([\d ]+) \| (\d+) \|", PAGE, re.MULTILINE)


def test_every_network_is_on_the_page() -> None:
    published = set(names()) - set(DESIGNS)
    assert {name for name, *_ in ROWS} >= {"small", "tiny", "base", *published}


@pytest.mark.parametrize(("name", "size", "parameters", "macs"), ROWS)
def test_numbers_of_the_page(name: str, size: str, parameters: str, macs: str) -> None:
    sizes = [int(n.replace(" ", "")) for n in size.removesuffix(" samples").split(" × ")]
    channels, rows, frames = sizes if len(sizes) == 3 else (1, 1, *sizes)
    shape = (channels, rows, frames)
    with torch.device("meta"):
        body = create(name, shape)
        model = nn.Sequential(body.encoder, body.neck, body.neck.class_layer(50))
    assert count_parameters(model) == int(parameters.replace(" ", ""))
    assert round(count_macs(model, shape) / 1e6) == int(macs)
