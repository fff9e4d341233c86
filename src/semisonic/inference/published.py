"""What a model that starts from published weights must say of itself, wherever it is shown.

Such a network has learned from other people's labels, often millions. Its results are never
"from scratch", nor "from a few labels" alone, and stand apart from those that are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from semisonic.inference.modelfile import encoder_file
from semisonic.models import read_about
from semisonic.models.saving import published_in


@dataclass(frozen=True)
class Origin:
    """Published weights that a model starts from, as its file tells."""

    name: str = ""
    title: str = ""
    trained_on: str = ""
    source: str = ""
    licence: str = ""

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Origin | None:
        """What a provenance says; None for a model that starts from none."""
        found = published_in(about)
        return cls.told(found) if found else None

    @classmethod
    def told(cls, table: Mapping[str, Any]) -> Origin:
        """Read what an encoder or its file tells."""
        return cls(**{field.name: str(table.get(field.name, "")) for field in fields(cls)})

    def text(self) -> str:
        """One sentence for people."""
        return (
            f"starts from the published weights of {self.title}, trained on {self.trained_on}: "
            "not from scratch, so report it apart"
        )

    def facts(self) -> list[str]:
        """A line each: what it was trained on, where it is from, its licence."""
        return [
            f"trained on: {self.trained_on}",
            f"source: {self.source}",
            f"licence: {self.licence}",
            "models that start from it are not from scratch: their files say so, report them apart",
        ]


def origin_of(encoder: Path) -> Origin | None:
    """The published weights behind an encoder's file or run folder, if there are any."""
    return Origin.of(read_about(encoder_file(encoder))["about"])
