"""Find clips of the same sound: byte for byte, or with another encoding, level or cut.

A copy in both training and test makes a result look better than it is. Folders of downloaded
sounds contain many: the same file under two names, a louder version, a shorter cut.

Copies are found by fingerprints, which survive re-encoding. The sound is resampled to 8 kHz and
cut into frames. Each frame has 16 signs: does the level of a band, compared with the next band,
rise or fall? Only changes over time and frequency count, so a constant filter or gain does not
change the signs. The idea of signs of band-energy differences is that of J. Haitsma and T. Kalker,
"A Highly Robust Audio Fingerprinting System", ISMIR 2002; bands, rates and the search are our own,
chosen for short clips of noise and single events: longer windows that tolerate a shift between the
frame grids, differences over two frames, and silent frames that do not count.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semisonic.audio.read import read_start
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.parallel import in_threads
from semisonic.core.progress import bar, track
from semisonic.core.text import count_text
from semisonic.data.clips import Clips

SAMPLE_RATE = 8000
WINDOW = 2048  # samples, 256 ms
HOP = 512  # samples, 64 ms
STEP = 2  # frames between which a change is looked at
N_BANDS = 16
FMIN_HZ, FMAX_HZ = 200.0, 3700.0
ACTIVE_RANGE_DB = 60.0  # frames this far below the loudest one are silence
SILENCE_DB = -80.0  # nothing below this level (full-scale sine = 0 dB) is a sound

HOP_TIME = HOP / SAMPLE_RATE  # seconds
_BLOCK = 256  # frames transformed at a time


def fingerprint(x: NDArray[np.float32]) -> NDArray[np.int8]:
    """The fingerprint of a sound.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        Samples at 8 kHz.

    Returns
    -------
    ndarray of int8, shape (frame, 16)
        +1 or -1; inaudible frames are 0. No frames for an empty sound.
    """
    if not len(x):
        return np.zeros((0, N_BANDS), np.int8)
    power = _band_power(np.pad(x, WINDOW // 2 + HOP))
    total = power.sum(axis=1)
    loudest = float(total.max())
    # A full-scale sine under a Hann window has the power (WINDOW / 4)² in its bands, about.
    silence = (WINDOW / 4) ** 2 * 10 ** (SILENCE_DB / 10)
    if not np.isfinite(loudest) or loudest <= silence or len(total) <= STEP:
        return np.zeros((max(0, len(total) - STEP), N_BANDS), np.int8)
    active = total > max(loudest * 10 ** (-ACTIVE_RANGE_DB / 10), silence)
    level = np.log(power + loudest * 1e-8)
    tilt = np.diff(level, axis=1)
    change = tilt[STEP:] - tilt[:-STEP]
    audible = active[STEP:] | active[:-STEP]
    # A change of exactly nothing counts as a fall, so that a audible frame has no zeros.
    signs = np.where(change > 0, np.int8(1), np.int8(-1)).astype(np.int8)
    signs[~audible] = 0
    return signs


def _band_power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in N_BANDS + 1 bands of every frame, shape (frame, band)."""
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    window, bands = _tables()
    parts = []
    for begin in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[begin : begin + _BLOCK] * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        parts.append(power @ bands)
    return np.concatenate(parts)


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The window, shape (WINDOW,), and the bands, shape (bin, N_BANDS + 1)."""
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    edges = np.geomspace(FMIN_HZ, FMAX_HZ, N_BANDS + 2)
    inside = (frequency[:, None] >= edges[:-1]) & (frequency[:, None] < edges[1:])
    return np.hanning(WINDOW).astype(np.float32), inside.astype(np.float32)


# Which sounds are copies of each other: a fast search over fingerprints, then a close look.
#
# 1. :func:`candidates` slides all fingerprints over all others, as matrix products in blocks. What
#    agrees more than chance allows goes on; most of that is not a copy yet.
# 2. :func:`compare` correlates the two waveforms themselves. Copies stay near 1 through re-encoding
#    and resampling; different recordings of the same thing stay under 0.25 (measured on ESC-10).


MIN_AGREEMENT = 0.25  # mean product of signs; 0 for unrelated sounds, 1 for a copy
MIN_SIGNIFICANCE = 5.0  # agreement in standard deviations of independent signs
MIN_OVERLAP = 0.4  # share of the shorter sound that must take part
_MIN_FRAMES = 2
_MATCH_BLOCK = 512
_FMIN_HZ, _FMAX_HZ = 100.0, 3600.0
_WHITENING_HZ = 40.0
_FINE = 8  # steps of a sample in which the best offset is refined
_STRETCH = SAMPLE_RATE // 4  # samples
_SHARED_CORRELATION = 0.7

Pairs = NDArray[np.int64]


class SoundMatch(NamedTuple):
    """The similarity of two sounds.

    Attributes
    ----------
    score : float
        Correlation of the waveforms where they overlap, 0 to 1; level and polarity do not matter.
    offset_time : float
        Seconds by which the second sound begins later in the first (negative: earlier).
    shared_time : float
        Seconds, in steps of 0.25 s, in which the two agree closely.
    """

    score: float
    offset_time: float
    shared_time: float


def candidates(
    prints: Sequence[NDArray[np.int8]],
    others: Sequence[NDArray[np.int8]] | None = None,
    *,
    max_offset: float,
) -> Pairs:
    """Pairs of fingerprints that agree more than by chance.

    Parameters
    ----------
    prints, others : sequences of int8 arrays, each of shape (frame, 16)
        With ``others``, pairs with one from each; without, pairs within ``prints``.
    max_offset : float
        Seconds by which one sound may begin later than the other.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Positions in ``prints`` and in ``others`` (or ``prints``), sorted.
    """
    max_lag = int(np.ceil(max_offset / HOP_TIME))
    left = _blocks(prints)
    right = left if others is None else _blocks(others)
    found = []
    total = sum(len(a) * len(b) for a in left for b in right)
    with bar(total, "compare fingerprints", "pair") as shown:
        for i, a in enumerate(left):
            # Within one set, each pair of blocks is looked at once.
            for j, b in enumerate(right):
                if others is not None or j >= i:
                    found.append(_compare_blocks(prints, others or prints, a, b, max_lag))
                shown.update(len(a) * len(b))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    if others is None:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def compare(x: NDArray[np.float32], y: NDArray[np.float32], *, max_offset: float) -> SoundMatch:
    """Correlate two sounds at the best offset.

    Both are first limited to 100-3600 Hz and partly whitened, so that mains hum or rumble, which
    unrelated recordings may share, counts little.

    Parameters
    ----------
    x, y : ndarray of float32, shape (n,)
        Samples at 8 kHz.
    max_offset : float
        Seconds.
    """
    if min(len(x), len(y)) < 2:
        return SoundMatch(0.0, 0.0, 0.0)
    n = next_fast_len(len(x) + len(y), real=True)
    a, b = _whitened(x, n), _whitened(y, n)
    lag = _best_lag(a * np.conj(b), n, len(x), len(y), max_offset)
    # Shift the second sound by the fractional lag, so that equal samples lie on each other.
    u, v = irfft(a, n), irfft(b * _turn(-lag / n, len(b)), n)
    begin, end = max(0, int(np.ceil(lag))), min(len(x), int(len(y) + lag))
    if end - begin < 2:
        return SoundMatch(0.0, lag / SAMPLE_RATE, 0.0)
    u, v = u[begin:end], v[begin:end]
    return SoundMatch(_correlation(u, v), lag / SAMPLE_RATE, _shared_time(u, v))


def _blocks(prints: Sequence[NDArray[np.int8]]) -> list[Pairs]:
    """Positions of fingerprints that are not empty, similar lengths together."""
    order = sorted(range(len(prints)), key=lambda i: len(prints[i]))
    audible = np.array([i for i in order if prints[i].any()], np.int64)
    return [audible[i : i + _MATCH_BLOCK] for i in range(0, len(audible), _MATCH_BLOCK)]


def _compare_blocks(
    prints: Sequence[NDArray[np.int8]],
    others: Sequence[NDArray[np.int8]],
    rows: Pairs,
    columns: Pairs,
    max_lag: int,
) -> Pairs:
    a, a_heard = _stack(prints, rows)
    b, b_heard = _stack(others, columns)
    shorter = np.minimum(a_heard.sum(axis=1)[:, None], b_heard.sum(axis=1)[None])
    needed = np.maximum(MIN_OVERLAP * shorter, _MIN_FRAMES)
    hit = np.zeros((len(rows), len(columns)), np.bool_)
    n_a, n_b = a_heard.shape[1], b_heard.shape[1]
    for lag in range(max(-max_lag, 1 - n_b), min(max_lag, n_a - 1) + 1):
        i, j = max(0, lag), max(0, -lag)
        length = min(n_a - i, n_b - j)
        frames = a_heard[:, i : i + length] @ b_heard[:, j : j + length].T
        signs = slice(i * N_BANDS, (i + length) * N_BANDS)
        against = slice(j * N_BANDS, (j + length) * N_BANDS)
        product = a[:, signs] @ b[:, against].T
        count = frames * N_BANDS
        enough = np.maximum(MIN_AGREEMENT * count, MIN_SIGNIFICANCE * np.sqrt(count))
        hit |= (product >= enough) & (frames >= needed)
    i_hit, j_hit = np.nonzero(hit)
    return np.stack([rows[i_hit], columns[j_hit]], axis=1)


def _stack(
    prints: Sequence[NDArray[np.int8]], chosen: Pairs
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signs, shape (n, frame · band), and which frames are audible, shape (n, frame)."""
    longest = max(len(prints[i]) for i in chosen)
    signs = np.zeros((len(chosen), longest, N_BANDS), np.float32)
    for k, i in enumerate(chosen):
        signs[k, : len(prints[i])] = prints[i]
    audible = (signs[:, :, 0] != 0).astype(np.float32)
    return signs.reshape(len(chosen), -1), audible


