from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError, OptionError
from semisonic.data.batches import Stream, batches, gatherer

N = 50
FEATURES = np.arange(N * 12, dtype=np.float16).reshape(N, 1, 3, 4)


def stream(rows=None, **options):
    options = {"batch_size": 8, "seed": 0, **options}
    return Stream(FEATURES, np.arange(N) if rows is None else rows, **options)


def epoch(s, number):
    first = number * s.steps_per_epoch
    return [s.at(step) for step in range(first, first + s.steps_per_epoch)]


def rows_of(parts):
    return torch.cat([part.row for part in parts]).tolist()


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, N),
    batch_size=st.integers(1, 60),
    seed=st.integers(0, 5),
    number=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_every_row_stands_once_in_every_epoch(n, batch_size, seed, number, shuffle):
    rows = np.random.default_rng(seed).permutation(N)[:n]
    s = stream(rows, batch_size=batch_size, seed=seed, shuffle=shuffle)
    parts = epoch(s, number)
    assert sorted(rows_of(parts)) == sorted(rows.tolist())
    if not shuffle:
        assert rows_of(parts) == rows.tolist()
    sizes = [len(part.row) for part in parts]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    least = min(2, batch_size)
    assert len(sizes) == 1 or least <= sizes[-1] < batch_size + least
    assert s.steps_per_epoch in (-(-n // batch_size), -(-n // batch_size) - 1)
    for part in parts:
        assert part.x.dtype == torch.float32
        np.testing.assert_array_equal(part.x, FEATURES[part.row.numpy()])


def test_a_single_last_row_goes_into_the_batch_before():
    assert [len(part.row) for part in epoch(stream(np.arange(17)), 0)] == [8, 9]
    assert [len(part.row) for part in epoch(stream(np.arange(18)), 0)] == [8, 8, 2]
    assert [len(part.row) for part in epoch(stream(np.arange(1)), 0)] == [1]


def test_a_step_needs_no_steps_before_it():
    ordered = [stream().at(step) for step in range(20)]
    s = stream()
    for step in (13, 2, 19, 13, 0, 6, 7):
        assert torch.equal(s.at(step).row, ordered[step].row)
        assert torch.equal(s.at(step).x, ordered[step].x)


def test_order_depends_on_seed_name_and_epoch():
    def order(number=0, **options):
        return rows_of(epoch(stream(**options), number))

    assert order() == order()
    assert order() != list(range(N))
    others = [order(1), order(seed=1), order(name="unlabelled")]
    assert all(other != order() for other in others)


def test_targets_follow_their_rows():
    classes = np.arange(N) * 3 % 7
    for part in epoch(stream(target=classes), 2):
        assert part.y is not None
        assert part.y.dtype == torch.int64
        np.testing.assert_array_equal(part.y, classes[part.row.numpy()])
    columns = np.random.default_rng(0).random((N, 4))
    part = stream(target=columns).at(3)
    assert part.y is not None
    assert part.y.dtype == torch.float32
    np.testing.assert_array_equal(part.y, columns[part.row.numpy()].astype(np.float32))
    assert stream().at(0).y is None


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_the_batch(world):
    s = stream(np.arange(N - 2), target=np.arange(N), batch_size=12)
    for step in range(2 * s.steps_per_epoch):
        whole = s.at(step)
        parts = [s.at(step, rank, world) for rank in range(world)]
        assert sorted(rows_of(parts)) == sorted(whole.row.tolist())
        assert max(len(p.row) for p in parts) - min(len(p.row) for p in parts) <= 1
        for part in parts:
            np.testing.assert_array_equal(part.x, FEATURES[part.row.numpy()])
            assert torch.equal(part.y, part.row)


def test_a_batch_too_small_for_all_processes_is_told_at_the_first_step():
    s = stream(np.arange(18))  # 8, 8, 2
    with pytest.raises(DataError, match="larger batch_size"):
        s.at(0, 0, 4)


def test_transform_depends_on_step_and_rank_alone():
    def add_noise(x, numbers):
        return x + torch.rand(x.shape, generator=numbers)

    def noise(step, rank=0, world=1, **options):
        noisy = stream(transform=add_noise, **options).at(step, rank, world)
        plain = stream(**options).at(step, rank, world)
        return noisy.x - plain.x

    assert torch.equal(noise(9), noise(9))
    assert torch.equal(noise(0)[0], noise(0, 0, 2)[0])
    others = [noise(10), noise(9, seed=1), noise(9, name="b"), noise(9, 1, 2)]
    assert all(not torch.equal(noise(9)[:4], other[:4]) for other in others)


def test_evaluation_batches_are_in_order():
    rows = np.array([5, 3, 40, 3, 0])
    parts = list(batches(FEATURES, rows, 2))
    assert [len(part.row) for part in parts] == [2, 2, 1]
    assert rows_of(parts) == rows.tolist()
    np.testing.assert_array_equal(torch.cat([part.x for part in parts]), FEATURES[rows])
    assert all(part.y is None for part in parts)
    assert list(batches(FEATURES, [], 2)) == []


def test_a_mapped_file_gives_the_same(tmp_path):
    np.save(tmp_path / "a.npy", FEATURES)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    s = Stream(mapped, np.arange(N), batch_size=8, seed=0)
    for step in range(10):
        assert torch.equal(s.at(step).x, stream().at(step).x)
        s.at(step).x.zero_()  # belongs to the caller
    np.testing.assert_array_equal(mapped, FEATURES)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_another_device_keeps_the_rows_if_they_fit(kept, dtype, monkeypatch):
    # The meta device holds no numbers, but shows where tensors are and of which shape.
    features = FEATURES.astype(dtype)
    n_bytes = 20 * features[0].nbytes
    monkeypatch.setattr(torch, "from_numpy", read := Mock(wraps=torch.from_numpy))
    gather = gatherer(features, np.arange(20), torch.device("meta"), n_bytes - (not kept))
    read.reset_mock()
    x = gather(np.array([3, 19, 3]))
    assert read.call_args.args[0].dtype == (np.int64 if kept else dtype)  # places, or features
    assert (x.device.type, x.dtype, tuple(x.shape)) == ("meta", torch.float32, (3, 1, 3, 4))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_batches_of_an_accelerator_are_those_of_the_cpu(device):
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if not available[device]():
        pytest.skip(f"no {device} here")
    rows = np.arange(3, 40)
    s = stream(rows, target=np.arange(N), device=device)
    for step in range(10):
        found, expected = s.at(step), stream(rows, target=np.arange(N)).at(step)
        assert found.x.device.type == device
        assert torch.equal(found.x.cpu(), expected.x)
        assert torch.equal(found.y.cpu(), expected.y)
    for part in batches(FEATURES, rows, 8, device):
        np.testing.assert_array_equal(part.x.cpu(), FEATURES[part.row.numpy()])


@pytest.mark.parametrize(
    "rows", [[], [N], [-1], [0.5], np.ones(N, bool), np.zeros((2, 2), int), [[1]]]
)
def test_wrong_rows_are_errors(rows):
    with pytest.raises(DataError, match="'labelled'"):
        stream(rows)


@pytest.mark.parametrize(
    "target", [np.zeros(N - 1, int), np.zeros(N), np.full(N, -1), np.zeros((N, 2, 2))]
)
def test_wrong_targets_are_errors(target):
    with pytest.raises(DataError, match="target of 'labelled'"):
        stream(target=target)


def test_rows_without_label_may_exist_where_they_are_not_used():
    target = np.where(np.arange(N) < 10, 1, -1)
    assert stream(np.arange(10), target=target).at(0).y is not None


def test_wrong_numbers_are_errors():
    with pytest.raises(OptionError, match="batch_size"):
        stream(batch_size=0)
    with pytest.raises(OptionError, match="batch_size"):
        next(batches(FEATURES, [1], 0))
    with pytest.raises(OptionError, match="rank 2 of 2"):
        stream().at(0, 2, 2)
    with pytest.raises(OptionError, match="step -1"):
        stream().at(-1)
    with pytest.raises(DataError, match="float64"):
        Stream(FEATURES.astype(float), [0], batch_size=1, seed=0)
