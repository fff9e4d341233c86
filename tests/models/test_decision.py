"""The decision of a model: what it does to scores, and that a file cannot smuggle nonsense in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.decision import (
    TEMPERATURE,
    VECTOR,
    Calibration,
    Decision,
    DecisionModule,
    OodLimit,
    UnknownRules,
)
from semisonic.models.model_file import load, save
from semisonic.models.sound_model import SoundModel, build

MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
CLASSES = ("rain", "Hund", "пила")
DIM = 8
N_STATISTICS = 3 * (16 + 16)
N_EMBEDDING = 8

CALIBRATIONS = [
    Calibration(),
    Calibration(TEMPERATURE, (0.5,), (0.0,)),
    Calibration(VECTOR, (0.5, 1.0, 2.0), (0.1, 0.0, -0.1)),
]
logits_of = arrays(np.float64, (5, 3), elements=st.floats(-30, 30, width=32))


def whole() -> Decision:
    """A decision with everything in it."""
    rng = np.random.default_rng(0)
    table = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    widths = np.full(N_STATISTICS, 0.002, np.float32)
    limits = (OodLimit(4.0, 1.0), OodLimit(0.0, 1.0))
    noise = widths, 0.02 * table(4, N_STATISTICS), table(4), 0.25
    places, other = (table(N_EMBEDDING, 5), table(3, 5)), table(N_EMBEDDING)
    rules = UnknownRules(*limits, *noise, *places, 0.5, 0.95, other)
    return Decision(
        CALIBRATIONS[2],
        dict(zip(CLASSES, (0.5, 0.25, 0.75), strict=True)),
        rules,
        {"clips": 12},
    )


def scored(
    decision: Decision,
    logits: np.ndarray,
    statistics: np.ndarray | None = None,
    embeddings: np.ndarray | None = None,
    *,
    multi_label: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and how known each sound is."""
    given = logits, statistics, embeddings
    tables = [None if x is None else torch.from_numpy(x) for x in given]
    scores, known = DecisionModule(decision, multi_label=multi_label)(*tables)
    return scores.numpy(), known.numpy()


def model() -> SoundModel:
    made = build("(4)3c-2p-8fcr", MEL, CLASSES, seed=1)
    made.frontend.standardize.fit(torch.randn(4, *MEL.shape) * 20 - 40)
    return made.eval()


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: c.method)
@pytest.mark.parametrize("multi_label", [False, True])
@given(logits=logits_of)
@settings(max_examples=25, deadline=None)
def test_scores_are_probabilities(
    calibration: Calibration, multi_label: bool, logits: np.ndarray
) -> None:
    scores, _ = scored(Decision(calibration), logits, multi_label=multi_label)
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    if not multi_label:
        np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    if calibration.method in ("none", TEMPERATURE):
        raw, _ = scored(Decision(), logits, multi_label=multi_label)
        rows = np.arange(len(logits))
        best = scores[rows, raw.argmax(axis=1)]  # scores may be equal in floating point
        np.testing.assert_allclose(best, scores.max(axis=1), rtol=1e-9)


def rules_of(distance: OodLimit, noise: OodLimit, doubt: float = 0.0) -> UnknownRules:
    """Noise lies around ones in eight dimensions, the classes at 0 and 10 in one."""
    ones, means = np.ones((1, DIM), np.float32), np.array([[0.0], [10.0]], np.float32)
    of_noise = ones[0], ones, ones[0, :1], 0.0
    return UnknownRules(distance, noise, *of_noise, ones[:, :1], means, doubt, 0.95)


STATISTICS = np.stack([np.zeros(DIM), np.ones(DIM)])
"""The second is the centre of noise."""
NEAR = np.array([[1.0], [9.0]])


def test_noise_claims_little_and_keeps_its_order() -> None:
    logits = np.array([[9.0, 1.0, 0.0], [4.0, 1.0, 0.0]])
    decision = Decision(unknown=rules_of(OodLimit(100.0, 1.0), OodLimit(0.5, 0.1)))
    scores, known = scored(decision, logits, STATISTICS, NEAR)
    assert known[0] > 0.9
    assert known[1] < 0.5
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    assert scores[0, 0] > 0.99
    assert 1 / 3 < scores[1, 0] < 0.5
    assert (np.diff(scores[1]) < 0).all()
    several, _ = scored(decision, logits, STATISTICS, NEAR, multi_label=True)
    assert several[1].max() < 0.25