def _whitened(x: NDArray[np.float32], n: int) -> NDArray[np.complex64]:
    """The band-limited spectrum, divided by the square root of its own smooth amplitude."""
    spectrum = rfft(x - x.mean(), n)
    frequency = rfftfreq(n, 1 / SAMPLE_RATE)
    spectrum[(frequency < _FMIN_HZ) | (frequency > _FMAX_HZ)] = 0.0
    width = max(1, int(_WHITENING_HZ / frequency[1]))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float64)
    sums = np.cumsum(np.concatenate([np.zeros(width + 1), power, np.zeros(width)]))
    smooth = (sums[2 * width + 1 :] - sums[: -2 * width - 1]) / (2 * width + 1)
    floor = max(float(smooth.max()) * 1e-5, float(np.finfo(np.float32).tiny))
    weight = 1 / np.sqrt(np.sqrt(np.maximum(smooth, floor)))
    result: NDArray[np.complex64] = spectrum * weight.astype(np.float32)
    return result


def _best_lag(cross: NDArray[np.complex64], n: int, n_x: int, n_y: int, max_offset: float) -> float:
    """The lag, in fractional samples, at which the second sound fits the first."""
    correlation = np.abs(irfft(cross, n))
    most = int(max_offset * SAMPLE_RATE)
    # Over a short overlap two cries of one animal may agree by chance.
    least = max(1, int(MIN_OVERLAP * min(n_x, n_y)))
    lags = np.arange(max(-most, least - n_y), min(most, n_x - least) + 1)
    coarse = int(lags[correlation[lags % n].argmax()])
    fine = coarse + np.arange(-_FINE, _FINE + 1) / _FINE
    turned, step = cross * _turn(float(fine[0]) / n, len(cross)), _turn(1 / _FINE / n, len(cross))
    peak = np.zeros(len(fine))
    for k in range(len(fine)):
        peak[k] = abs(float(turned.real.sum(dtype=np.float64)))
        turned *= step
    return float(fine[int(peak.argmax())])


