"""General encoders by name: fetched from a server that behaves badly, taken from files, used."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "data"), str(TESTS / "models")]

from get_server import Site, serving  # noqa: E402
from tiny_graph import N_SAMPLES, PITCHES, RATE, WINDOW, levels, write_graph  # noqa: E402

from calls import cli  # noqa: E402
from semisonic.classifier import encoders  # noqa: E402
from semisonic.classifier.classifier import SoundClassifier  # noqa: E402
from semisonic.classifier.encoders import get_encoder, list_encoders, plan_encoder  # noqa: E402
from semisonic.classifier.model_file import open_encoder, open_model  # noqa: E402
from semisonic.core.errors import DataError, ModelError, OptionError  # noqa: E402
from semisonic.core.files import read_csv  # noqa: E402
from semisonic.data.datasets import download  # noqa: E402
from semisonic.models.encoder_table import ENCODERS, GeneralEncoder, encoder_place  # noqa: E402
from semisonic.models.model_file import read_about  # noqa: E402
from semisonic.models.networks.frozen import cut_graph  # noqa: E402
from semisonic.models.published import PUBLISHED  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of one test are not there in the next."""
    monkeypatch.setenv("SEMISONIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    fetch = download.download
    monkeypatch.setattr(encoders, "download", lambda *how: fetch(*how, pause=0.001))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "tower.onnx")


@pytest.fixture
def site(graph: Path) -> Iterator[Site]:
    with serving(Site({"finch.onnx": graph.read_bytes()})) as running:
        yield running


@pytest.fixture
def finch(site: Site, monkeypatch: pytest.MonkeyPatch) -> GeneralEncoder:
    """A published encoder whose home is the server."""
    one = GeneralEncoder(
        "finch",
        "Finch",
        RATE,
        "CC BY-NC-SA 4.0",
        "the authors of Finch",
        "a thousand finches",
        url=f"{site.address}/finch.onnx",
        checksum=f"sha256:{hashlib.sha256(site.files['finch.onnx']).hexdigest()}",
        dim=PITCHES,
        window=WINDOW,
        tensor="before classes",
    )
    monkeypatch.setitem(ENCODERS, "finch", one)
    return one


def test_the_table() -> None:
    assert set(PUBLISHED) <= set(ENCODERS)
    for name, one in ENCODERS.items():
        assert one.url.startswith("https://"), name
        assert one.licence
        assert one.trained_on
        assert bool(one.window) == (name not in PUBLISHED), "either a network of ours or a graph"
    shown = list_encoders().summary()
    assert "CC BY-NC-SA" in shown
    assert list_encoders().to_frame()["name"].tolist() == list(ENCODERS)


def test_an_interrupted_download_goes_on(finch: GeneralEncoder, site: Site) -> None:
    site.cuts = [2000] + [0] * 20
    with pytest.raises(DataError, match="2000 bytes are kept"):
        get_encoder("finch")
    site.cuts, site.asked = [], []
    result = get_encoder("finch")
    assert [asked for _, asked in site.asked] == ["bytes=2000-"]
    assert result.network.published["checked"] is True
    assert f"SHA-256 of finch.onnx: {finch.checksum.partition(':')[2]}\n" in result.summary()
    assert sorted(path.name for path in result.encoder.parent.iterdir()) == [
        "finch.encoder",
        "finch.onnx",
    ]