def test_other_unknown_sounds_keep_their_scores() -> None:
    logits = np.array([[9.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    decision = Decision(unknown=rules_of(OodLimit(2.0, 0.5), OodLimit(100.0, 1.0)))
    scores, known = scored(decision, logits, STATISTICS, np.array([[9.0], [5.0]]))
    np.testing.assert_array_equal(known >= 0.5, [True, False])
    plain, _ = scored(Decision(), logits)
    np.testing.assert_allclose(scores, plain, rtol=1e-9, atol=1e-12)


def test_a_sound_that_lies_near_a_class_is_unknown_if_the_scores_doubt() -> None:
    logits = np.array([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    decision = Decision(unknown=rules_of(OodLimit(2.0, 0.5), OodLimit(100.0, 1.0), doubt=2.0))
    _, known = scored(decision, logits, STATISTICS, NEAR)
    np.testing.assert_array_equal(known >= 0.5, [True, False])


def test_a_sound_that_lies_near_a_class_is_unknown_if_it_is_like_the_rest_of_the_pool() -> None:
    rules = rules_of(OodLimit(3.0, 0.5), OodLimit(100.0, 1.0))
    for other, known in ((0.0, [True, True]), (-1.0, [True, True]), (1.0, [True, False])):
        decision = Decision(unknown=replace(rules, other=np.full(1, other, np.float32)))
        _, found = scored(decision, np.zeros((2, 3)), STATISTICS, NEAR)
        np.testing.assert_array_equal(found >= 0.5, known)


def test_rules_say_what_they_need() -> None:
    with pytest.raises(ModelError, match="found no statistics"):
        scored(whole(), np.zeros((1, 3)))
    with pytest.raises(ModelError, match="found no embeddings"):
        scored(whole(), np.zeros((1, 3)), np.zeros((1, N_STATISTICS)))


def test_a_model_file_keeps_the_decision(tmp_path: Path) -> None:
    made = model()
    made.decision = whole()
    save(tmp_path / "a.zip", made, about={"licence": "CC BY 4.0"})
    back = load(tmp_path / "a.zip").decision
    rng = np.random.default_rng(1)
    tables = [rng.normal(size=(6, n)) for n in (3, N_STATISTICS, N_EMBEDDING)]
    for a, b in zip(scored(made.decision, *tables), scored(back, *tables), strict=True):
        np.testing.assert_array_equal(a, b)
    assert back.thresholds == made.decision.thresholds
    assert back.note == {"clips": 12}
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        card = archive.read("card.md").decode()
    for words in ("vector scaling", "distance, noise", "Hund: 0.250", "CC BY 4.0"):
        assert words in card


def test_a_new_class_layer_forgets_the_decision() -> None:
    made = model()
    made.decision = whole()
    assert made.with_head(["a", "b"]).decision.is_empty
    assert not made.decision.is_empty


def _with(path: Path, change: Callable[[dict[str, Any]], None], **tables: Any) -> Path:
    """The file of a whole decision with another description, and other tables."""
    import safetensors.torch

    made = model()
    made.decision = whole()
    save(path, made)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    said = json.loads(members["model.json"])
    change(said)
    members["model.json"] = json.dumps(said).encode()
    weights = safetensors.torch.load(members["weights.safetensors"])
    for name, value in tables.items():
        key = f"decision.{name}"
        if value is None:
            del weights[key]
        else:
            weights[key] = value
    members["weights.safetensors"] = safetensors.torch.save(weights)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        place = said
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


HOSTILE = {
    "no mapping": _put("decision", value=[1, 2]),
    "unknown method": _put("decision", "calibration", "method", value="pickle"),
    "a scale of nothing": _put("decision", "calibration", "scale", value=[1.0, 0.0, 1.0]),
    "a number too large": _put("decision", "calibration", "offset", value=[10**400, 0, 0]),
    "a threshold over one": _put("decision", "thresholds", value=dict.fromkeys(CLASSES, 1.5)),
    "no rule": _put("decision", "unknown", value={"eval": [0, 1]}),
    "no spread": _put("decision", "unknown", "distance", value=[0.0, 0.0]),
    "kept too much": _put("decision", "unknown", "kept", value=7),
    "tables of no rule": _put("decision", "unknown", value=None),
    "no decision for the tables": lambda said: said.pop("decision"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_decision_that_makes_no_sense_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(ModelError, match=r"a\.zip"):
        load(_with(tmp_path / "a.zip", change))


@pytest.mark.parametrize(
    "tables",
    [
        {"centres": torch.zeros(5, DIM)},
        {"widths": None},
        {"weights": torch.zeros(4, dtype=torch.int64)},
        {"more": torch.zeros(2)},
    ],
    ids=lambda tables: next(iter(tables)),
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, tables: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"a\.zip"):
        load(_with(tmp_path / "a.zip", lambda said: None, **tables))


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: c.method)
def test_in_the_precision_of_files_the_scores_are_the_same(
    calibration: Calibration, multi_label: bool
) -> None:
    rng = np.random.default_rng(0)
    tables = [rng.normal(0, 3, (40, n)) for n in (3, N_STATISTICS, N_EMBEDDING)]
    for unknown in (None, whole().unknown):
        decision = Decision(calibration, unknown=unknown)
        expected, _ = scored(decision, *tables, multi_label=multi_label)
        module = DecisionModule(decision, multi_label=multi_label, dtype=torch.float32)
        found, _ = module(*(torch.from_numpy(table).float() for table in tables))
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
