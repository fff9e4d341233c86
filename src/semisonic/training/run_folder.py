"""The run folder: the command, its options, data and machine, and how it ended; without torch.

``run.json`` has the command, options, seeds, versions, commit, machine, hashes of the data, times
and status; ``log.txt`` what was logged; ``bad_files.csv`` the recordings that could not be used. A
folder belongs to one command with one set of options: the same command continues the run, another
is refused, so nothing is ever overwritten. A run that ended before there was a result gives its
folder back: the corrected command may have it. Two processes cannot write into one folder at the
same time.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from semisonic.core.errors import DataError, OptionError, SemisonicError
from semisonic.core.files import FolderLock, read_csv, read_json, write_csv, write_json
from semisonic.core.options import to_dict
from semisonic.core.parallel import count_workers
from semisonic.data.outputs import check_folder


def differences(
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    where: str = "",
    free: Collection[str] = (),
) -> list[str]:
    """The differences between two nested mappings.

    Parameters
    ----------
    found, wanted : mapping
        The recorded options, and the current ones.
    where : str
        Stands before the names.
    free : collection of str
        Names, dotted where nested, of values and tables that may differ.

    Returns
    -------
    list of str
        One phrase for each value; a table that only one of them has is named without its values.

    Examples
    --------
    >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
    ["'b.c' was 2, now 3"]
    """
    changed: list[str] = []
    for key in dict.fromkeys([*found, *wanted]):
        old, new, name = found.get(key, "nothing"), wanted.get(key, "nothing"), f"{where}{key}"
        if name in free:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += differences(old, new, f"{name}.", free)
        elif old != new:
            changed.append(f"'{name}' was {_short(old)}, now {_short(new)}")
    return changed


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} options"
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return f"a list of {len(value)}"
    return str(value)


_PACKAGES = ("semisonic", "torch", "numpy", "soundfile", "soxr", "scikit-learn", "scipy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    by_package = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            by_package[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return by_package


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, threads of torch, memory and graphics cards."""
    torch = sys.modules.get("torch")  # a command that never loaded it computed on no card
    n_cards = torch.cuda.device_count() if torch is not None else 0
    cpu_info, memory = "", 0
    with contextlib.suppress(OSError):  # Linux
        cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not Windows
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    name = re.search(r"^model name\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    return {
        "system": platform.platform(),
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": count_workers(None),
        "torch_threads": torch.get_num_threads() if torch else None,
        "memory_gib": round(memory / 2**30, 1) or None,
        "gpu": [torch.cuda.get_device_name(i) for i in range(n_cards)] if torch else [],
    }