def _turn(turns_per_bin: float, n_bins: int) -> NDArray[np.complex64]:
    """The phases that shift a sound by ``turns_per_bin`` times its length."""
    angle = 2 * np.pi * ((turns_per_bin * np.arange(n_bins)) % 1.0)
    result: NDArray[np.complex64] = np.exp(1j * angle.astype(np.float32))
    return result


def _correlation(u: NDArray[np.float32], v: NDArray[np.float32]) -> float:
    norm = float(np.sqrt((u @ u) * (v @ v)))
    return min(1.0, abs(float(u @ v)) / norm) if norm > 0 else 0.0


def _shared_time(u: NDArray[np.float32], v: NDArray[np.float32]) -> float:
    """Seconds in which the aligned sounds are audible and agree closely."""
    n = max(1, len(u) // _STRETCH)
    parts = list(zip(np.array_split(u, n), np.array_split(v, n), strict=True))
    loudest = max(float(part @ part) for part, _ in parts)
    n_shared = sum(
        float(part @ part) > 1e-5 * loudest and _correlation(part, other) > _SHARED_CORRELATION
        for part, other in parts
    )
    return n_shared * len(u) / n / SAMPLE_RATE


# Pairs of clips.


@dataclass(frozen=True)
class Duplicate:
    """Two clips of the same sound, in whole or in large part.

    Attributes
    ----------
    kind : {"identical", "near-identical"}
        Same bytes, or same sound.
    first, second : str
        Clip ids.
    first_row, second_row : int
        Row numbers in the table, or for ``second_row`` in the table compared against.
    first_fold, second_fold : int
        Official folds; 0 for none.
    score : float
        1 for identical clips, otherwise the correlation of the waveforms where they overlap.
    offset_time : float
        Seconds by which the second clip begins later in the first.
    shared_time : float
        Seconds in which they agree closely; NaN for identical clips.
    across : bool
        Whether a split may separate them: they are in different folds, or in no fold and different
        groups, or in different tables.
    same_labels : bool
        False if both have labels that differ, so that at least one is wrong.
    in_pool : bool
        Whether the second clip is from the other table; ids do not show this, as two tables may
        use one name for two files.
    """

    kind: str
    first: str
    second: str
    first_row: int
    second_row: int
    first_fold: int
    second_fold: int
    score: float
    offset_time: float
    shared_time: float
    across: bool
    same_labels: bool
    in_pool: bool = False

    def __str__(self) -> str:
        folds = f"folds {self.first_fold} and {self.second_fold}" if self.first_fold else "no folds"
        text = f"{self.kind}: {self.first} and {self.second} ({folds}"
        if self.kind == "near-identical":
            text += (
                f", score {self.score:.2f}, {self.shared_time:.1f} s in common, offset "
                f"{self.offset_time:+.2f} s"
            )
        return text + ("" if self.same_labels else ", DIFFERENT LABELS") + ")"


class Sound(NamedTuple):
    """A row of one of the tables: 0 for the clips, 1 for the other table."""

    table: int
    row: int
    id: str
    path: Path
    start_time: float
    end_time: float | None
    group: str
    fold: int
    labels: tuple[str, ...]

    def may_pair(self, other: Sound) -> bool:
        """False for two windows of one file in one group, which are known to belong together."""
        return self.path != other.path or self.group != other.group

    def pair(self, other: Sound, kind: str, alike: SoundMatch) -> Duplicate:
        """A pair with its score, offset and shared time."""
        folds = self.fold and other.fold
        parted = self.fold != other.fold if folds else self.group != other.group
        labels = set(self.labels), set(other.labels)
        return Duplicate(
            kind,
            *(self.id, other.id, self.row, other.row, self.fold, other.fold),
            *alike,
            across=self.table != other.table or parted,
            same_labels=not all(labels) or labels[0] == labels[1],
            in_pool=other.table > 0,
        )


def _sounds(table: int, clips: Clips) -> list[Sound]:
    end = [None if np.isnan(time) else time for time in clips.end_time.tolist()]
    columns = (clips.start_time.tolist(), end, clips.group.tolist(), clips.fold.tolist())
    rows = zip(clips.ids, clips.paths, *columns, clips.labels, strict=True)
    return [Sound(table, row, *values) for row, values in enumerate(rows)]


# Clips with the same bytes, whatever their files are called.


_SAMPLE_BYTES = 4096


def content_names(files: set[Path]) -> dict[Path, str]:
    """An identifier of the content of each file: equal for equal bytes.

    A recorder makes thousands of files of one size, so only files with equal size, beginning,
    middle and end are read completely.
    """
    names = {file: str(file) for file in files}
    by_sample: dict[tuple[int, bytes], list[Path]] = {}
    sizes: dict[int, list[Path]] = {}
    for file in sorted(files):
        with suppress(OSError):  # a missing file is like no other; reading it will report it
            sizes.setdefault(os.path.getsize(file), []).append(file)
    for size, same in sizes.items():
        for file in same if len(same) > 1 else ():
            with suppress(OSError):
                by_sample.setdefault((size, _sample(file, size)), []).append(file)
    alike = [file for same in by_sample.values() if len(same) > 1 for file in same]
    for file in track(alike, "hash files that look alike", "file"):
        names[file] = content_hash(file)
    return names


def _sample(file: Path, size: int) -> bytes:
    """Beginning, middle and end of a file."""
    parts = []
    with open(file, "rb") as stream:
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            parts.append(stream.read(_SAMPLE_BYTES))
    return hashlib.sha256(b"".join(parts)).digest()


# Clips that are the same sound after another encoding, level or cut.


MIN_SHARED = 1.0  # seconds of the same sound that make a pair at any score
MAX_DURATION = 30.0  # seconds of a long clip that are looked at
_CACHED_SOUNDS = 256


def _near_identical(
    copies_of: Mapping[Sound, Sequence[Sound]],
    threshold: float,
    max_offset: float,
    workers: int | None,
    prints: Mapping[int, NDArray[np.int8]] | None,
    failures: list[tuple[str, str]],
) -> list[Duplicate]:
    """Pairs of the same sound; clips that cannot be read are added to ``failures``.

    One clip of each set of identical ones is compared. Within a table that is enough; in a pool,
    all copies of a match are listed, so that all can be left out.
    """

    def decoded(sound: Sound) -> NDArray[np.float32]:
        return read_start(
            sound.path,
            duration=MAX_DURATION,
            sample_rate=SAMPLE_RATE,
            start_time=sound.start_time,
            end_time=sound.end_time,
        )

    def printed(sound: Sound) -> NDArray[np.int8] | str:
        try:
            return fingerprint(decoded(sound)) if prints is None else prints[sound.row]
        except AudioError as error:
            return error.reason

    sounds = [sound for sound in copies_of if prints is None or sound.row in prints]
    made = in_threads(printed, sounds, workers, ordered=True)
    kept: tuple[dict[Sound, NDArray[np.int8]], dict[Sound, NDArray[np.int8]]] = {}, {}
    for sound, signs in zip(sounds, track(made, "fingerprint", "clip", len(sounds)), strict=True):
        if isinstance(signs, str):
            failures.append((sound.id, signs))
        else:
            kept[sound.table][sound] = signs
    (clips, signs_of_clips), (pool, signs_of_pool) = ((list(k), list(k.values())) for k in kept)
    within = candidates(signs_of_clips, max_offset=max_offset)
    pairs = [(clips[i], clips[j]) for i, j in within]
    if pool:
        across = candidates(signs_of_clips, signs_of_pool, max_offset=max_offset)
        pairs += [(clips[i], one) for i, j in across for one in (pool[j], *copies_of[pool[j]])]
    pairs = [(a, b) for a, b in pairs if a.may_pair(b)]
    cached = lru_cache(_CACHED_SOUNDS)(decoded)

    def compared(pair: tuple[Sound, Sound]) -> SoundMatch:
        return compare(cached(pair[0]), cached(pair[1]), max_offset=max_offset)

    results = in_threads(compared, pairs, workers, ordered=True)
    shown = track(results, "compare sounds", "pair", len(pairs))
    return [
        a.pair(b, "near-identical", alike)
        for (a, b), alike in zip(pairs, shown, strict=True)
        if alike.score >= threshold or alike.shared_time >= MIN_SHARED
    ]


# Both ways together.


THRESHOLD = 0.6
"""Correlation from which two clips count as near-identical."""
MAX_OFFSET = 2.5
"""Seconds by which one copy may begin later than the other."""
NEAR_MOST = 5000
"""Number of clips above which they are compared by sound only on request."""


def find_duplicates(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
    prints: Mapping[int, NDArray[np.int8]] | None = None,
    failures: list[tuple[str, str]] | None = None,
) -> list[Duplicate]:
    """Find clips that are the same sound.

    Parameters
    ----------
    clips : Clips
    against : Clips, optional
        Another table, such as an unlabelled pool. The result then has pairs of one clip from each
        and pairs within ``clips``, but none within ``against``.
    near : bool
        Also find near-identical clips, which decodes every file; otherwise compare only bytes.
    threshold : float
        Smallest correlation, more than 0 and at most 1. Copies score over 0.8, different
        recordings of the same kind of sound under 0.25. Clips that share a second of sound are
        reported at any score.
    max_offset : float
        Seconds by which one copy may begin later than the other.
    workers : int, optional
        Threads for decoding; the number of processors by default.
    prints : mapping of int to ndarray, optional
        Known fingerprints of the first 30 s by row of ``clips``. Then only the starts of clips
        that may be copies are decoded; rows without one are compared by bytes.
    failures : list, optional
        Receives clips that could not be read, as (id, reason).

    Returns
    -------
    list of Duplicate
        Pairs across splits first. Each of several identical clips is paired with the first of
        them. Windows of one file in one group are never paired, as splits keep them together.
        Silent clips are compared by bytes only. Only the first 30 s of a clip are compared; to
        compare all of long recordings, cut them with ``windows`` first.

    Examples
    --------
    >>> find_duplicates(load_clips("labelled"), load_clips("later"))
    []
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"threshold: found {threshold}, expected more than 0 and at most 1")
    if not 0 <= max_offset <= MAX_DURATION:
        raise OptionError(f"max_offset: found {max_offset} s, expected 0 to {MAX_DURATION:g} s")
    sounds = _sounds(0, clips) + (_sounds(1, against) if against is not None else [])
    contents = content_names({sound.path for sound in sounds})
    same: dict[tuple[str, float, float | None], list[Sound]] = {}
    for one in sounds:
        same.setdefault((contents[one.path], one.start_time, one.end_time), []).append(one)
    copies_of = {first: copies for first, *copies in same.values()}
    pairs = [
        first.pair(copy, "identical", SoundMatch(1.0, 0.0, np.nan))
        for first, copies in copies_of.items()
        for copy in copies
        if first.table == 0 and first.may_pair(copy)
    ]
    if near:
        unread = [] if failures is None else failures
        pairs += _near_identical(copies_of, threshold, max_offset, workers, prints, unread)
    pairs.sort(key=lambda d: (not d.across, d.kind, -d.score, d.first, d.second))
    return pairs


def group_duplicates(clips: Clips, duplicates: Iterable[Duplicate]) -> Clips:
    """Put duplicates within a table into one group, so that splits keep them together.

    All clips of these groups get the name that sorts first. Official folds are kept.
    """
    names, number = np.unique(clips.group, return_inverse=True)
    pairs = [(number[pair.first_row], number[pair.second_row]) for pair in duplicates]
    if not pairs:
        return clips
    edges = np.ones(len(pairs)), np.transpose(pairs)
    _, part = connected_components(coo_array(edges, (len(names), len(names))), directed=False)
    first = np.unique(part, return_index=True)[1]
    return clips.with_columns(group=names[first[part[number]]])


# Leaks in a data set: recordings and copies of sounds on two sides of a split.


def straddling_groups(clips: Clips) -> list[str]:
    """The recordings with clips in more than one official fold, sorted."""
    pairs = set(zip(clips.group.tolist(), clips.fold.tolist(), strict=True))
    n_folds = Counter(group for group, fold in pairs if fold)
    return sorted(group for group, n in n_folds.items() if n > 1)


@dataclass(frozen=True)
class CheckReport:
    """The result of :func:`check`.

    Attributes
    ----------
    name : str
        The data set.
    n_folds : int
        Official folds; 0 for none.
    straddling : tuple of str
        Recordings in several official folds.
    duplicates : tuple of Duplicate
        All pairs found, those across splits first.
    failures : tuple of (str, str)
        Clips that could not be read, with the reason.
    """

    name: str
    n_folds: int
    straddling: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def leaks(self) -> tuple[Duplicate, ...]:
        """The pairs that a split may separate."""
        return tuple(pair for pair in self.duplicates if pair.across)

    @property
    def ok(self) -> bool:
        """Whether nothing is on both sides of a split and everything could be read."""
        return not (self.straddling or self.leaks or self.failures)


def check(
    clips: Clips,
    pool: Clips | None = None,
    *,
    audio: bool = True,
    workers: int | None = None,
) -> CheckReport:
    """Find recordings and sounds on both sides of a split.

    Parameters
    ----------
    clips : Clips
    pool : Clips, optional
        An unlabelled pool that must not contain the clips.
    audio : bool
        Check the files, too; otherwise only the table, for example if there is no audio.
    workers : int, optional
        Threads that decode; one per core by default.
    """
    found: list[Duplicate] = []
    unread: list[tuple[str, str]] = []
    if audio:
        found = find_duplicates(clips, pool, workers=workers, failures=unread)
    straddling = tuple(straddling_groups(clips))
    return CheckReport(clips.name, len(clips.folds), straddling, tuple(found), tuple(unread))


class CleanPool(NamedTuple):
    """The rest of a pool, without labels, and the number of copies left out.

    ``n_copies`` files had the bytes of a labelled recording, ``n_near_copies`` clips were the same
    sound, cut or re-encoded.
    """

    clips: Clips
    n_copies: int
    n_near_copies: int

    def notes(self) -> list[str]:
        """Sentences for a report; none if nothing was left out."""
        copies = "are copies" if self.n_copies > 1 else "is a copy"
        sounds = "are the same sounds" if self.n_near_copies > 1 else "is the same sound"
        left_out = {
            f"{copies} of labelled recordings": (self.n_copies, "file"),
            f"{sounds} as labelled clips, cut or re-encoded": (self.n_near_copies, "clip"),
        }
        return [
            f"{count_text(n, noun)} of the pool {what}, and left out."
            for what, (n, noun) in left_out.items()
            if n
        ]


def clean_pool(
    pool: Clips, labelled: Clips, *, near: bool = True, workers: int | None = None
) -> CleanPool:
    """Remove copies of labelled clips from a pool, as they could bring test audio into training.

    Parameters
    ----------
    pool : Clips
        Its labels, if any, are dropped.
    labelled : Clips
        The clips that the pool must not contain, above all those of the test fold.
    near : bool
        Also find clips that were cut or re-encoded. This decodes every clip once more (of long
        ones the first 30 s).
    workers : int, optional
        Threads that decode; one per core by default.
    """
    contents = content_names({*pool.paths, *labelled.paths})
    known = {contents[path] for path in labelled.paths}
    copied = np.array([contents[path] in known for path in pool.paths], np.bool_)
    n_copied = len(set(pool.file[copied].tolist()))
    kept = pool.without_labels()[~copied]
    same = np.zeros(len(kept), np.bool_)
    if near and len(kept) and len(labelled):
        found = find_duplicates(labelled, kept, workers=workers)
        same[[pair.second_row for pair in found if pair.in_pool]] = True
    return CleanPool(kept[~same], n_copied, int(same.sum()))
