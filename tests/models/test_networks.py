"""What every network of the package keeps to: length, company, weights, files, pre-training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.learning.contrastive import pooled
from semisonic.models.encoder import MirroredEncoder, Trace
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.model_file import load, load_encoder, save, save_encoder, write_card
from semisonic.models.networks.cnn import area_weights
from semisonic.models.networks.staged import NetworkDesign, ResidualBlock, StagedEncoder
from semisonic.models.networks.waves import WaveConv
from semisonic.models.pretrained import build_autoencoder, build_encoder, transfer
from semisonic.models.registry import create, names
from semisonic.models.sound_model import build

TEN = [f"class {i}" for i in range(10)]
ANY = MelOptions(duration=0.6, n_mels=24)
WAVES = MelOptions(sample_rate=16_000, duration=1.28, input="wave")
SEGMENT = MelOptions(duration=20480 / 22050, n_mels=60, deltas=True)
PICTURE = MelOptions(duration=3.0, n_mels=64)
OF_WAVES = ["m5", "m11", "aclnet-dwsc-0.125", "aclnet-sc-0.125"]
OF_MEL = ["small", "tiny", "base", "vgg", "resnet", "crnn-lstm", "crnn-gru", "transformer"]
MEL = {
    **dict.fromkeys(OF_MEL, ANY),
    **dict.fromkeys(OF_WAVES, WAVES),
    **dict.fromkeys(("cnn2", "cnn3"), PICTURE),
    "piczak-small": SEGMENT,
    "(6)5c-2p-(8)3cbn-2p-16fc": ANY,
    "(6)5c-2p-(8)3c-gp-16fcr": ANY,
}
MIRRORED = ("small", "tiny", "base", "(6)5c-2p-(8)3cbn-2p-16fc")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MEL)
def test_scores_do_not_depend_on_company_layout_or_door(name: str) -> None:
    """Alone and in a batch, from waves and from features, channels last, nearly so in bf16."""
    mel = MEL[name]
    model = build(name, mel, TEN).eval()
    wave = noise(3, mel.n_samples) * 0.1
    x = model.frontend.mel(wave)
    model.frontend.standardize.fit(x)
    expected = model(wave)
    assert expected.shape == (3, 10)
    assert torch.equal(model.from_features(x), expected)
    torch.testing.assert_close(model.head(model.embed(x)), expected)
    each = torch.cat([model(one[None]) for one in wave])
    torch.testing.assert_close(each, expected, atol=1e-4, rtol=1e-4)
    last = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(last.from_features(x), expected, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = last.from_features(x).float()
    assert (coarse - expected).abs().mean() < 0.15 * expected.std()


@pytest.mark.parametrize("name", [*OF_MEL, *OF_WAVES])
def test_any_length(name: str) -> None:
    rows = MEL[name].shape[1]
    model = build(name, MEL[name], TEN).eval()
    for n in (16_000, 16_001, 20_480) if rows == 1 else (9, 16, 50):
        x = noise(2, 1, rows, n)
        assert model.from_features(x).isfinite().all()
        code = model.encoder(x)
        assert tuple(code.shape[1:]) == model.encoder.code_shape(rows, n)
        assert model.encoder.frames_after(torch.tensor([n])).item() == code.shape[3]


@pytest.mark.parametrize("name", ["crnn-lstm", "transformer"])
def test_what_fills_a_clip_up_is_never_heard(name: str) -> None:
    """Whatever it is, after any training, at any length."""
    model = build(name, ANY, TEN)
    x = noise(4, 1, 24, 61)
    model.from_features(noise(8, 1, 24, 40, seed=1) + 2)  # moves the running statistics
    model.eval()
    lengths = torch.tensor([61, 37, 16, 9])
    found = model.from_features(x, lengths)
    each = [model.from_features(x[i : i + 1, ..., :n]) for i, n in enumerate(lengths.tolist())]
    torch.testing.assert_close(found, torch.cat(each), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MEL)
def test_all_weights_learn_and_a_clip_alone_can_be_learned(name: str) -> None:
    model = build(name, MEL[name], TEN)
    torch.manual_seed(0)
    x = noise(6, *MEL[name].shape)
    F.cross_entropy(model.from_features(x), torch.arange(6)).backward()
    parameters = dict(model.named_parameters())
    still = [n for n, p in parameters.items() if p.grad is None or not p.grad.any()]
    assert not [n for n in still if not n.endswith("bias")], "a norm takes off a bias, no weight"
    assert model.from_features(x[:1]).isfinite().all()


@pytest.mark.parametrize("name", MEL)
def test_weights_come_from_the_seed_and_from_the_file(tmp_path: Path, name: str) -> None:
    mel = MEL[name]
    torch.manual_seed(99)
    draw = torch.rand(2)
    torch.manual_seed(99)
    model, x = build(name, mel, TEN, seed=3), noise(3, *mel.shape)
    assert torch.equal(torch.rand(2), draw)  # the global generator did not move
    again, other = (build(name, mel, TEN, seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(value, again[n]) for n, value in model.state_dict().items())
    assert not torch.equal(again["head.1.weight"], other["head.1.weight"])
    model.frontend.standardize.fit(x)
    model.from_features(x)  # moves the running statistics
    save(tmp_path / "m", model.eval())
    back = load(tmp_path / "m")
    assert back.name == model.name
    assert torch.equal(back.from_features(x), model.from_features(x))


@pytest.mark.parametrize("name", [name for name in MEL if name not in OF_WAVES])
def test_views_can_be_compared_and_the_encoder_handed_over(tmp_path: Path, name: str) -> None:
    pretrained, x = build_encoder(name, MEL[name], seed=1), noise(4, *MEL[name].shape)
    pretrained.frontend.standardize.fit(x)
    pooled(pretrained.encode(x)).square().sum().backward()
    assert all(p.grad is not None for p in pretrained.encoder.parameters())
    save_encoder(tmp_path / "e", pretrained)
    model = build(name, MEL[name], TEN, seed=2)
    transfer(load_encoder(tmp_path / "e"), model)
    assert torch.equal(model.eval().encoder(x), pretrained.eval().encode(x))


@pytest.mark.parametrize("decoder", ["upsample", "subpixel", "unet"])
@pytest.mark.parametrize("name", MIRRORED)
def test_those_with_a_mirror_image_are_auto_encoders(
    tmp_path: Path, name: str, decoder: str
) -> None:
    autoencoder = build_autoencoder(name, MEL[name], decoder=decoder)
    x = noise(2, *MEL[name].shape)
    y = autoencoder(x)
    assert y.shape == x.shape
    y.square().mean().backward()
    assert all(p.grad is not None for p in autoencoder.parameters())
    save_encoder(tmp_path / "e", autoencoder.eval())
    assert torch.equal(load_encoder(tmp_path / "e")(x), autoencoder(x))


@pytest.mark.parametrize("name", ["m5", "crnn-lstm", "transformer", "cnn2", "vgg"])
def test_the_others_say_what_to_do_instead(name: str) -> None:
    with pytest.raises(ModelError, match=rf"'{name}' cannot be an auto-encoder: .*'simclr'"):
        build_autoencoder(name, MEL[name], decoder="upsample")


@pytest.mark.parametrize(
    ("name", "shape", "error"),
    [
        ("cnn2", (1, 40, 500), "expected at least 64 x 128"),
        ("cnn3", (1, 64, 127), "expected at least 64 x 128"),
        ("crnn-lstm", (1, 40, 7), "windows of 3x3"),
        ("crnn-lstm", (1, 6, 70), "windows of 3x3"),
        ("m18", (1, 1, 1023), "at least 1024"),
        ("aclnet-dwsc-0.125", (1, 1, 5119), "at least 5120"),
    ],
)
def test_too_little_input_is_explained(name: str, shape: tuple[int, int, int], error: str) -> None:
    with pytest.raises(ModelError, match=error):
        create(name, shape)
    enough = (1, 1, 8192) if shape[1] == 1 else (1, 64, 128)
    with pytest.raises(ModelError, match=error):
        create(name, enough).encoder(torch.zeros(1, *shape))


@pytest.mark.parametrize(
    ("name", "n_parts"),
    [
        ("small", 4),
        ("(4)5c-2p-(5)3cbn-(6)3c-3p/2", 3),
        ("2p-(4)5c-2p-(5)3c", 2),
        ("(4)5c-2p-8fc", 1),
    ],
)
def test_the_parts_one_after_the_other_are_the_encoder(name: str, n_parts: int) -> None:
    """As layer-wise pre-training needs them."""
    encoder, x = create(name, (2, 40, 52)).encoder.eval(), noise(3, 2, 40, 52)
    assert isinstance(encoder, MirroredEncoder)
    trace = Trace(maps=True)
    code = encoder(x, record=trace)
    assert len(encoder.part_plans) == n_parts
    assert tuple(step for plan in encoder.part_plans for step in plan) == encoder.plan
    found, record = x, Trace(maps=True)
    for number in range(n_parts):
        found = encoder.run_part(number, found, record)
    assert torch.equal(found, code)
    assert [undo.size for undo in record.downs] == [undo.size for undo in trace.downs]


# --- what was published -----------------------------------------------------------------

SHORT, LONG, WAVE = (2, 60, 41), (2, 60, 101), (1, 1, 66_150)
PAGE = (Path(__file__).parents[2] / "docs/guides/networks.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w.-]+)` \| ([^|]+) \| ([\d ]+) \| (\d+) \|", PAGE, re.MULTILINE)


def whole(name: str, shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """Encoder, neck and class layer."""
    with torch.device("meta"):  # nothing is drawn
        body = create(name, shape)
        return nn.Sequential(body.encoder, body.neck, body.neck.class_layer(n_classes))


@pytest.mark.parametrize(("name", "size", "parameters", "macs"), ROWS)
def test_numbers_of_the_page(name: str, size: str, parameters: str, macs: str) -> None:
    sizes = [int(n.replace(" ", "")) for n in size.removesuffix(" samples").split(" × ")]
    shape = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else (1, 1, *sizes)
    model = whole(name, shape, 50)
    assert count_parameters(model) == int(parameters.replace(" ", ""))
    assert round(count_macs(model, shape) / 1e6) == int(macs)


def test_every_network_is_on_the_page() -> None:
    assert {name for name, *_ in ROWS} >= set(names())


@pytest.mark.parametrize(
    ("name", "shape", "n_classes", "parameters"),
    [
        ("piczak-short", SHORT, 10, 26_334_090),
        ("cnn2", (1, 64, 128), 50, 491_230),
        ("aclnet-sc-0.5", WAVE, 50, 1_195_410),
        ("vgg", (3, 128, 128), 80, 4_765_457),
    ],
)
def test_published_parameters(
    name: str, shape: tuple[int, int, int], n_classes: int, parameters: int
) -> None:
    assert count_parameters(whole(name, shape, n_classes)) == parameters


MAPS = {
    # (convolution, pool) in turn, without what only changes values
    ("piczak-short", SHORT): [(80, 4, 36), (80, 1, 12), (80, 1, 10), (80, 1, 3)],
    ("piczak-long", LONG): [(80, 4, 96), (80, 1, 32), (80, 1, 30), (80, 1, 10)],
    ("cnn2", (1, 128, 500)): [
        *((32, 62, 126), (32, 31, 63), (128, 29, 61), (128, 14, 30)),
        *((128, 12, 28), (128, 6, 14), (128, 4, 12), (128, 2, 6)),
    ],
    ("cnn3", (1, 64, 216)): [
        *((32, 62, 126), (32, 31, 63), (64, 29, 61)),
        *((64, 14, 30), (128, 12, 28), (128, 6, 14)),
    ],
    ("aclnet-sc-0.125", (1, 1, 20_480)): [(1, 64, 128)],
    ("aclnet-dwsc-0.125", (1, 1, 20_480)): [(1, 64, 128)],
}


@pytest.mark.parametrize(("name", "shape"), MAPS)
def test_published_shapes_on_the_way(name: str, shape: tuple[int, int, int]) -> None:
    encoder = create(name, shape).encoder.eval()
    looked_at = {"AsPicture"} if shape[1] == 1 else {"UniformConv", "Conv2d", "MaxPool2d"}
    found = []
    for layer in encoder.modules():
        if type(layer).__name__ in looked_at:
            layer.register_forward_hook(lambda _, __, y: found.append(tuple(y.shape[1:])))
    encoder(torch.zeros(1, *shape))
    assert found == MAPS[name, shape]


def test_costs_of_aclnet_recurrent_and_attention_layers() -> None:
    second = (1, 1, 44_100)  # published: 49.3 million multiply-adds
    assert count_macs(whole("aclnet-dwsc-0.5", second, 50), second) == pytest.approx(
        49.3e6, rel=0.1
    )
    gru = nn.GRU(5, 7, num_layers=2, batch_first=True)
    assert count_macs(gru, (11, 5)) == 11 * 3 * (7 * 5 + 7 * 7 + 7 * 7 + 7 * 7)
    n, w = 4 * 14, 192
    layer = n * w * 3 * w + n * w * w + 2 * n * n * w + 2 * n * w * 4 * w
    body = create("transformer", (1, 64, 216))
    assert count_macs(body.encoder, (1, 64, 216)) == n * w * 256 + 4 * layer


# --- single layers ----------------------------------------------------------------------


def test_features_are_made_smaller_by_means_over_exact_areas() -> None:
    expected = torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    torch.testing.assert_close(area_weights(3, 2), expected)
    weights = area_weights(500, 128)
    torch.testing.assert_close(weights.sum(1), torch.ones(128))
    torch.testing.assert_close(weights.sum(0), torch.full((500,), 128 / 500))  # none is left out
    encoder, x = create("cnn3", (1, 128, 256)).encoder.eval(), noise(2, 1, 64, 128)
    larger = x.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)
    torch.testing.assert_close(encoder(larger), encoder(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "step"), [(80, 4), (9, 2), (5, 2), (3, 1)])
@pytest.mark.parametrize("n_samples", [160, 161, 163])
def test_a_step_over_samples_rounds_up_and_starts_at_the_same_place(
    kernel: int, step: int, n_samples: int
) -> None:
    conv, x = WaveConv(1, 1, kernel, step, bias=False), noise(1, 1, 1, n_samples)
    y = conv(x)
    assert y.shape[3] == -(-n_samples // step)
    longer = conv(torch.cat((x, torch.zeros(1, 1, 1, 37)), dim=3))
    torch.testing.assert_close(longer[..., : y.shape[3]], y)


def test_the_card_says_that_it_hears_waves() -> None:
    card = write_card(build("aclnet-dwsc-0.125", WAVES, "abc"), {})
    assert "wave 1 x 1 x 20480" in card
    assert "log-mel" not in card


def test_stochastic_depth_rises_leaves_out_whole_clips_and_keeps_the_mean() -> None:
    encoder = StagedEncoder(NetworkDesign(4, (4, 8), depth=2, drop_path=0.4), 1)
    rates = [m.drop_path for m in encoder.modules() if isinstance(m, ResidualBlock)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])
    block = ResidualBlock(2, 2, drop_path=0.5)
    with torch.no_grad():
        block.branch[4].weight.zero_()
        block.branch[4].bias.fill_(3.0)  # the branch gives 3 everywhere
    torch.manual_seed(0)
    y = block(torch.zeros(400, 2, 2, 2))
    assert set(y.flatten().tolist()) == {0.0, 6.0}
    assert (y == y[:, :1, :1, :1]).all()
    assert y.mean().item() == pytest.approx(3.0, abs=0.4)
    with pytest.raises(ModelError, match="drop_path"):
        ResidualBlock(2, 2, drop_path=1.0)
