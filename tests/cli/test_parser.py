"""The parser that is made from an options class."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from semisonic.cli.parser import Session, Verb, verb
from semisonic.core.errors import OptionError
from semisonic.core.options import option


@dataclass(frozen=True)
class Mel:
    """The mel front end.

    Only this first line is a heading.
    """

    n_mels: int = option(64, "mel bands", minimum=1)
    fmax_hz: float | None = option(None, "highest frequency", unit="Hz", minimum=0)
    duration: float = option(5.0, "length of the input", unit="s", minimum=0.1, maximum=60)


@dataclass(frozen=True)
class Kitchen:
    """One of everything."""

    data: str = option(dataclasses.MISSING, "recordings with labels")
    others: tuple[str, ...] = option(dataclasses.MISSING, "more of them")
    duration: float = option(1.5, "length of a clip", unit="s")
    shuffle: bool = option(True, "mix the clips")
    sizes: tuple[int, ...] = option((8, 16), "batch sizes")
    decoder: str = option("unpool", "way back up", choices=("unpool", "upsample"))
    change: tuple[str, ...] = option((), "keys of a recipe to change")
    cache: Path | None = option(None, "where to keep features")
    mel: Mel = field(default_factory=lambda: Mel(n_mels=40))
    other: Mel = option(Mel(n_mels=80), "the other front end")
    seed: int = option(0, "seed of all random numbers", minimum=0)


def _verb(got: list[Kitchen], options_class: type = Kitchen) -> Verb:
    def cook(options: Kitchen, session: Session) -> None:
        """Cook something."""
        got.append(options)

    return verb(options_class, examples=["cook a b -o soup"], plans=True, resumes=True)(cook)


def parse(*arguments: str) -> Kitchen:
    got: list[Kitchen] = []
    _verb(got).main(list(arguments), standalone_mode=False, obj=Session())
    return got[0]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(_verb([]), list(arguments), obj=Session())


def test_defaults_come_from_the_class_and_the_outer_class_wins() -> None:
    assert parse("a", "b", "c") == Kitchen("a", ("b", "c"))
    assert parse("a", "b").mel.n_mels == 40


def test_every_kind_of_value_is_read() -> None:
    options = parse(
        *("a", "b", "--duration", "2", "--no-shuffle", "--sizes", "1, 2,3", "--decoder"),
        *("upsample", "--cache", "there", "--n-mels", "28", "--fmax-hz", "8000", "--seed", "7"),
    )
    assert options == Kitchen(
        *("a", ("b",), 2.0, False, (1, 2, 3), "upsample", (), Path("there")),
        Mel(28, 8000.0),
        seed=7,
    )
    assert isinstance(options.duration, float)


def test_both_spellings_of_a_name() -> None:
    assert parse("a", "b", "--n_mels", "28") == parse("a", "b", "--n-mels", "28")
    assert parse("a", "b", "--no_shuffle") == parse("a", "b", "--no-shuffle")


def test_lists_are_repeated_or_separated_by_commas() -> None:
    assert parse("a", "b", "--sizes", "1,2", "--sizes", "3").sizes == (1, 2, 3)
    changes = parse("a", "b", "--change", "x=[1,2]", "--change", "y=3").change
    assert changes == ("x=[1,2]", "y=3")


def test_underscores_in_values_stay() -> None:
    assert parse("my_data", "b_1", "--cache", "a_b").cache == Path("a_b")
    assert parse("my_data", "b_1").data == "my_data"


def test_the_inner_one_of_two_equal_names_gets_its_field_in_front() -> None:
    options = parse("a", "b", "--duration", "3", "--mel-duration", "4")
    assert (options.duration, options.mel.duration) == (3.0, 4.0)


def test_none_is_a_value_where_it_may_be(tmp_path) -> None:
    config = tmp_path / "x.toml"
    config.write_text("fmax_hz = 100\ncache = 'here'\n", encoding="utf-8")
    options = parse("a", "b", "--config", str(config), "--fmax-hz", "none")
    assert (options.mel.fmax_hz, options.cache) == (None, Path("here"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "b", "--n-mel", "3"), "--n-mels"),
        (("a", "b", "-q", "-v"), "contradict"),
        (("a",), "OTHERS is missing: give more of them"),
        ((), "DATA is missing: give recordings with labels"),
    ],
)
def test_wrong_use_is_said_in_words(arguments, message) -> None:
    with pytest.raises(click.UsageError) as error:
        parse(*arguments)
    assert message in error.value.format_message()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-mels", "many"), "option '--n-mels': found 'many', expected a whole number"),
        (("--duration", "long"), "expected a number (s)"),
        (("--n-mels", "0"), "option '--n-mels': found 0, expected at least 1"),
        (("--mel-duration", "61"), "found 61.0 s, expected at most 60 s"),
        (("--decoder", "upsampel"), "did you mean 'upsample'?"),
        (("--seed", "-1"), "expected at least 0"),
    ],
)
def test_values_out_of_range_are_errors_with_the_range(arguments, message) -> None:
    with pytest.raises(OptionError) as error:
        parse("a", "b", *arguments)
    assert message in str(error.value)


def test_the_help_shows_defaults_units_ranges_groups_and_examples() -> None:
    text = CliRunner().invoke(_verb([]), ["--help"], obj=Session(), terminal_width=200).output
    assert "Cook something." in text
    assert "DATA    recordings with labels" in text
    assert "--duration X" in text
    assert "[default: 1.5 s]" in text
    assert "[0.1 to 60 s; default: 5 s]" in text
    assert "[at least 1; default: 40]" in text
    assert "--shuffle / --no-shuffle" in text
    assert text.count("DATA") == 2  # the usage line and its own
    assert "mix the clips  [default: on]" in text
    assert "--sizes N,…" in text
    assert "[default: 8,16]" in text
    assert "--decoder unpool|upsample" in text
    assert "\nThe mel front end:\n" in text
    assert text.index("--n-mels") > text.index("The mel front end:")
    assert text.index("--seed") > text.index("Common options:")
    assert text.rstrip().endswith("cook a b -o soup")
    assert "--n_mels" not in text
    assert "\nThe other front end:\n" in text


def test_two_nested_classes_of_one_kind() -> None:
    options = parse("a", "b", "--other-n-mels", "5")
    assert (options.mel, options.other) == (Mel(40), Mel(5))


@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_a_dry_run_shows_options_that_config_reads_back(tmp_path, verbose) -> None:
    config = tmp_path / "saved.toml"
    given = ('a "q"', "b", "--n-mels", "28", "--cache", "x", "--no-shuffle")
    result = call(*given, "--dry-run", *verbose)
    assert result.exit_code == 0, result.output
    config.write_text(result.output, encoding="utf-8")
    saved = tomllib.loads(result.output)
    assert saved["mel"]["n_mels"] == 28
    assert ("other" in saved) == ("duration" in saved["mel"]) == bool(verbose)
    again = parse("--config", str(config))
    assert again == Kitchen('a "q"', ("b",), shuffle=False, cache=Path("x"), mel=Mel(28))


def test_a_field_with_a_default_may_be_an_argument_too() -> None:
    @dataclass(frozen=True)
    class Loose:
        data: Path | None = option(None, "recordings")
        limit: int = option(0, "at most so many")

    got: list[Loose] = []
    loose = verb(Loose, name="loose", arguments=["data"])(lambda options, _: got.append(options))
    loose.main(["none", "--limit", "2"], standalone_mode=False, obj=Session())
    assert got == [Loose(Path("none"), 2)]
    with pytest.raises(click.UsageError, match="DATA is missing"):
        loose.main([], standalone_mode=False, obj=Session())


def test_an_argument_may_be_optional() -> None:
    @dataclass(frozen=True)
    class Loose:
        path: str = option("", "what to look at")

    got: list[Loose] = []
    loose = verb(Loose, name="loose", optional=["path"])(lambda options, _: got.append(options))
    loose.main([], standalone_mode=False, obj=Session())
    loose.main(["x"], standalone_mode=False, obj=Session())
    assert got == [Loose(""), Loose("x")]
    assert "[PATH]" in CliRunner().invoke(loose, ["--help"], obj=Session()).output


def test_two_flags_of_one_name_are_an_error_of_the_programmer() -> None:
    @dataclass(frozen=True)
    class Twice:
        mel_duration: int = option(1, "a")
        duration: int = option(1, "b")
        mel: Mel = field(default_factory=Mel)

    with pytest.raises(TypeError, match="mel_duration"):
        _verb([], Twice)


@pytest.mark.parametrize(
    "text", ["n_mels = 28", "n-mels = 28", "[mel]\nn_mels = 28", "mel.n_mels = 28"]
)
def test_config_names_an_option_flat_or_in_its_table(tmp_path, text) -> None:
    config = tmp_path / "x.toml"
    config.write_text(text, encoding="utf-8")
    assert parse("a", "b", "--config", str(config)).mel == Mel(28)


def test_the_command_line_wins_over_config(tmp_path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(
        "data = 'c'\nothers = ['d']\nn_mels = 28\nduration = 9\nsizes = [1]\n", encoding="utf-8"
    )
    options = parse("--config", str(config), "--n-mels", "64", "--shuffle")
    assert options == Kitchen("c", ("d",), 9.0, True, (1,), mel=Mel(64))
    # A value equal to the default is still one that was typed.
    assert parse("a", "b", "--config", str(config), "--duration", "1.5").duration == 1.5


def test_config_may_be_the_record_of_an_earlier_run(tmp_path) -> None:
    record = tmp_path / "run.json"
    record.write_text(
        '{"versions": {"torch": "2"}, "options": {"data": "c", "others": ["d"], '
        '"mel": {"n_mels": 28, "fmax_hz": null}, "cache": "x"}}',
        encoding="utf-8",
    )
    assert parse("--config", str(record)) == Kitchen("c", ("d",), mel=Mel(28), cache=Path("x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_mel = 3", "unknown option 'n_mel': did you mean 'n_mels'?"),
        ("[mel]\nfmax = 3", "unknown option 'mel.fmax': did you mean 'fmax_hz'?"),
        ("[mle]\nn_mels = 3", "unknown option 'mle': did you mean 'mel'?"),
        ("n_mels = ", "not TOML"),
        ("n_mels = 'a'", "found 'a', expected a whole number"),
        ("shuffle = 'no'", "expected true or false"),
        ("n_mels = 1.5", "expected a whole number"),
    ],
)
def test_errors_of_a_config_file_name_the_key(tmp_path, text, message) -> None:
    config = tmp_path / "x.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError) as error:
        parse("a", "b", "--config", str(config))
    assert message in str(error.value)


def test_a_config_that_is_not_there(tmp_path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        parse("a", "b", "--config", str(tmp_path / "none.toml"))
