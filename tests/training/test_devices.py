"""Choosing a device by name."""

from __future__ import annotations

import pytest
import torch

from semisonic.core.errors import OptionError
from semisonic.training.devices import choose_device


@pytest.fixture
def cards(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return pretend


def test_cpu_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


def test_auto_takes_a_card_if_there_is_one(cards):
    cards(0)
    assert choose_device("auto") == torch.device("cpu")
    cards(2)
    assert choose_device("auto") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_each_process_of_a_machine_takes_its_own_card(cards, monkeypatch):
    cards(2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(OptionError, match="has 2 CUDA cards"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpuu", "", "cuda:-1"])
def test_unknown_names_are_errors(name):
    with pytest.raises(OptionError, match="option 'device': found"):
        choose_device(name)


def test_missing_devices_are_errors_that_say_what_there_is(cards, monkeypatch):
    cards(0)
    with pytest.raises(OptionError, match="torch sees no CUDA card"):
        choose_device("cuda")
    cards(1)
    with pytest.raises(OptionError, match=r"found 'cuda:3' .* has 1 CUDA card,"):
        choose_device("cuda:3")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(OptionError, match="no Metal"):
        choose_device("mps")
