"""The verbs as Python functions: paths as texts, options by their names, tables and short reprs."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import semisonic
from semisonic.core.errors import OptionError
from semisonic.experiments.options import CurveOptions
from sounds import RATE, write_sounds

ROOT = Path(__file__).parents[2]
STUB = Path(semisonic.__file__).parent / "api.pyi"
SMALL = {
    "mel": {"sample_rate": RATE, "duration": 0.5, "n_fft": 256, "hop_length": 128, "n_mels": 16},
    "model": "(4)3c-2p",
    "epochs": 3,
    "batch_size": 8,
    "precision": "fp32",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds") / "sounds", 10)


@pytest.fixture(scope="module")
def run(sounds, tmp_path_factory) -> str:
    """The run folder of a training."""
    folder = str(tmp_path_factory.mktemp("run") / "train")
    result = semisonic.train(str(sounds), folder, method="supervised", validation=0, **SMALL)
    assert repr(result).startswith("<TrainResult: trained '(4)3c-2p' on 20 clips")
    assert len(repr(result).splitlines()) == 1
    assert result.to_frame()["epoch"].tolist() == [1, 2, 3]
    return folder


def test_predict_takes_texts_and_gives_a_frame(run, sounds, tmp_path) -> None:
    result = semisonic.predict(run, [str(sounds / "tone"), str(sounds / "noise")], top=2)
    frame = result.to_frame()
    assert list(frame.columns) == [
        "file",
        "start_time",
        "end_time",
        "label",
        "score",
        "label_2",
        "score_2",
    ]
    assert len(frame) == 20
    assert frame["score"].between(0.5, 1).all()
    assert repr(result) == "<PredictResult: 20 rows, 20 clips>"
    written = semisonic.predict(run, str(sounds), output=str(tmp_path / "table.csv"), top=2)
    from_file = written.to_frame()
    assert from_file.dtypes.equals(frame.dtypes)
    assert np.allclose(sorted(from_file["score"]), sorted(frame["score"]), atol=1e-4)


def test_predict_takes_a_classifier_and_a_table_of_clips(run, sounds) -> None:
    clf = semisonic.SoundClassifier.load(run)
    table = semisonic.load_clips(sounds)
    by_file = semisonic.predict(run, str(sounds), top=1, threshold=0.0).to_frame()
    for model, files in ((clf, str(sounds)), (clf.model_, table), (run, table)):
        found = semisonic.predict(model, files, top=1, threshold=0.0).to_frame()
        assert sorted(found["score"]) == sorted(by_file["score"])


def test_the_verbs_of_training_take_the_options_of_the_command_line(run, sounds, tmp_path) -> None:
    others = tmp_path / "others"
    shutil.copytree(sounds, others)
    rng = np.random.default_rng(1)
    for file in others.rglob("*.wav"):
        wave, _ = sf.read(file)
        sf.write(file, wave[::-1] + rng.normal(0, 0.001, len(wave)), RATE)
    found = semisonic.evaluate(
        run, str(others), str(tmp_path / "e"), bootstrap=100, allow_seen=True
    )
    assert len(found.to_frame()) == 20
    assert set(found.to_frame().columns) >= {"clip", "label", "predicted", "noise", "tone"}
    made = semisonic.calibrate(run, str(others), str(tmp_path / "c"), unknown=False)
    assert made.to_frame()["class"].tolist() == ["noise", "tone"]
    encoder = semisonic.pretrain(str(others), str(tmp_path / "p"), objective="denoising", **SMALL)
    assert len(encoder.to_frame()) == 3
    rates = semisonic.find_rate(
        str(others), str(tmp_path / "r"), method="supervised", sweep_steps=20, **SMALL
    )
    assert list(rates.to_frame().columns) == ["rate", "loss", "smoothed"]
    for result in (found, made, encoder, rates):
        assert repr(result).startswith(f"<{type(result).__name__}: ")
        assert "\n" not in repr(result)


def test_scan_gives_a_row_a_recording(sounds, tmp_path) -> None:
    frame = semisonic.scan(str(sounds), str(tmp_path / "scan")).to_frame()
    assert len(frame) == 20
    assert frame["sample_rate"].unique().tolist() == [RATE]


def test_the_folder_of_a_run_is_found_by_the_same_call(run, sounds) -> None:
    again = semisonic.train(str(sounds), run, method="supervised", validation=0, **SMALL)
    assert again.model.parent == Path(run)


def test_a_group_of_options_may_be_an_object(sounds, tmp_path) -> None:
    options = {**SMALL, "mel": semisonic.MelOptions(**SMALL["mel"])}  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="option 'n_mels': found 0, expected at least 1"):
        semisonic.train(str(sounds), tmp_path / "a", **{**options, "n_mels": 0})
    done = semisonic.train(
        str(sounds), tmp_path / "b", method="supervised", validation=0, **options
    )
    assert done.outcome.model.mel.n_mels == 16


def test_wrong_calls_are_explained(run, sounds) -> None:
    with pytest.raises(OptionError, match="unknown option 'epoch': did you mean 'epochs'"):
        semisonic.train(str(sounds), epoch=3)
    with pytest.raises(OptionError, match="option 'top': found 'all', expected a whole number"):
        semisonic.predict(run, str(sounds), top="all")
    clf = semisonic.SoundClassifier.load(run)
    with pytest.raises(OptionError, match=r"found a SoundClassifier in memory.*score\(\)"):
        semisonic.evaluate(clf, str(sounds))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="unknown option 'json'"):
        semisonic.scan(str(sounds), json=True)  # type: ignore[call-arg]


def test_a_signature_shows_the_options_with_their_values() -> None:
    parameters = inspect.signature(semisonic.curve).parameters
    assert list(parameters)[:2] == ["data", "output"]
    assert parameters["draws"].default == CurveOptions().draws
    assert parameters["draws"].annotation == "int"
    assert parameters["n_mels"].default == CurveOptions().mel.n_mels
    assert parameters["mel"].annotation == "MelOptions | Mapping[str, Any]"
    assert parameters["in_batch"].annotation == "Literal['auto', 'yes', 'no']"
    assert parameters["cache"].annotation == "str | PathLike[str] | None"
    assert parameters["labels"].annotation == "int | Iterable[int]"
    taken = inspect.signature(semisonic.predict).parameters["threshold"]
    assert taken.annotation == "float | AnyPath | None"
    views = inspect.signature(semisonic.train).parameters["views"]
    assert views.annotation.endswith("] | str")  # somebody may register another name


def test_editors_know_the_same_options() -> None:
    """In a process of its own: other tests register networks and augmentations in this one."""
    script = [sys.executable, str(ROOT / ".ci" / "api_stub.py")]
    made = subprocess.run(script, check=True, capture_output=True, text=True).stdout

    def functions(text: str) -> dict[str, str]:
        nodes = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
        return {node.name: ast.unparse(node) for node in nodes}

    assert functions(STUB.read_text(encoding="utf-8")) == functions(made), "renew it: make stub"


def test_a_type_checker_refuses_an_option_that_there_is_not(tmp_path) -> None:
    mypy = pytest.importorskip("mypy.api")
    script = tmp_path / "script.py"
    lines = [
        "import semisonic",
        'semisonic.train("a", "b", epochs=3, mel={"n_mels": 40}, augment="mine", falls=0.5)',
        'semisonic.predict("a", ["b"], threshold=0.5)',
        'semisonic.train("a", "b", epochz=3)',
        'semisonic.train("a", "b", method="automatic")',
    ]
    script.write_text("\n".join(lines), encoding="utf-8")
    # The stubs alone, without the modules that they import, which take minutes.
    settings = ["--config-file=", f"--cache-dir={os.devnull}", "--follow-imports=skip"]
    said, _, status = mypy.run(
        [*settings, str(script), str(STUB), str(STUB.parent / "__init__.pyi")]
    )
    assert status == 1
    errors = [line.partition("error: ")[2] for line in said.splitlines() if "error: " in line]
    assert len(errors) == 2, said
    assert errors[0].startswith('Unexpected keyword argument "epochz" for "train"')
    assert errors[1].startswith('Argument "method" to "train" has incompatible type')
