"""Answers, changes and names of classes as they come from the page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from semisonic.data.label_log import MOST_LABELS
from semisonic.web.wire import FileName

Name = Annotated[str, Field(max_length=100)]
Annotator = Annotated[str, Field(min_length=1, max_length=100)]
"""A name, or the name of the browser, so that two people without a name stay apart."""
NamesOf = Annotated[str, Field(max_length=40)]
"""The time of the newest entry of the log when a page got the names of the classes."""
Presence = Literal["positive", "negative", "uncertain"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SegmentRequest(BaseModel):
    """A segment of a recording; the file is named as in the log."""

    file: FileName
    start_time: Seconds
    end_time: Seconds


class AnswerRequest(SegmentRequest):
    """The answer of an annotator about a segment.

    Attributes
    ----------
    guess, guess_score : str, float
        The model's best prediction when the question was asked; empty without a model.
    fmin_hz, fmax_hz : float, optional
        Limits in frequency, if a box was drawn.
    asked : (float, float), optional
        The segment that was asked about, if the answer is about a part of it.
    review : {"", "kept", "changed"}
        What became of an answer that looked wrong.
    names_of : str
        The ``names_of`` that came with the names on the page: classes renamed since then get their
        new name. Without it, names that are no class any more do.
    """

    labels: Annotated[tuple[Name, ...], Field(max_length=MOST_LABELS)]
    presence: Presence
    annotator: Annotator
    note: Annotated[str, Field(max_length=2000)] = ""
    source: Name = ""
    fmin_hz: Hertz | None = None
    fmax_hz: Hertz | None = None
    guess: Name = ""
    guess_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    asked: tuple[float, float] | None = None
    review: Literal["", "kept", "changed"] = ""
    names_of: NamesOf = ""

    def row(self) -> dict[str, Any]:
        """The fields that the log keeps."""
        return self.model_dump(exclude={"guess", "guess_score", "asked", "review", "names_of"})


class ChangeRequest(BaseModel):
    """A new text of an answer."""

    id: Name
    labels: Annotated[tuple[Name, ...], Field(max_length=MOST_LABELS)]
    presence: Presence
    annotator: Annotator
    names_of: NamesOf = ""


class RenameRequest(BaseModel):
    """The old and the new name of a class."""

    name: Name
    to: Name
    annotator: Annotator
    merge: bool = False


class LookRequest(BaseModel):
    """How a class is shown: a colour such as ``#4aa19f`` and a key; "" for the default."""

    name: Name
    colour: Annotated[str, Field(pattern="^(#[0-9a-f]{6})?$")] = ""
    key: Annotated[str, Field(pattern=r"^[^\W_]?$")] = ""