@pytest.mark.parametrize("tag", ['"one"', ""])
def test_without_a_known_hash_only_the_same_version_goes_on(
    finch: GeneralEncoder, site: Site, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    monkeypatch.setitem(ENCODERS, "finch", replace(finch, checksum=""))
    site.tag, site.cuts = tag, [2000] + [0] * 20
    with pytest.raises(DataError, match="connection broke"):
        get_encoder("finch")
    site.cuts, site.asked = [], []
    result = get_encoder("finch")
    assert [asked for _, asked in site.asked] == ["bytes=2000-" if tag else ""]
    assert "no hash is known" in result.summary()
    assert result.network.published["sha256"] == finch.checksum.partition(":")[2]


def test_another_version_is_fetched_from_its_start(
    finch: GeneralEncoder, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "finch", replace(finch, checksum=""))
    site.tag, site.cuts = '"one"', [2000] + [0] * 20
    with pytest.raises(DataError):
        get_encoder("finch")
    site.tag, site.cuts = '"two"', []
    assert get_encoder("finch").network.published["sha256"] == finch.checksum.partition(":")[2]


def test_a_wrong_hash_is_refused(finch: GeneralEncoder, site: Site) -> None:
    site.files["finch.onnx"] = bytes(len(site.files["finch.onnx"]))
    with pytest.raises(DataError, match=r"found the SHA-256 [0-9a-f]{64}, expected"):
        get_encoder("finch")
    assert not encoder_place("finch").exists()


def test_a_file_that_is_too_large_for_an_encoder(
    finch: GeneralEncoder, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "finch", replace(finch, checksum=""))
    monkeypatch.setattr(encoders, "MOST_BYTES", 100_000)
    site.endless = (bytes(10_000), 0.0)
    with pytest.raises(DataError, match="sends more and more, expected at most 100,000 bytes"):
        get_encoder("finch")
    assert not list((tmp_path / "cache").rglob("*.part"))
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(200_000))
    with pytest.raises(ModelError, match=r"has 0\.2 MB, expected at most 0\.1 MB"):
        get_encoder("finch", str(large))


def test_without_a_network_the_error_says_so(
    finch: GeneralEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "finch", replace(finch, url="http://127.0.0.1:9/finch.onnx"))
    with pytest.raises(DataError, match=r"no connection .*download it manually"):
        get_encoder("finch")


def test_nothing_is_fetched_before_somebody_agreed(
    finch: GeneralEncoder, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("encoder get finch") == 2
    told = capsys.readouterr()
    assert "licence: CC BY-NC-SA 4.0" in told.out
    assert "--yes" in told.err
    assert cli("encoder get finch --dry-run") == 0
    assert site.asked == []
    assert cli("encoder get finch --yes") == 0
    assert cli("encoder list") == 0
    assert str(encoder_place("finch")) in capsys.readouterr().out


def test_the_way_through_zips(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, outer = tmp_path / "inner.zip", tmp_path / "outer.whl"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.write(graph, "a/tower.onnx")
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(inner, "data/inner.zip")
    about = GeneralEncoder("nested", "Nested", RATE, "CC0", "nobody", "nothing", window=WINDOW)
    about = replace(about, members=("data/inner.zip", "a/tower.onnx"), tensor="embedding")
    monkeypatch.setitem(ENCODERS, "nested", about)
    for source in (outer, graph):
        assert get_encoder("nested", str(source)).network.encoder.out_channels == PITCHES


@pytest.mark.parametrize("batch", ["batch", 1])
def test_embeddings_are_those_of_the_graph(tmp_path: Path, batch: int | str) -> None:
    file = write_graph(tmp_path / "tower.onnx", batch=batch, outputs=("classes", "embedding"))
    network = get_encoder("mine", str(file), sample_rate=RATE, duration=0.6).network
    assert (network.mel.n_samples, network.encoder.trainable) == (4800, False)
    sound = np.random.default_rng(1).normal(0, 0.1, (3, 4800)).astype(np.float32)
    code = network.encode(network.frontend(torch.from_numpy(sound)))
    filled = np.pad(sound, ((0, 0), (0, 3 * N_SAMPLES - 4800))).reshape(9, N_SAMPLES)
    expected = levels(filled).reshape(3, 3, PITCHES)
    assert code.shape == (3, PITCHES, 1, 3)
    np.testing.assert_allclose(code[:, :, 0].transpose(1, 2).numpy(), expected, atol=2e-4)
    np.testing.assert_allclose(network.neck(code).numpy(), expected.mean(axis=1), atol=2e-4)


def test_what_leads_to_the_classes_is_left_out(graph: Path, tmp_path: Path) -> None:
    cut = cut_graph(graph, tmp_path / "cut.onnx", "0" * 64, tensor="before classes")
    assert (cut.dim, cut.n_samples) == (PITCHES, N_SAMPLES)
    assert len((tmp_path / "cut.onnx").read_bytes()) < len(graph.read_bytes())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"tensor": "nothing"}, "no tensor 'nothing'"),
        ({"dim": 7}, r"shape \(2, 12\) for two windows, expected \(2, 7\)"),
        ({"n_samples": 999}, "takes windows of 2000 samples, expected 999"),
    ],
)
def test_a_graph_of_another_kind_is_refused(
    graph: Path, tmp_path: Path, how: dict[str, object], message: str
) -> None:
    asked = {"tensor": "before classes", **how}
    with pytest.raises(ModelError, match=message):
        cut_graph(graph, tmp_path / "cut.onnx", "0" * 64, **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "cut.onnx").exists()


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not an ONNX file, or a damaged one"):
        get_encoder("mine", str(tmp_path / "x.onnx"), sample_rate=RATE)


