"""Somebody's own network and augmentation: fitted, pre-trained, saved, loaded, from a plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from tiny_sounds import KINDS, MEL, PLAIN, RATE, sound
from torch import Tensor, nn

import semisonic.models
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.info import info
from semisonic.cli.main import main
from semisonic.core import plugins
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.parallel import ProcessCalls
from semisonic.models.model_file import save_encoder
from semisonic.models.registry import names
from semisonic.models.sound_model import build

Y = [KINDS[i % 3] for i in range(24)]
X = [sound(kind, i) for i, kind in enumerate(Y)]
SHORT = {"epochs": 6, "learning_rate": 5e-3, **PLAIN}


class Means(nn.Module):
    """A vector a clip, of clips of any length, with a parameter of its own."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(shape[1]))
        self.dense = nn.Linear(shape[1], 12)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, mel, frame) to (batch, 12)."""
        return self.dense(x.mean(dim=(1, 3)) * self.scale)


def flat(shape: tuple[int, int, int]) -> nn.Module:
    """A vector a clip, of clips of one length."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.ReLU())


def maps(shape: tuple[int, int, int]) -> nn.Module:
    """A map."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3)
    )


@pytest.fixture(autouse=True)
def _registered() -> None:
    for name, network in (("my-means", Means), ("my-flat", flat), ("my-maps", maps)):
        semisonic.register(name)(network)  # again in each test: the last one counts


def make(model: str | nn.Module, **params: object) -> SoundClassifier:
    arguments: dict[str, object] = {
        "mel": MEL,
        "training": SHORT,
        "pretraining": {**SHORT, "epochs": 2},
        "device": "cpu",
        "workers": 1,
        "method": "supervised",
        "sample_rate": RATE,
    }
    return SoundClassifier(model, **(arguments | params))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["my-means", "my-flat", "my-maps"])
def test_a_network_of_ones_own_learns_and_is_kept(name: str, tmp_path: Path) -> None:
    clf = make(name, training={**SHORT, "epochs": 12}).fit(X, Y)
    assert clf.score(X, Y) > 0.6
    clf.save(tmp_path / "own.model")
    again = SoundClassifier.load(tmp_path / "own.model")
    assert np.array_equal(again.predict_proba(X, sample_rate=RATE), clf.predict_proba(X))


WAVE = {"input": "wave", "sample_rate": RATE, "duration": 0.5}


class Learned(nn.Module):
    """An encoder of samples that was learned elsewhere: loudness of eight bands."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 1, time) to (batch, 8)."""
        bands = torch.fft.rfft(x[:, 0, 0]).abs().split(x.shape[3] // 16, dim=1)[:8]
        return torch.stack([(band.square().mean(dim=1) + 1e-6).log() for band in bands], dim=1)


class Ramped(Means):
    """Makes a tensor in its forward."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, mel, frame) to (batch, 12)."""
        return super().forward(x + torch.linspace(0, 1, x.shape[3]))


class Careful(Means):
    """Looks at values in its forward."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, mel, frame) to (batch, 12)."""
        return super().forward(x + 1 if float(x.abs().max()) == 0 else x)


class Spectra(Learned):
    """Makes a window in its forward, and looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 1, time) to (batch, 8)."""
        if not x.isfinite().all():
            raise ValueError("not finite")
        window = torch.hann_window(256, device=x.device)
        power = torch.stft(x[:, 0, 0], 256, window=window, return_complex=True).abs().square()
        return (power.mean(dim=2)[:, :128].unflatten(1, (8, 16)).mean(dim=2) + 1e-6).log()


@pytest.mark.parametrize(
    ("network", "front_end", "counted"),
    [(Ramped, {}, "0.0 million"), (Careful, {}, "not counted"), (Spectra, WAVE, "not counted")],
)
def test_a_network_that_needs_values_is_kept_too(
    network: type[nn.Module],
    front_end: dict[str, object],
    counted: str,
    kinds: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.model"
    if front_end:
        mel = semisonic.MelOptions(**front_end)  # type: ignore[arg-type]
        encoder = semisonic.build_encoder(network(), mel, standardize="none")
        make("small", mel=mel, encoder=encoder, method="probe", training={}).fit(X, Y).save(file)
        save_encoder(tmp_path / "encoder.model", encoder)
        assert counted in info(str(tmp_path / "encoder.model")).summary()
    else:
        semisonic.register("my-network")(network)
        make("my-network").fit(X, Y).save(file)
    assert counted in info(str(file)).summary()
    result = semisonic.evaluate(file, kinds, tmp_path / "measured", device="cpu", workers=1)
    assert counted in result.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (torch.zeros(4, dtype=torch.float64), r"'mask' has type torch\.float64, expected float32"),
        (torch.full((4,), -torch.inf), "'mask' contains values that are not finite"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_before_training(values: Tensor, words: str) -> None:
    network = Means(MEL.shape)
    network.register_buffer("mask", values)
    with pytest.raises(ModelError, match=words + r".*persistent=False"):
        build(network, MEL, KINDS)
    network.register_buffer("mask", values, persistent=False)
    build(network, MEL, KINDS)


def test_its_first_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.rand(3)
        return list(build("my-means", MEL, KINDS, seed=seed).state_dict().values())

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not all(map(torch.equal, weights(1), weights(2)))


def test_it_is_pre_trained_by_comparing_views() -> None:
    clf = make("my-maps", objective="simclr").fit(X[:12], Y[:12], unlabelled=X[12:])
    assert len(clf.pretraining_history_) == 2


@pytest.mark.parametrize("method", ["fixmatch", "pi-model", "probe"])
def test_it_learns_by_other_methods(method: str) -> None:
    more = {"training": {}, "objective": "simclr"} if method == "probe" else {"objective": "none"}
    clf = make("my-maps", method=method, **more)
    assert clf.fit(X[:12], Y[:12], unlabelled=X[12:]).predict(X).shape == (24,)


def test_an_object_is_copied_with_its_weights(tmp_path: Path) -> None:
    network = Means(MEL.shape)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    clf = clone(make(network)).fit(X, Y)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    start = make(network, training={**SHORT, "epochs": 1, "learning_rate": 1e-12}).fit(X, Y)
    kept = start.model_.encoder.state_dict()["network.scale"]
    assert torch.allclose(kept, before["scale"], atol=1e-6)
    clf.save(tmp_path / "object.model")
    code = f"""
from semisonic import SoundClassifier, SemisonicError
try:
    SoundClassifier.load({str(tmp_path / "object.model")!r})
except SemisonicError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "was given as an object" in done.stdout
    again = SoundClassifier.load(tmp_path / "object.model", model=Means(MEL.shape))
    assert np.array_equal(again.predict_proba(X, sample_rate=RATE), clf.predict_proba(X))


def test_what_does_not_fit_is_explained() -> None:
    semisonic.register("my-mistake")(lambda shape: nn.Conv2d(7, 8, 3))
    with pytest.raises(ModelError, match=r"'my-mistake' fails on features of shape .*2, 1, 16"):
        make("my-mistake").fit(X, Y)
    semisonic.register("my-pair")(lambda shape: nn.Flatten(start_dim=2))
    with pytest.raises(ModelError, match=r"'my-pair' gives \(2, 1, 512\).*Expected: a network"):
        make("my-pair").fit(X, Y)
    semisonic.register("my-text")(lambda shape: "network")
    with pytest.raises(ModelError, match=r"found a str, expected an nn\.Module"):
        make("my-text").fit(X, Y)
    with pytest.raises(ModelError, match="clips of 32 frames only, found 16"):
        make("my-flat", objective="simclr").fit(X[:12], Y[:12], unlabelled=X[12:])
    with pytest.raises(ModelError, match="cannot be an auto-encoder"):
        make("my-maps", objective="denoising").fit(X[:12], Y[:12], unlabelled=X[12:])
    with pytest.raises(ModelError, match="'small' is taken"):
        semisonic.register("small")(maps)


class Louder(nn.Module):
    """Another level for each row; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = [0]  # a list, so that copies count together

    def __deepcopy__(self, memo: dict[int, object]) -> Louder:
        copy = Louder()
        copy.calls = self.calls
        return copy

    def forward(self, x: Tensor) -> Tensor:
        """Features in dB, changed."""
        self.calls[0] += 1
        return x + 3 * torch.rand(len(x), 1, 1, 1)


def test_an_augmentation_of_ones_own_changes_training_clips() -> None:
    louder = Louder()
    clf = make("(4)3c-2p", validation=0, method_params={"augment": louder}).fit(X, Y)
    assert louder.calls[0] == len(clf.history_) * 3  # 24 clips in batches of 8
    calls = louder.calls[0]
    clf.predict(X)
    assert louder.calls[0] == calls
    by_options = make("(4)3c-2p", method_params=semisonic.MethodOptions(augment=louder))  # type: ignore[arg-type]
    assert clone(by_options).fit(X, Y).score(X, Y) > 0.3


def test_it_has_a_name_for_fixmatch_and_for_views() -> None:
    seen: list[tuple[int, ...]] = []

    @semisonic.register_augmentation("my-turn")
    def turned(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x.flip(3)

    how = {"pool_augment": "my-turn", "threshold": 0.0}
    clf = make("(4)3c-2p-gp", method="fixmatch", objective="none", method_params=how)
    clf.fit(X[:12], Y[:12], unlabelled=X[12:])
    assert seen
    assert {shape[1:] for shape in seen} == {(1, 16, 32)}
    seen.clear()
    pretext = {"views": turned, "view_share": 1.0}
    clf = make("(4)3c-2p-gp", objective="simclr", pretext=pretext)
    clf.fit(X[:12], Y[:12], unlabelled=X[12:])
    assert seen
    with pytest.raises(OptionError, match="'strong' is taken"):
        semisonic.register_augmentation("strong")(turned)


def test_an_augmentation_that_gives_another_shape_is_named() -> None:
    semisonic.register_augmentation("my-half")(lambda x: x[..., ::2])
    with pytest.raises(semisonic.SemisonicError, match=r"'my-half' gives \(\d+, 1, 16, 16\)"):
        make("(4)3c-2p", method_params={"augment": "my-half"}).fit(X, Y)
    with pytest.raises(OptionError, match="found 'my-haf'; did you mean 'my-half'"):
        make("(4)3c-2p", method_params={"augment": "my-haf"}).fit(X, Y)


def focal(logits: Tensor, shares: Tensor) -> Tensor:
    """Focal loss (Lin et al. 2017) of each row."""
    logs = logits.log_softmax(dim=1)
    return -(shares * (1 - logs.exp()) ** 2 * logs).sum(dim=1)


def test_a_loss_of_ones_own_is_minimised() -> None:
    seen: list[tuple[tuple[int, ...], float]] = []

    @semisonic.register_loss("my-loss")
    def counted(logits: Tensor, shares: Tensor) -> Tensor:
        seen.append((tuple(shares.shape), float(shares.max())))
        return focal(logits, shares)

    clf = make("(4)3c-2p", method_params={"loss": "my-loss"}, label_smoothing=0.3).fit(X, Y)
    assert clf.score(X, Y) > 0.6
    assert {(shape[1], round(top, 3)) for shape, top in seen} == {(3, 0.8)}
    plain = make("(4)3c-2p", method_params={"loss": focal}).fit(X, Y)
    usual = make("(4)3c-2p").fit(X, Y)
    assert plain.history_[0]["loss"] < 0.8 * usual.history_[0]["loss"]
    selected = make("(4)3c-2p", method_params={"loss": focal, "noise_rate": 0.2})
    assert clone(selected).fit(X, Y).score(X, Y) > 0.3


def test_a_loss_that_gives_something_else_is_named() -> None:
    semisonic.register_loss("my-mean")(lambda logits, shares: focal(logits, shares).mean())
    with pytest.raises(semisonic.SemisonicError, match=r"'my-mean': found \(\) for logits"):
        make("(4)3c-2p", method_params={"loss": "my-mean"}).fit(X, Y)
    with pytest.raises(OptionError, match="'bootstrap' is taken"):
        semisonic.register_loss("bootstrap")(focal)


class RootMel(nn.Module):
    """A front end of one's own: square roots of mel levels, learned gains."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = semisonic.LogMel(MEL)
        self.gain = nn.Parameter(torch.zeros(MEL.n_mels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 1, time) to (batch, 1, mel, frame)."""
        level = self.mel(x[:, 0, 0])
        return 10 ** ((level + self.gain) / 40)


def test_a_front_end_of_ones_own_is_the_first_part_of_a_network_of_samples(tmp_path: Path) -> None:
    semisonic.register("my-front-end", waves=True)(
        lambda shape: nn.Sequential(RootMel(), maps((1,)))
    )
    clf = make("my-front-end", mel=WAVE, training={**SHORT, "epochs": 12}).fit(X, Y)
    assert clf.score(X, Y) > 0.6
    assert clf.model_.encoder.network[0].gain.abs().max() > 0
    clf.save(tmp_path / "front.model")
    again = SoundClassifier.load(tmp_path / "front.model")
    assert np.array_equal(again.predict_proba(X, sample_rate=RATE), clf.predict_proba(X))


def test_an_encoder_of_ones_own_is_probed_and_searched(kinds: Path, tmp_path: Path) -> None:
    mel = semisonic.MelOptions(**WAVE)
    encoder = semisonic.build_encoder(Learned(), mel, standardize="none")
    clf = make("small", mel=WAVE, encoder=encoder, method="probe", objective="none", training={})
    assert clf.fit(X, Y).score(X, Y) > 0.9
    index = semisonic.embed(encoder, kinds, tmp_path / "index", workers=1)
    assert index.vectors.shape[1] == 8
    hits = index.search(kinds / "hum" / "00.wav", k=3)
    assert all("hum" in hit.file for hit in hits)


PLUGIN = """
import semisonic
from torch import nn

@semisonic.register("plugged")
def plugged(shape):
    return nn.Sequential(nn.Conv2d(shape[0], 8, 3, stride=2), nn.ReLU())

@semisonic.register_augmentation("plugged-noise")
def plugged_noise(x):
    import torch
    return x + torch.randn_like(x)
"""
FRONT = (
    "--sample-rate 8000 --duration 0.5 --n-fft 256 --hop-length 128 --n-mels 16 --device cpu "
    "--workers 1"
)


def test_the_command_line_imports_a_plugin(
    kinds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "plugged_parts.py", tmp_path / "run"
    file.write_text(PLUGIN, encoding="utf-8")
    plugin = ["--plugin", str(file)]
    asked = ["--method", "supervised", "--epochs", "2", "--batch-size", "8", *FRONT.split()]
    train = ["train", str(kinds), "--model", "plugged", "--augment", "plugged-noise", *asked]
    assert main([*train, "-o", str(run), *plugin]) == 0
    assert main([*plugin, "predict", str(run), str(kinds / "hum"), "--device", "cpu"]) == 0
    capsys.readouterr()
    # Another process knows nothing of it: no code comes from a file.
    without = [
        sys.executable,
        "-c",
        "import sys; from semisonic.cli.main import main; sys.exit(main(sys.argv[1:]))",
        "info",
        str(run),
    ]
    done = subprocess.run(without, capture_output=True, text=True)
    assert done.returncode == 2
    assert "its network 'plugged' is not from Semisonic" in done.stderr
    assert "--plugin plugged_parts" in done.stderr
    again = subprocess.run(
        [*without, "--plugin", "plugged_parts"], capture_output=True, text=True, cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr


def test_a_plugin_that_cannot_be_imported_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken_plugin.py"
    broken.write_text("import semisonic\nsemisonic.no_such_name\n", encoding="utf-8")
    for name, words in (
        (str(broken), "AttributeError: module 'semisonic' has no attribute"),
        (str(tmp_path / "nothing.py"), "no such file"),
        ("no_such_module", "No module named 'no_such_module'"),
    ):
        assert main(["info", "--plugin", name]) == 2
        said = capsys.readouterr().err
        assert f"plugin '{name}': found no module that can be imported" in said
        assert words in said


def registered_here(_: object) -> list[str]:
    """What a worker process knows."""
    return [name for name in names() if name.startswith("plugged")]


def make_registered_here() -> object:
    return registered_here


def test_worker_processes_know_what_a_plugin_registered(tmp_path: Path) -> None:
    file = tmp_path / "plugged_far.py"
    file.write_text(
        PLUGIN.replace('"plugged"', '"plugged-far"').replace("-noise", "-far-noise"),
        encoding="utf-8",
    )
    plugins.load(str(file))
    with ProcessCalls(make_registered_here, 1) as calls:
        future = calls.submit(None)
        calls.wait([future])
        assert "plugged-far" in calls.result(future)
