"""Commands at events: what they are given, and that none holds up the stream."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from semisonic.classifier.live.actions import EventCommand
from semisonic.classifier.live.scorer import LiveEvent
from semisonic.core.errors import OptionError
from waiting import LONG, until

EVENT = LiveEvent(
    "end",
    7,
    "baby cry",
    1.25,
    0.875,
    0.5,
    3.0,
    "quiet",
    start_at=datetime(2026, 5, 1, tzinfo=UTC),
)


def script(tmp_path: Path, text: str) -> str:
    file = tmp_path / "alarm.py"
    file.write_text(text, encoding="utf-8")
    return f"'{sys.executable}' '{file}' --to 'two words'"


def test_a_command_gets_the_event_as_json_and_in_its_environment(tmp_path: Path) -> None:
    line = script(
        tmp_path,
        "import json, os, pathlib, sys\n"
        "pathlib.Path(sys.argv[0]).with_suffix('.json').write_text(json.dumps([sys.argv[1:], "
        "json.load(sys.stdin), {k: v for k, v in os.environ.items() if k[:10] == 'SEMISONIC_'}]))",
    )
    command = EventCommand(line)
    command.call(EVENT)
    command.close()
    words, event, environment = json.loads((tmp_path / "alarm.json").read_text(encoding="utf-8"))
    assert words == ["--to", "two words"]
    assert event == EVENT.to_dict() == json.loads(EVENT.to_json())
    assert environment["SEMISONIC_LABEL"] == "baby cry"
    assert environment["SEMISONIC_END_TIME"] == "3.0"
    assert environment["SEMISONIC_START"] == "2026-05-01T00:00:00.000+00:00"
    assert (command.n_calls, command.n_failed, command.n_left_out) == (1, 0, 0)


def test_one_that_fails_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = EventCommand(script(tmp_path, "raise SystemExit(5)"))
    command.call(EVENT)
    command.close()
    assert "exit status 5 (event 7)" in caplog.text
    assert command.summary() == "on-event: 1 calls, 1 failed, 0 left out"


def test_one_that_takes_long_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.actions.TIMEOUT", LONG)
    monkeypatch.setattr("semisonic.classifier.live.actions.AT_ONCE", 1)
    monkeypatch.setattr("semisonic.classifier.live.actions.WAITING", 2)
    begun, let_go = tmp_path / "begun", tmp_path / "let go"
    wait = (
        "import pathlib, time\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(let_go)!r}).exists():\n    time.sleep(0.01)"
    )
    command = EventCommand(script(tmp_path, wait))
    command.call(EVENT)
    until(begun.exists)
    for _ in range(4):
        command.call(EVENT)  # the first one still runs, and nobody waits for it
    assert command.n_left_out >= 2
    let_go.touch()
    command.close()
    assert command.n_failed == 0


def test_one_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.actions.TIMEOUT", 0.3)
    command = EventCommand(script(tmp_path, "import time\ntime.sleep(3600)"))
    command.call(EVENT)
    command.close()  # without an end if the program were not ended
    assert "took more than 0.3 s and was ended" in caplog.text
    assert command.n_failed == command.n_calls == 1


def test_a_program_that_ignores_its_input_is_no_failure(tmp_path: Path) -> None:
    command = EventCommand(script(tmp_path, ""))
    for _ in range(5):
        command.call(EVENT)
    command.close()
    assert (command.n_calls, command.n_failed) == (5, 0)


@pytest.mark.parametrize("line", ["no-such-program-anywhere -x", "''", "", "sh -c 'open"])
def test_what_cannot_be_run_is_an_error_at_once(line: str) -> None:
    with pytest.raises(OptionError, match="on_event"):
        EventCommand(line)
