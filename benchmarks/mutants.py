"""Whether the tests notice sixty plausible faults, made one at a time.

    nice python benchmarks/mutants.py -o benchmarks/results/mutants.json

The package is copied, so the working tree stays as it is. Each fault replaces one text in the copy;
the test files that are about it then run, without the slow tests. A fault is noticed if a test
fails, or if they take longer than ``--timeout``. Before, all these tests must pass without a fault.
``--only`` makes the faults whose words, area or file have a text in them.

The faults are chosen by hand: a rule that is left out, one unit for another, a leak between parts
of the data. mutmut and cosmic-ray change every operator and number and run the tests for each,
which here are tens of thousands of runs, mostly of changes that nobody would make; they do not
forget a step, and do not mix up two tables of the same shape. A fault that is not noticed gets a
test, and stays in the table: the number tells of these faults, not of others.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from measuring import head
from semisonic.core.files import write_json

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/semisonic"
PASSED, FAILED = 0, 1  # exit codes of pytest


class Fault(NamedTuple):
    """A text of a file that is replaced, in words, and the test files that should notice it."""

    what: str
    file: str
    old: str
    new: str
    tests: str


FAULTS: dict[str, list[Fault]] = {
    "export": [
        Fault(
            "a wave beyond full scale is clipped",
            "classifier/export_graph.py",
            "return torch.round(wave * (32768.0 / scale))",
            "return torch.round(wave.clamp(-1, 1) * (32768.0 / scale))",
            "classifier/test_export.py",
        ),
        Fault(
            "the power of the spectrum is taken twice",
            "classifier/export_graph.py",
            "magnitude.pow(options.power / 2)",
            "magnitude.pow(options.power)",
            "classifier/test_export.py",
        ),
        Fault(
            "the file has no calibration",
            "classifier/export_graph.py",
            "model.decision, multi_label",
            "type(model.decision)(), multi_label",
            "web/test_scores_everywhere.py",
        ),
        Fault(
            "a file takes two clips at once, and no other number",
            "classifier/export_graph.py",
            "dims: dict[int, object] = {0: Dim.DYNAMIC}",
            "dims: dict[int, object] = {}",
            "classifier/test_export.py",
        ),
        Fault(
            "the front end has eight bits, too",
            "classifier/export_graph.py",
            "network = _nodes_before(graph, {EMBEDDINGS}) - _nodes_before(graph, levels)",
            "network = _nodes_before(graph, {EMBEDDINGS})",
            "classifier/test_export.py",
        ),
    ],
    "average of weights": [
        Fault(
            "the average has no warm-up",
            "training/loop.py",
            "1 - min(t.options.ema_decay, (1 + t.step) / (10 + t.step))",
            "1 - t.options.ema_decay",
            "training/test_fit.py",
        ),
        Fault(
            "validation scores the last weights",
            "training/loop.py",
            "with torch.no_grad(), self._averaged():",
            "with torch.no_grad():",
            "training/test_fit.py",
        ),
        Fault(
            "training goes on from the average",
            "training/loop.py",
            "put_weights(self.objective, current)",
            "pass",
            "training/test_fit.py",
        ),
        Fault(
            "the last weights are kept",
            "training/loop.py",
            "self.best_weights or self.average or self.live",
            "self.best_weights or self.live",
            "training/test_fit.py",
        ),
        Fault(
            "a resumed training begins a new average",
            "training/loop.py",
            'tensor.copy_(state["average"][name])',
            "tensor.copy_(self.live[name])",
            "training/test_resume.py",
        ),
    ],
    "seeds": [
        Fault(
            "names of streams run into each other",
            "core/seeds.py",
            r'"\x1f".join',
            '"".join',
            "core/test_files.py",
        ),
        Fault(
            "streams differ from process to process",
            "core/seeds.py",
            'return int.from_bytes(hashlib.sha256(to_bytes(text)).digest()[:8], "big") >> 1',
            "return hash(text) & (1 << 63) - 1",
            "core/test_files.py",
        ),
        Fault(
            "a shuffle depends on the order of rows",
            "data/recordings.py",
            "derive(seed, *purpose, name), name, i)",
            "derive(seed, *purpose, i), name, i)",
            "data/test_splits.py",
        ),
        Fault(
            "every step drops the same units",
            "training/loop.py",
            'derive(t.seed, "dropout", t.step, t.world.rank)',
            'derive(t.seed, "dropout", t.world.rank)',
            "training/test_fit.py",
        ),
    ],
    "splits by recording": [
        Fault(
            "a recording is trained on and tested",
            "data/splits.py",
            "rest, dropped = _without_groups_of(clips, rest, test)",
            "dropped = rest[:0]",
            "data/test_splits.py",
        ),
        Fault(
            "the fold after the test validates",
            "data/splits.py",
            "before = fold[rest] == folds[i - 1]",
            "before = fold[rest] == folds[(i + 1) % len(folds)]",
            "data/test_splits.py",
        ),
        Fault(
            "recordings with unverified labels validate",
            "data/splits.py",
            "recordings(clips, rows[~np.isin(clips.group[rows], uncertain)])",
            "recordings(clips, rows)",
            "data/test_splits.py",
        ),
        Fault(
            "unverified labels are taken first",
            "data/splits.py",
            "(not certain[queues[i][k]], n,",
            "(certain[queues[i][k]], n,",
            "data/test_splits.py",
        ),
    ],
    "standardisation and features": [
        Fault(
            "a band without variation is divided by almost nothing",
            "features/frontend.py",
            "np.where(std < MIN_STD, 1.0, std)",
            "np.maximum(std, MIN_STD)",
            "features/test_standardize.py",
        ),
        Fault(
            "the spread between parts is forgotten",
            "features/frontend.py",
            "spread += part_spread + np.square(step) * (count * n / total)",
            "spread += part_spread",
            "features/test_standardize.py",
        ),
        Fault(
            "clips that validate are standardised by, too",
            "classifier/training.py",
            "model.frontend.standardize.fit(feature_parts(data.features, rows))",
            "model.frontend.standardize.fit(feature_parts(data.features, "
            "np.arange(len(data.features))))",
            "classifier/test_training_models.py",
        ),
        Fault(
            "the baseline has the zeroth coefficient and not the twelfth",
            "features/statistics.py",
            "cepstrum = mfcc(x, sample_rate)[1:]",
            "cepstrum = mfcc(x, sample_rate)[:-1]",
            "features/test_statistics.py",
        ),
    ],
    "event rules": [
        Fault(
            "a gap of the largest length parts an event",
            "classifier/events.py",
            "if joined and a - joined[-1][1] <= self._rules.gap:",
            "if joined and a - joined[-1][1] < self._rules.gap:",
            "classifier/test_tracking.py",
        ),
        Fault(
            "an event is told before its gap is over",
            "classifier/events.py",
            "if parts and len(x) - parts[-1][1] <= self._rules.gap:",
            "if parts and len(x) - parts[-1][1] < self._rules.gap:",
            "classifier/test_tracking.py",
        ),
        Fault(
            "events of less than the least length count",
            "classifier/events.py",
            "math.ceil(options.min_duration / frame - _CLOSE)",
            "math.floor(options.min_duration / frame - _CLOSE)",
            "classifier/test_tracking.py classifier/test_live_tracker.py",
        ),
        Fault(
            "an event ends after its recording",
            "classifier/events.py",
            "round(min(event.last * self.frame, duration), 3)",
            "round(event.last * self.frame, 3)",
            "classifier/test_tracking.py classifier/test_live_tracker.py",
        ),
        Fault(
            "times of a window begin with its first frame",
            "models/event_layer.py",
            "self.start = 0.0 if mel.center else mel.window / 2 / mel.sample_rate",
            "self.start = 0.0",
            "models/test_event_layer.py",
        ),
        Fault(
            "events that touch overlap",
            "evaluation/events.py",
            "np.asarray(end > begin, np.bool_)",
            "np.asarray(end >= begin, np.bool_)",
            "evaluation/test_events_scores.py",
        ),
        Fault(
            "fewer pairs with less error are made",
            "evaluation/events.py",
            "forbidden = 1.0 + float(error[allowed].max()) * min(allowed.shape) * 2",
            "forbidden = float(error[allowed].max())",
            "evaluation/test_events_scores.py",
        ),
    ],
    "tables and labels": [
        Fault(
            "an offset beside an onset is a second start",
            "data/columns.py",
            "end += offset",
            "start += offset",
            "data/test_columns.py",
        ),
        Fault(
            "a table's own sample rate is not used",
            "data/columns.py",
            "return Times(start / by, end / by)",
            "return Times(start, end, in_samples)",
            "data/test_columns.py",
        ),
        Fault(
            "a unit in a cell is passed over",
            "data/times.py",
            'unit, plain = own, measured["n"]',
            'plain = measured["n"]',
            "data/test_columns.py",
        ),
        Fault(
            "a measured value is rounded to a class number",
            "core/label_names.py",
            "if not float(item).is_integer():",
            "if math.isinf(item):",
            "data/test_label_names.py",
        ),
        Fault(
            "a label by hand has the score of the program's",
            "data/formats/formats.py",
            'row[score] if label or is_by_program else ""',
            "row[score]",
            "data/labels/test_formats.py data/labels/test_other_readers.py",
        ),
        Fault(
            "a file offset moves the start and not the end",
            "data/formats/formats.py",
            '"end_time": EXACT.add(offset, duration)}',
            '"end_time": row[_END]}',
            "data/labels/test_formats.py data/labels/test_recordings.py",
        ),
    ],
    "calibration by recording": [
        Fault(
            "a threshold is measured on what chose it",
            "evaluation/calibration.py",
            "wanted.chosen(truth[others], scores[others], owner[others])",
            "wanted.chosen(truth, scores, owner)",
            "evaluation/test_thresholds.py",
        ),
        Fault(
            "the bound has two sides",
            "evaluation/calibration.py",
            "wilson_by_group(right, owner, 2 * self.level - 1)",
            "wilson_by_group(right, owner, self.level)",
            "evaluation/test_thresholds.py",
        ),
        Fault(
            "the least of the measured thresholds is kept",
            "evaluation/calibration.py",
            "max(used) if outcome == SHOWN",
            "min(used) if outcome == SHOWN",
            "evaluation/test_thresholds.py",
        ),
        Fault(
            "a calibration is tested on recordings that it was fitted on",
            "classifier/calibration.py",
            "even.split(rows, truth, owner)",
            "even.split(rows, truth, np.arange(len(owner)))",
            "classifier/test_calibrating.py",
        ),
        Fault(
            "the same for clips of several labels",
            "classifier/calibration.py",
            "kept.split(rows, groups=owner)",
            "kept.split(rows, groups=np.arange(len(owner)))",
            "classifier/test_calibrating.py",
        ),
        Fault(
            "a long clip counts once for each window",
            "classifier/calibration.py",
            "weights=1.0 / np.bincount(owner)[owner],",
            "",
            "classifier/test_fitted_decision.py",
        ),
        Fault(
            "thresholds are for scores before calibration",
            "classifier/calibration.py",
            "hot, after, clips.group, precision",
            "hot, before, clips.group, precision",
            "classifier/test_fitted_decision.py",
        ),
        Fault(
            "noise has less than the score of chance",
            "models/decision.py",
            "return nothing + share * (scores - nothing)",
            "return share * scores",
            "models/test_decision.py",
        ),
    ],
    "statistics": [
        Fault(
            "the bootstrap draws clips, not recordings",
            "evaluation/statistics.py",
            "labels = np.arange(n) if groups is None else np.asarray(groups)",
            "labels = np.arange(n)",
            "evaluation/test_intervals.py",
        ),
        Fault(
            "the bootstrap keeps all draws",
            "evaluation/statistics.py",
            "drawn = _drawn(rng, block, n_draws)",
            "drawn = np.ones((block, n_draws))",
            "evaluation/test_intervals.py",
        ),
        Fault(
            "the p of the bootstrap has one side",
            "evaluation/statistics.py",
            "2.0 * (float(tail) + 1.0)",
            "(float(tail) + 1.0)",
            "evaluation/test_intervals.py",
        ),
        Fault(
            "folds count as independent",
            "evaluation/statistics.py",
            "(1.0 / k + test_train_ratio) * values.var(ddof=1)",
            "(1.0 / k) * values.var(ddof=1)",
            "evaluation/test_intervals.py",
        ),
        Fault(
            "McNemar's test counts clips of one recording apart",
            "evaluation/statistics.py",
            "difference = np.bincount(member, difference).astype(np.int64)",
            "pass",
            "evaluation/test_intervals.py",
        ),
        Fault(
            "few recordings say as much as many about their spread",
            "evaluation/statistics.py",
            "found *= float(t.ppf(tail, n - 1) / t.ppf(tail, n_groups - 1)) ** 2",
            "",
            "evaluation/test_intervals.py",
        ),
    ],
    "copies of sounds": [
        Fault(
            "one sound alone speaks for a copy",
            "data/sound_index.py",
            "evidence = min(here.evidence, there.evidence)",
            "evidence = max(here.evidence, there.evidence)",
            "data/test_fingerprints.py data/test_duplicates.py",
        ),
        Fault(
            "one of several equal copies leaves the pool",
            "data/duplicates.py",
            "for second in (other, *copies_of[other])",
            "for second in (other,)",
            "data/test_duplicates.py",
        ),
    ],
    "label log": [
        Fault(
            "an entry undoes a later one",
            "data/label_log.py",
            "if target is not None and target.order < entry.order:",
            "if target is not None:",
            "data/test_resolved_labels.py",
        ),
        Fault(
            "an answer may have the time of the one before",
            "labeling/label_log.py",
            "newest = max(entry.time, _after(newest)) if newest else entry.time",
            "newest = entry.time",
            "labeling/test_label_log.py labeling/test_answers.py",
        ),
    ],
    "windows and silence": [
        Fault(
            "any rest of a stream is a window",
            "classifier/windows.py",
            "uncovered > self._least)",
            "uncovered > 0)",
            "classifier/test_windowing.py",
        ),
        Fault(
            "a constant offset is a sound",
            "audio/checks.py",
            "return decibel(levels.swing) < SILENCE_DB",
            "return decibel(levels.peak) < SILENCE_DB",
            "audio/test_problems.py",
        ),
        Fault(
            "quiet recordings are silent",
            "audio/checks.py",
            "SILENCE_DB = -80.0",
            "SILENCE_DB = -60.0",
            "audio/test_problems.py",
        ),
        Fault(
            "silent windows count in the mean of a clip",
            "classifier/scoring.py",
            "return ~silent | ~np.isin(of, of[~silent])",
            "return np.ones(len(silent), np.bool_)",
            "classifier/test_predicting.py",
        ),
    ],
    "caches": [
        Fault(
            "rows are not compared with their checksum",
            "data/cache.py",
            "rows.check(found, self.data_path)",
            "pass",
            "data/test_cache.py",
        ),
        Fault(
            "a damaged line of the table is believed",
            "data/cache.py",
            "if int(total, 16) != crc32(text):",
            "if not total:",
            "data/test_cache.py",
        ),
        Fault(
            "the table is on the disk before its rows",
            "data/cache.py",
            "            self._before()\n",
            "",
            "data/test_cache.py data/test_store_crash.py",
        ),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the results")
    parser.add_argument("--only", default="", help="a text in the faults to make")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for a fault's tests")
    options = parser.parse_args()
    chosen = [
        (area, fault)
        for area, faults in FAULTS.items()
        for fault in faults
        if any(options.only in text for text in (area, fault.what, fault.file))
    ]
    check([fault for _, fault in chosen])
    command = "python benchmarks/mutants.py -o FILE"
    command += f" --only '{options.only}'" if options.only else ""
    about = head(command, 0)
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / PACKAGE, copy / PACKAGE)
        files = sorted({file for _, fault in chosen for file in fault.tests.split()})
        code, told = run_tests(copy, files, len(files) * options.timeout)
        if code != PASSED:
            raise SystemExit(f"tests fail without a fault:\n{told}")
        rows = list(made(chosen, copy, options.timeout))
    missed = [row["what"] for row in rows if not row["noticed"]]
    print(f"{len(rows) - len(missed)} of {len(rows)} faults noticed")
    if options.output is not None:
        counts = {"n_faults": len(rows), "n_noticed": len(rows) - len(missed), "missed": missed}
        write_json(options.output, {**about, **counts, "rows": rows})


def check(faults: list[Fault]) -> None:
    """End with the faults that no longer fit the code: their text does not stand there once."""
    unfit = [
        f"{fault.what}: {n} times in {fault.file}: {fault.old}"
        for fault in faults
        if (n := (ROOT / PACKAGE / fault.file).read_text(encoding="utf-8").count(fault.old)) != 1
    ]
    if unfit:
        raise SystemExit("\n".join(["these texts should stand once in their files:", *unfit]))


def made(chosen: list[tuple[str, Fault]], copy: Path, timeout: float) -> Iterator[dict[str, Any]]:
    """Make each fault in the copy, run its tests, and take it back."""
    for area, fault in chosen:
        file = copy / PACKAGE / fault.file
        whole = file.read_text(encoding="utf-8")
        file.write_text(whole.replace(fault.old, fault.new), encoding="utf-8")
        started = time.monotonic()
        code, told = run_tests(copy, fault.tests.split(), timeout)
        file.write_text(whole, encoding="utf-8")
        if code not in (PASSED, FAILED, None):
            raise SystemExit(f"{fault.what}: the tests could not run:\n{told}")
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", told, re.M)
        by = "timeout" if code is None else failed[1] if failed else ""
        seconds = round(time.monotonic() - started, 1)
        print(f"{seconds:6.1f} s  {by or 'NOT NOTICED':70} {area}: {fault.what}", flush=True)
        noticed = code != PASSED
        yield {"area": area, **fault._asdict(), "noticed": noticed, "by": by, "seconds": seconds}


def run_tests(copy: Path, files: list[str], timeout: float) -> tuple[int | None, str]:
    """The exit code of the tests with the copied package, None if they took too long; the end."""
    command = [sys.executable, "-m", "pytest", "-x", "-rfE", "-m", "not slow"]
    command += ["-p", "no:cacheprovider", "--hypothesis-seed=0", *(f"tests/{one}" for one in files)]
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=timeout, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, "\n".join(done.stdout.splitlines()[-40:])


if __name__ == "__main__":
    main()
