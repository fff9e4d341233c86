"""TFLite files as general encoders: cut, run, and used by every verb that takes a name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert", reason="TFLite files need the extra 'tflite'")

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "models")]

from tiny_graph import N_SAMPLES, PITCHES, RATE, levels  # noqa: E402
from tiny_tflite import write_tflite  # noqa: E402

from calls import cli  # noqa: E402
from semisonic.classifier.encoders import get_encoder  # noqa: E402
from semisonic.classifier.model_file import open_model  # noqa: E402
from semisonic.core.errors import ModelError  # noqa: E402
from semisonic.core.files import read_csv  # noqa: E402
from semisonic.models.encoder_table import encoder_place  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of one test are not there in the next."""
    monkeypatch.setenv("SEMISONIC_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("ending", "tensor"), [(False, ""), (True, "levels"), (True, "before classes")]
)
def test_the_embedding_is_that_of_the_graph(tmp_path: Path, ending: bool, tensor: str) -> None:
    file = write_tflite(tmp_path / "tower.tflite", ending=ending)
    result = get_encoder("mine", str(file), sample_rate=RATE, tensor=tensor)
    assert "run by LiteRT unchanged" in result.summary()
    waves = np.random.default_rng(1).normal(0, 0.2, (3, 2 * N_SAMPLES)).astype(np.float32)
    found = result.network.encoder(torch.from_numpy(waves)[:, None, None])
    assert found.shape == (3, PITCHES, 1, 2)
    for number in range(2):
        part = waves[:, number * N_SAMPLES : (number + 1) * N_SAMPLES]
        np.testing.assert_allclose(found[:, :, 0, number], levels(part), rtol=1e-4)


def test_what_follows_the_embedding_is_left_out(tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    file = write_tflite(tmp_path / "tower.tflite")
    get_encoder("mine", str(file), sample_rate=RATE, tensor="before classes")
    graphs = [
        schema.Model.GetRootAs(path.read_bytes()).Subgraphs(0)
        for path in (file, encoder_place("mine", ".tflite"))
    ]
    assert [graph.OperatorsLength() for graph in graphs] == [9, 7]


def test_train_and_predict_take_the_name(
    tmp_path: Path, kinds: Path, others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_tflite(tmp_path / "tower.tflite")
    how = f"--sample-rate {RATE} --tensor levels"
    assert cli("encoder get mine --source", file, how) == 0
    run = tmp_path / "run"
    assert cli("train", kinds, "--encoder mine -o", run) == 0
    assert open_model(run).name.startswith("tflite:mine@")
    assert cli("predict", run, others, "-o", tmp_path / "said.csv") == 0
    said = read_csv(tmp_path / "said.csv")
    assert np.mean([Path(row["file"]).parent.name == row["label"] for row in said]) > 0.9
    capsys.readouterr()
    encoder_place("mine", ".tflite").unlink()
    assert cli("predict", run, others, "-o", tmp_path / "again.csv") == 2
    assert "semisonic encoder get mine --source FILE.tflite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tensor": "nothing"}, "no tensor 'nothing'"),
        ({"window": 1.0}, f"takes windows of {N_SAMPLES} samples, expected {RATE}"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path: Path, asked: dict[str, object], said: str) -> None:
    file = write_tflite(tmp_path / "tower.tflite")
    with pytest.raises(ModelError, match=said):
        get_encoder("mine", str(file), sample_rate=RATE, **asked)  # type: ignore[arg-type]
    assert not encoder_place("mine", ".tflite").exists()


def test_no_dense_layer_and_a_damaged_file(tmp_path: Path) -> None:
    file = write_tflite(tmp_path / "tower.tflite", ending=False)
    with pytest.raises(ModelError, match="no dense layer of classes"):
        get_encoder("mine", str(file), sample_rate=RATE, tensor="before classes")
    cut = tmp_path / "cut.tflite"
    shutil.copy(file, cut)
    cut.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match="damaged"):
        get_encoder("mine", str(cut), sample_rate=RATE)