def commit() -> str | None:
    """The git commit of the package's source, with '+' after it if files differ from it.

    None for an installed package, or without git.
    """
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=10, check=True)
        return done.stdout.decode().strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "..")
        return git("rev-parse", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None


RECORD, LOG, BAD_FILES, REMARKS = "run.json", "log.txt", "bad_files.csv", "remarks.csv"
CACHE = "cache"
"""The folder of decoded clips, which any run may use."""
FREE = (
    *("output", "workers", "device", "in_batch", "cache", "where", "batch_size"),
    *("fit.checkpoint_interval", "pretrain.checkpoint_interval"),
)
"""Options that change results at most in their last digits: a run continues if they differ."""
_NO_RESULTS = frozenset({RECORD, LOG, BAD_FILES, REMARKS, CACHE})
_log = logging.getLogger("semisonic")


class RunFolder:
    """A folder that a command writes into; use it as a context manager.

    Parameters
    ----------
    folder : Path
        New, empty, or the folder of an earlier run of the same command and options.
    command : str
        The verb, such as ``train``.
    options : options dataclass or mapping
        Everything the result depends on.
    seed : int
    free : collection of str
        Names of options (dotted where nested) that may differ when a run continues, besides those
        of :data:`FREE`.

    Attributes
    ----------
    folder : Path
        Where to write.
    resumed : bool
        Whether an earlier run of the same is gone on with.
    finished : bool
        Whether that run had already come to its end.

    Raises
    ------
    OptionError
        On entering: when the folder belongs to other options, or is somebody else's.
    """

    def __init__(
        self,
        folder: str | Path,
        command: str,
        options: Any,
        *,
        seed: int = 0,
        free: Collection[str] = (),
    ) -> None:
        self.folder = Path(folder)
        self.free = {f"options.{name}" for name in (*FREE, *free)}
        self.asked = {
            "command": command,
            "options": _plain(options),
            "seeds": {"seed": seed},
        }
        self.resumed = False
        self.finished = False
        self.record: dict[str, Any] = {}
        self._lock = FolderLock(self.folder)
        self._handler: logging.Handler = logging.NullHandler()
        self._level_before = logging.NOTSET

    def __enter__(self) -> RunFolder:
        self._earlier()  # refused before anything is written
        self._lock.acquire()
        try:
            self._begin(self._earlier())
        except BaseException:
            self._lock.release()
            raise
        return self

    def _begin(self, earlier: dict[str, Any] | None) -> None:
        self.resumed = earlier is not None
        if earlier is None:
            for name in (BAD_FILES, REMARKS):  # of a run that gave its folder back
                (self.folder / name).unlink(missing_ok=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = earlier or {"status": "", "data": {}, "started": now, "seconds": 0.0, "notes": {}}
        self.finished = before["status"] == "done"
        self.record = {
            **self.asked,
            "status": "running",
            "data": before["data"],
            "started": before["started"],
            "resumed": [*earlier["resumed"], now] if earlier else [],
            "finished": None,
            "seconds": before["seconds"],
            "versions": versions(),
            "commit": commit(),
            "machine": machine(),
            "error": None,
            "notes": before["notes"],
        }
        self._begun = time.monotonic() - before["seconds"]
        self._write()
        self._handler = logging.FileHandler(
            self.folder / LOG, encoding="utf-8", errors="backslashreplace"
        )
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._handler.setLevel(logging.INFO)
        self._level_before = _log.level
        if _log.getEffectiveLevel() > logging.INFO:
            _log.setLevel(logging.INFO)
        _log.addHandler(self._handler)
        _log.info("%s %s", "resumed" if self.resumed else "started", self.asked["command"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = "done"
        if error is not None:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.record["error"] = f"{type(error).__name__}: {error}"
            _log.error("%s: %s", status, self.record["error"], exc_info=status == "failed")
        self.record["status"] = status
        self.record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()
        _log.info("%s after %.1f s", status, self.record["seconds"])
        _log.removeHandler(self._handler)
        self._handler.close()
        _log.setLevel(self._level_before)
        # A list of bad files stays, as the error may speak of it; the next run takes it away.
        refused = isinstance(error, SemisonicError) and not self.finished
        if refused and self._has_no_result() and not (self.folder / BAD_FILES).exists():
            for name in (RECORD, LOG, REMARKS):
                (self.folder / name).unlink(missing_ok=True)
        self._lock.release()

    def path(self, *parts: str) -> Path:
        """A path below the folder; parent folders are made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, **values: Any) -> None:
        """Add to the notes of the record."""
        self.record["notes"].update(_plain(values))
        self._write()

    def add_data(self, name: str, content_hash: str) -> None:
        """Record the hash of a data set.

        Raises
        ------
        DataError
            If the run started with other data of that name.
        """
        before = self.record["data"].get(name, content_hash)
        if before != content_hash:
            raise DataError(
                f"{self.folder}: the data '{name}' have changed since the run started (hash was "
                f"{before}, now {content_hash}); choose another folder"
            )
        self.record["data"][name] = content_hash
        self._write()

    def add_bad_files(self, rows: Iterable[tuple[str, str]]) -> int:
        """Add recordings that could not be used, with reasons; return how many there are now.

        A file that is listed already gets its newest reason. Rows are sorted by file.
        """
        table = dict(self.bad_files())
        table.update((_text(file), _text(reason)) for file, reason in rows)
        write_csv(self.folder / BAD_FILES, ["file", "reason"], sorted(table.items()))
        return len(table)

    def bad_files(self) -> list[tuple[str, str]]:
        """The recordings that could not be used so far, with reasons."""
        path = self.folder / BAD_FILES
        if not path.exists():
            return []
        try:
            return [(row["file"], row["reason"]) for row in read_csv(path)]
        except (KeyError, csv.Error, OSError) as error:
            raise DataError(
                f"{path}: damaged ({error}), expected the columns file and reason. Delete it"
            ) from error

    def _earlier(self) -> dict[str, Any] | None:
        """The record of the run to continue, or None for a new one."""
        path = self.folder / RECORD
        check_folder(self.folder, "a run", {RECORD}, remains={CACHE})
        if not path.exists():
            return None
        try:
            earlier: dict[str, Any] = read_json(path)
            recorded = {name: earlier[name] for name in self.asked}
            changed = differences(recorded, self.asked, free=self.free)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptionError(
                f"{path}: not a readable run record ({error}); choose another folder"
            ) from error
        if changed and earlier["status"] != "done" and self._has_no_result():
            return None
        if changed:
            more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise OptionError(
                f"{self.folder}: belongs to another run: {'; '.join(changed[:5])}{more}. Choose "
                "another folder, or give the same options to continue"
            )
        return earlier

    def _has_no_result(self) -> bool:
        """Whether the folder has nothing that another command needs."""
        names = (entry.name for entry in self.folder.iterdir())
        return all(name in _NO_RESULTS or name.startswith(".") for name in names)

    def _write(self) -> None:
        self.record["seconds"] = round(time.monotonic() - self._begun, 3)
        write_json(self.folder / RECORD, self.record)


def _plain(options: Any) -> dict[str, Any]:
    """Options as JSON gives them back, so that records can be compared."""
    values = to_dict(options) if dataclasses.is_dataclass(options) else dict(options)
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def _text(value: str) -> str:
    """A text as read back from a file: bytes of a name that are not Unicode become ``\\udcff``."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
