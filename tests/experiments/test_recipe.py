from pathlib import Path

import pytest

from semisonic.core.errors import OptionError
from semisonic.experiments.recipe import read_recipe

BASE = """
title = "t"
[[budgets]]
labels_per_class = 4
draws = 5
[setting]
model = "({filters})5c-2p-8fc"
[setting.mel]
n_mels = 28
[[settings]]
name = "a"
filters = 16
[[settings]]
name = "b"
[settings.mel]
n_mels = 60
[grid]
batch_size = [16, 32]
[quick]
"setting.fit.epochs" = 3
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "r.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_grid_and_own_values_multiply_the_settings(tmp_path) -> None:
    recipe = read_recipe(write(tmp_path, BASE))

    assert [s.name for s in recipe.settings] == [
        "a, batch_size 16",
        "a, batch_size 32",
        "b, batch_size 16",
        "b, batch_size 32",
    ]
    assert [s.mel.n_mels for s in recipe.settings] == [28, 28, 60, 60]
    assert [s.architecture for s in recipe.settings][::2] == ["(16)5c-2p-8fc", "(64)5c-2p-8fc"]
    assert {(s.fit.batch_size, s.pretrain.batch_size) for s in recipe.settings} == {
        (16, 16),
        (32, 32),
    }
    assert recipe.budgets[0].draws == 5


def test_quick_and_changes_are_put_over_the_file(tmp_path) -> None:
    file = write(tmp_path, BASE)

    assert read_recipe(file).settings[0].fit.epochs == 50
    assert read_recipe(file, quick=True).settings[0].fit.epochs == 3
    changed = read_recipe(file, quick=True, changes={"setting.fit.epochs": 7, "validation": 0.2})
    assert changed.settings[0].fit.epochs == 7
    assert changed.validation == 0.2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("titel = 'x'", "titel"),
        ("[setting]\nmel = {n_mel = 3}", "n_mels"),
        ("[setting]\ndecoder = 'unpol'", "unpool"),
        ("[setting]\nobjective = 'simclar'", "did you mean 'simclr'"),
        ("[[budgets]]\ndraws = 0", "draws"),
        ("[setting]\nfit = {epochs = 'many'}", "epochs"),
        ("title = ", "cannot be read"),
        ("[[settings]]\nname = 'a'\n[[settings]]\nname = 'a'", "two settings"),
        ("budgets = 3", r"r\.toml: 'budgets': found 3, expected one or more \[\[budgets\]\]"),
        ("settings = []", "'settings': found"),
        ("setting = 'small'", r"expected \[setting\]"),
        ("quick = 5", r"expected \[quick\]"),
        ("[grid]\nbatch_size = 16", "'grid.batch_size': found 16, expected a list"),
        ("[grid]\nbatch_size = []", "expected a list"),
        ("[setting]\nfit = {epoch = 3}", r"r\.toml: unknown option 'setting\.fit\.epoch'"),
        ("validation = 2.0", r"r\.toml: option 'validation': found 2\.0"),
    ],
)
def test_a_wrong_recipe_is_an_error_that_names_the_key(tmp_path, text, found) -> None:
    with pytest.raises(OptionError, match=found):
        read_recipe(write(tmp_path, text))


def test_the_control_is_the_same_without_pool_unless_told_otherwise(tmp_path) -> None:
    recipe = read_recipe(write(tmp_path, BASE))
    assert recipe.arms == (recipe.control, recipe.treated) == ("supervised", "pre-trained")
    for control, setting in zip(recipe.controls, recipe.settings, strict=True):
        assert not control.pretrains
        assert setting.pretrains
        assert (control.name, control.mel) == (setting.name, setting.mel)


def test_a_control_of_ones_own(tmp_path) -> None:
    own = '[control]\nobjective = "reconstruction"\n[control.method_params]\naugment = "none"\n'
    how = '[setting.method_params]\naugment = "strong"\nmixup = 0.4\n'
    text = BASE.replace("[setting]", own + "[setting]").replace(
        "[setting.mel]", how + "[setting.mel]"
    )
    recipe = read_recipe(write(tmp_path, 'arms = ["plain", "strong"]\n' + text))
    for control, setting in zip(recipe.controls, recipe.settings, strict=True):
        assert (control.method_params.augment, setting.method_params.augment) == ("none", "strong")
        assert control.method_params.mixup == setting.method_params.mixup == 0.4
        assert control.pretrains
        assert control.fit.batch_size == setting.fit.batch_size


@pytest.mark.parametrize("arms", ['["a"]', '["a", "a"]', '["a", "b", "c"]'])
def test_there_are_two_arms(tmp_path, arms) -> None:
    with pytest.raises(OptionError, match="expected two different names"):
        read_recipe(write(tmp_path, f"arms = {arms}\n{BASE}"))


def test_a_setting_has_a_control_of_its_own(tmp_path) -> None:
    text = BASE.replace(
        'name = "a"\nfilters = 16', 'name = "a"\nfilters = 16\ncontrol = { filters = 8 }'
    )
    recipe = read_recipe(write(tmp_path, text))
    assert [c.filters for c in recipe.controls] == [8, 8, 64, 64]
    assert [s.filters for s in recipe.settings] == [16, 16, 64, 64]


def test_pairs_of_settings_are_settings_of_the_recipe(tmp_path) -> None:
    text = 'against = [["a", "b"]]\n[[settings]]\nname = "a"\n[[settings]]\nname = "b"\n'
    assert read_recipe(write(tmp_path, text)).against == (("a", "b"),)
    with pytest.raises(OptionError, match="no setting 'c'"):
        read_recipe(write(tmp_path, text.replace('["a", "b"]', '["a", "c"]')))


def test_ensembles_are_made_of_settings(tmp_path) -> None:
    text = 'against = [["a", "both"]]\n[[settings]]\nname = "a"\n[[settings]]\nname = "b"\n'
    text += "[ensembles]\n"
    recipe = read_recipe(write(tmp_path, f'{text}both = ["a", "b"]'))
    assert recipe.ensembles == (("both", ("a", "b")),)
    wrong = {
        'both = ["a"]': "two or more",
        'both = ["a", "c"]': "no setting 'c'",
        "both = 3": "list",
    }
    for line, message in wrong.items():
        with pytest.raises(OptionError, match=message):
            read_recipe(write(tmp_path, text + line))
