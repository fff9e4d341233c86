"""Graphs as programs of torch: ``torch.export.load(file).module()`` runs one without Semisonic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch.export import ExportedProgram

from semisonic.base.files import replacing

EXTRA = "semisonic.json"
"""What the facts are called inside the file (``extra_files`` of ``torch.export.load``)."""


def save_program(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    """Write a program and facts about it."""
    import json

    with replacing(path) as part, open(part, "wb") as stream:
        torch.export.save(
            program, stream, extra_files={EXTRA: json.dumps(dict(facts), ensure_ascii=False)}
        )
