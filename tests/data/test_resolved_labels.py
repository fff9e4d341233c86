"""What holds of a label log: undoing, several annotators, any order of lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.data.label_log import LabelEntry, ResolvedLabels, current_answers, in_utc

FILES, LABELS, PEOPLE = ("a.wav", "b/ä.wav"), ("dog", "cat", "rain"), ("ann", "bob", "")


def entry(number: int, **parts: object) -> LabelEntry:
    about: dict[str, object] = {
        "id": f"e{number:03d}",
        "time": in_utc(f"2026-05-01T0{number // 60}:{number % 60:02d}"),
        "annotator": "ann",
        "file": "a.wav",
        "start_time": 0.0,
        "end_time": 1.0,
        "labels": ("dog",),
    }
    return LabelEntry(**(about | parts))  # type: ignore[arg-type]


def undo(number: int, target: LabelEntry) -> LabelEntry:
    return replace(entry(number), undoes=target.id, file="", labels=(), end_time=0.0)


def resolved(*entries: LabelEntry) -> ResolvedLabels:
    return ResolvedLabels(Path("/sounds"), entries)


@st.composite
def logs(draw: st.DrawFn) -> list[LabelEntry]:
    entries: list[LabelEntry] = []
    for number in range(draw(st.integers(0, 20))):
        if entries and draw(st.booleans()) and draw(st.booleans()):
            entries.append(undo(number, draw(st.sampled_from(entries))))
            continue
        labels = tuple(draw(st.sets(st.sampled_from(LABELS), max_size=2)))
        kinds = ["negative", "uncertain"] + ["positive"] * bool(labels)
        start = draw(st.sampled_from([0.0, 0.5]))
        entries.append(
            entry(
                number,
                annotator=draw(st.sampled_from(PEOPLE)),
                labels=tuple(sorted(labels)),
                file=draw(st.sampled_from(FILES)),
                start_time=start,
                end_time=start + 1.0,
                presence=draw(st.sampled_from(kinds)),
            )
        )
    return entries


def alive_by_hand(entries: list[LabelEntry]) -> set[str]:
    """An entry holds unless an entry that holds takes it back."""

    def alive(one: LabelEntry) -> bool:
        return not any(other.undoes == one.id and alive(other) for other in entries)

    return {one.id for one in entries if not one.undoes and alive(one)}


@settings(max_examples=150, deadline=None)
@given(logs(), st.randoms())
def test_the_order_of_lines_and_lines_that_stand_twice_change_nothing(
    entries: list[LabelEntry], random: object
) -> None:
    mixed = [*entries, *entries[:3]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert resolved(*mixed).answers == resolved(*entries).answers
    assert {one.id for one in current_answers(mixed)} == alive_by_hand(entries)


@settings(max_examples=150, deadline=None)
@given(logs())
def test_taking_everything_back_leaves_nothing_and_taking_that_back_restores(
    entries: list[LabelEntry],
) -> None:
    before = resolved(*entries).answers
    gone = [undo(100 + n, one) for n, one in enumerate(entries) if one.id in alive_by_hand(entries)]
    assert not len(resolved(*entries, *gone))
    back = [undo(200 + n, one) for n, one in enumerate(gone)]
    assert resolved(*entries, *gone, *back).answers == before


@settings(max_examples=150, deadline=None)
@given(logs())
def test_a_line_gives_the_entry_back(entries: list[LabelEntry]) -> None:
    for one in entries:
        assert LabelEntry.from_line(one.line()) == one
    current = resolved(*entries)
    clips = current.clips()
    assert len(clips) == len(current)
    assert set(clips.classes) <= {*current.classes, *LABELS, "background"}


def test_the_newest_answer_of_an_annotator_holds() -> None:
    found = resolved(entry(1), entry(2, labels=("cat", "rain"))).clips()
    assert found.labels == (("cat", "rain"),)


def test_an_entry_takes_back_no_later_one() -> None:
    answer = entry(5)
    assert len(resolved(undo(4, answer), answer)) == 1
    assert len(resolved(undo(6, answer), answer)) == 0


def test_what_is_not_heard_is_kept_beside_what_is() -> None:
    absent = entry(1, labels=("cat",), presence="negative")
    (its,) = resolved(absent, entry(2)).answers.values()
    assert its == {"ann": {"cat": "negative", "dog": "positive"}}


def test_none_of_the_classes_is_background_and_passed_over_has_no_label() -> None:
    nothing = entry(2, file="b.wav", labels=(), presence="negative")
    skipped = entry(3, file="c.wav", labels=(), presence="uncertain")
    clips = resolved(entry(1), nothing, skipped).clips()
    assert clips.labels == (("dog",), ("background",), ())
    assert clips.label_type.tolist() == ["positive"] * 3


def test_annotators_that_differ_have_no_label_without_a_majority() -> None:
    two = [entry(1), entry(2, annotator="bob", labels=("cat",))]
    current = resolved(*two)
    assert current.clips().labels == ((),)
    (told,) = current.disagreements
    assert told.answers == {"ann": ("dog",), "bob": ("cat",)}
    assert told.consensus is None
    third = entry(3, annotator="eve", labels=("cat",))
    current = resolved(*two, third)
    assert current.clips().labels == (("cat",),)
    assert current.disagreements[0].consensus == ("cat",)


def test_columns_that_nobody_knows_are_kept() -> None:
    line = entry(1, more={"weather": "rain", "n": 3}).line()
    assert LabelEntry.from_line(line).more == {"weather": "rain", "n": 3}
    assert LabelEntry.from_line(line).line() == line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "not an entry"),
        ('{"id": "a"}', "has no 'time'"),
        ('{"id": "a", "time": "2026-01-01", "file": "x", "end_time": 0}', "start 0 s and end 0 s"),
        ('{"id": "a", "time": "later", "file": "x", "end_time": 1, "labels": ["d"]}', "ISO 8601"),
        ('{"id": "a", "time": "2026-01-01", "file": "x", "end_time": 1}', "found no label"),
        ('{"id": "a", "time": "2026-01-01", "file": "x", "end_time": 1, "labels": "d"}', "a list"),
        ('{"id": "a", "time": "2026-01-01", "undoes": "a"}', "itself"),
        (
            '{"id": "a", "time": "2026-01-01", "file": "x", "end_time": [1], "labels": ["d"]}',
            "of the wrong type",
        ),
    ],
)
def test_impossible_lines_are_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LabelEntry.from_line(line)