def test_wrong_uses() -> None:
    for name, how, message in (
        ("yamnte", {}, "did you mean 'yamnet'"),
        ("My Own", {"source": "x.onnx"}, "small letters"),
        ("mine", {"source": "x.onnx"}, "'sample_rate' is missing"),
        ("yamnet", {"window": 3.0}, "'yamnet' has a known value"),
    ):
        with pytest.raises(OptionError, match=message):
            plan_encoder(name, **how)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="semisonic encoder get perch"):
        open_encoder("perch")


@pytest.mark.slow
def test_every_verb_takes_the_name(
    finch: GeneralEncoder,
    kinds: Path,
    others: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    get_encoder("finch")
    run = tmp_path / "run"
    assert cli("train", kinds, "--encoder finch -o", run) == 0
    assert "not from scratch" in capsys.readouterr().out
    assert open_model(run).name.startswith("onnx:finch@")
    assert "licence" in read_about(run / "model.zip")["about"]["published"]
    assert cli("evaluate", run, others, "--bootstrap 100 -o", tmp_path / "test") == 0
    assert cli("predict", run, others, "-o", tmp_path / "said.csv") == 0
    said = read_csv(tmp_path / "said.csv")
    assert np.mean([Path(row["file"]).parent.name == row["label"] for row in said]) > 0.9
    assert cli("detect", run, others, "-o", tmp_path / "found") == 0
    assert cli("embed finch", others, "-o", tmp_path / "index") == 0
    assert cli("suggest", run, others, "-n 3 -o", tmp_path / "queue.csv") == 0
    assert cli("info", run) == 0
    classifier = SoundClassifier(encoder="finch", method="probe", device="cpu").fit(kinds)
    assert classifier.model_.name == open_model(run).name
    capsys.readouterr()
    assert cli("export", run, "-o", tmp_path / "model.onnx") == 2
    assert "cannot be exported" in capsys.readouterr().err
    for verb in ("train --method supervised", "train --objective simclr", "pretrain"):
        data = ["--unlabelled", others] if verb == "train --objective simclr" else []
        words = verb.split()
        where = ["-o", tmp_path / words[-1]]
        assert cli([words[0]], kinds, words[1:], data, "--encoder finch", where) == 2, verb
        assert "cannot be trained" in capsys.readouterr().err


def test_a_model_without_its_encoder_says_how_to_get_it(
    finch: GeneralEncoder, graph: Path, kinds: Path, tmp_path: Path
) -> None:
    get_encoder("finch")
    SoundClassifier(encoder="finch", method="probe", device="cpu").fit(kinds).save(
        tmp_path / "model.zip"
    )
    encoder_place("finch", ".onnx").unlink()
    with pytest.raises(ModelError, match="semisonic encoder get finch"):
        open_model(tmp_path / "model.zip")
    graph.write_bytes(graph.read_bytes() + b"\x1a\x00")  # the same graph in another file
    get_encoder("finch", str(graph))
    with pytest.raises(ModelError, match="the model was made with"):
        open_model(tmp_path / "model.zip")


def test_auto_says_when_such_an_encoder_would_serve(kinds: Path, tmp_path: Path) -> None:
    from semisonic.classifier.config import GENERAL_NOTE
    from semisonic.classifier.options import TrainOptions
    from semisonic.classifier.train import job_of
    from semisonic.data.datasets.load import load_clips

    clips = load_clips(kinds)
    options = TrainOptions(data=kinds, output=tmp_path / "run")
    assert GENERAL_NOTE in job_of(options, clips).notes
    assert GENERAL_NOTE not in job_of(replace(options, method="supervised"), clips).notes
