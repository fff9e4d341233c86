"""Trainings told in steps, and epochs of several passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_standins import ArrayStream, Classify, same_weights, small_net, weights

from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

PLAIN = {"precision": "fp32", "channels_last": "off", "learning_rate": 0.01}


def train(**options):
    objective, stream = Classify(small_net()), ArrayStream(n=24, batch_size=8)
    result = fit(objective, {"labelled": stream}, FitOptions(**PLAIN, **options), seed=0)
    return objective, stream, result


@given(st.integers(0, 5000), st.integers(0, 500), st.integers(1, 300), st.integers(1, 100))
def test_an_epoch_is_whole_passes_and_the_steps_are_exact(steps, epoch_steps, a_pass, epochs):
    options = FitOptions(steps=steps, epoch_steps=epoch_steps, epochs=epochs)
    per_epoch = options.steps_an_epoch(a_pass)
    n, in_all = options.n_epochs(per_epoch), options.n_steps(per_epoch)
    assert per_epoch % a_pass == 0
    assert epoch_steps <= per_epoch < max(epoch_steps, 1) + a_pass
    if steps:
        assert in_all == steps
        assert (n - 1) * per_epoch < steps <= n * per_epoch
    else:
        assert (n, in_all) == (epochs, epochs * per_epoch)


def test_steps_count_instead_of_epochs():
    _, stream, result = train(steps=10, epochs=50)  # three steps a pass
    assert result.n_steps == 10
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert max(stream.asked) == 9
    assert not result.stopped_early


@pytest.mark.parametrize("stop_at", [4, 9])
def test_a_training_that_ends_within_an_epoch_goes_on_to_the_same_weights(tmp_path, stop_at):
    whole, _, _ = train(steps=11, epoch_steps=6)
    options = FitOptions(**PLAIN, steps=11, epoch_steps=6, checkpoint_interval=0.0)
    stream = ArrayStream(n=24, batch_size=8, fail_at={stop_at: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        fit(Classify(small_net()), {"labelled": stream}, options, seed=0, folder=tmp_path)
    again = Classify(small_net())
    result = fit(
        again, {"labelled": ArrayStream(n=24, batch_size=8)}, options, seed=0, folder=tmp_path
    )
    assert result.n_steps == 11
    assert len(result.history) == 2
    assert same_weights(weights(again), weights(whole))


def test_long_epochs_train_as_short_ones_do():
    short, _, rows = train(steps=12)
    long, _, fewer = train(steps=12, epoch_steps=5)
    assert len(fewer.history) == 2
    assert len(rows.history) == 4
    assert same_weights(weights(short), weights(long))
    mean = sum(row["loss"] for row in rows.history[:2]) / 2
    assert fewer.history[0]["loss"] == pytest.approx(mean, rel=1e-6)


def test_the_schedule_ends_with_the_last_step():
    _, _, result = train(steps=12, epoch_steps=6, schedule="cosine")
    assert result.history[-1]["lr"] < 0.1 * result.history[0]["lr"]
