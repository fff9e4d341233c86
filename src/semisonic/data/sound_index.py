"""Which sounds are copies of each other, at any offset: an index of fingerprints.

1. Each peak and the three after it give three numbers of 22 bits: two frequencies and the time
   between them. An index has the places of each. Numbers in common vote for an offset.
2. Offsets with enough votes are verified: peaks of one sound that lie, so shifted, on a peak of
   the other speak for a copy, the others against it. What counts is the stretch that speaks most
   for a copy, as in the alignment of sequences; so a clip is found within a day.

The work is linear in the hours of sound. The index takes 6.5 MB of memory for an hour of noise,
and less for sounds with pauses; beyond ``MOST_PAIRS`` every second number is used, then every
fourth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.data.fingerprints import FRAME_TIME, N_BINS, Fingerprint

NEXT_PEAKS = 3  # each peak is paired with this many after it
MOST_FRAMES, MOST_BINS = 63, 127  # between the peaks of a pair
MIN_VOTES = 4  # pairs of peaks in common at one offset
OFFSETS_VERIFIED = 3  # for two sounds, those with the most votes
MIN_EVIDENCE = 20.0  # natural logarithm of how much likelier a copy is than chance
MOMENT_EVIDENCE = 1.0  # at most, of a moment in which peaks agree, besides that of these peaks
SHORT_EVIDENCE = 26.0  # for a stretch of less than
SHORT_FRAMES = 8  # frames, as one click is like another
SHARE = 0.5  # of the peaks of a copy that are expected to lie on one of the original
MOST_PAIRS = 1 << 27  # in an index: about 220 hours of noise, 1.4 GB
COMMON = 50  # a number that occurs this many times as often as the mean tells nothing
_HITS_AT_ONCE = 1 << 22
_SMOOTH_BINS = 12

Longs = NDArray[np.int64]


class SoundMatch(NamedTuple):
    """Two sounds that have a stretch in common.

    Attributes
    ----------
    score : float
        Share of the peaks that agree in the stretch, 0 to 1: over 0.5 unless one was spoilt.
    offset_time : float
        Seconds by which the second sound begins later in the first (negative: earlier).
    shared_time : float
        Length of the stretch in seconds.
    """

    score: float
    offset_time: float
    shared_time: float


class Found(NamedTuple):
    """A sound of an index that has a stretch in common with another one."""

    row: int
    match: SoundMatch


def _pairs(frame: Longs, bin_: Longs) -> tuple[Longs, Longs]:
    """The number of each pair of peaks, and the position of its first peak."""
    numbers, firsts = [], []
    for k in range(1, min(NEXT_PEAKS, len(frame) - 1) + 1):
        time, step = frame[k:] - frame[:-k], bin_[k:] - bin_[:-k]
        first = np.flatnonzero((time <= MOST_FRAMES) & (np.abs(step) <= MOST_BINS))
        numbers.append(bin_[first] << 14 | (step[first] + MOST_BINS + 1) << 6 | time[first])
        firsts.append(first)
    if not numbers:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(numbers), np.concatenate(firsts)


class SoundIndex:
    """Fingerprints in which others are looked up.

    Parameters
    ----------
    prints : sequence of Fingerprint
        Row numbers in results are positions in it.
    """

    def __init__(self, prints: Sequence[Fingerprint]) -> None:
        self._prints = prints
        sizes = [len(one) for one in prints]
        self._first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._frame = np.concatenate([np.zeros(0, np.int32), *(one.frame for one in prints)])
        self._owner = np.repeat(np.arange(len(prints), dtype=np.int32), sizes)
        self._every = 1 << max(0, int(sum(sizes) * NEXT_PEAKS / MOST_PAIRS)).bit_length()
        numbers, places = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint32)]
        for first, one in zip(self._first.tolist(), prints, strict=False):
            number, place = self._used_pairs(one)
            numbers.append(number.astype(np.uint32))
            places.append((place + first).astype(np.uint32))
        number = np.concatenate(numbers)
        order = np.argsort(number, kind="stable")
        self._number, self._place = number[order], np.concatenate(places)[order]
        n_numbers = np.count_nonzero(np.diff(self._number)) + 1
        self._most = max(COMMON, COMMON * len(number) // int(n_numbers))

    def _used_pairs(self, one: Fingerprint) -> tuple[Longs, Longs]:
        number, first = _pairs(one.frame.astype(np.int64), one.bin.astype(np.int64))
        if self._every > 1:
            used = (number * 2654435761 >> 16) % self._every == 0
            number, first = number[used], first[used]
        return number, first

    def find(self, other: Fingerprint, before: int | None = None) -> list[Found]:
        """The sounds that have a stretch in common with another one, in order of rows.

        Each is found once, at the offset for which most speaks; it is the first sound of the match.

        Parameters
        ----------
        other : Fingerprint
        before : int, optional
            Look among the rows before this one only.
        """
        row, offset = self._candidates(other, len(self._prints) if before is None else before)
        found: dict[int, tuple[float, SoundMatch]] = {}
        for one, shift in zip(row.tolist(), offset.tolist(), strict=True):
            evidence, match = align(self._prints[one], other, shift)
            if match is not None and evidence > found.get(one, (0.0, match))[0]:
                found[one] = evidence, match
        return [Found(one, found[one][1]) for one in sorted(found)]

    def _candidates(self, other: Fingerprint, before: int) -> tuple[Longs, Longs]:
        """Rows and offsets in frames for which enough pairs of peaks vote."""
        number, first = self._used_pairs(other)
        if not len(number):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        frame = other.frame.astype(np.int64)
        last = int(frame[-1]) + 1
        # One integer for a row and an offset, with room so that neighbours are of the same row.
        room = last + int(self._frame.max(initial=0)) + 4
        keys, votes = [], []
        for hit, place in self._hits(number):
            owner = self._owner[place].astype(np.int64)
            shift = self._frame[place] - frame[first[hit]] + last + 1
            key = (owner * room + shift)[owner < before]
            key, n = np.unique(key, return_counts=True)
            keys.append(key)
            votes.append(n)
        if not keys:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        key, of = np.unique(np.concatenate(keys), return_inverse=True)
        n = np.bincount(of, np.concatenate(votes)).astype(np.int64)
        near = n.copy()  # those of the next frame count, too: the grids are a part of a frame off
        beside = np.diff(key) == 1
        near[:-1][beside] += n[1:][beside]
        chosen: Longs = np.flatnonzero(near >= MIN_VOTES)
        chosen = chosen[np.lexsort((-n[chosen], -near[chosen], key[chosen] // room))]
        row = key[chosen] // room
        begins = np.searchsorted(row, row)
        best = np.arange(len(row)) - begins < OFFSETS_VERIFIED
        return row[best], (key[chosen] % room - last - 1)[best]

    def _hits(self, number: Longs) -> Iterator[tuple[Longs, NDArray[np.uint32]]]:
        """Positions in ``number`` and places in the index with the same number, in portions."""
        asked = number.astype(np.uint32)
        begin: Longs = np.searchsorted(self._number, asked, "left").astype(np.int64)
        end: Longs = np.searchsorted(self._number, asked, "right").astype(np.int64)
        n = (end - begin) * (end - begin <= self._most)
        total = np.cumsum(n)
        at = 0
        while at < len(number):
            before = int(total[at - 1]) if at else 0
            next_at = max(at + 1, int(np.searchsorted(total, before + _HITS_AT_ONCE)))
            count = n[at:next_at]
            hit = np.repeat(np.arange(at, at + len(count)), count)
            if len(hit):
                within = np.arange(len(hit)) - np.repeat(np.cumsum(count) - count, count)
                yield hit, self._place[begin[hit] + within]
            at = next_at


def align(one: Fingerprint, other: Fingerprint, offset: int) -> tuple[float, SoundMatch | None]:
    """The evidence that two sounds have a stretch in common at an offset in frames, and which.

    It is the smaller one of both directions: peaks of the first that lie on one of the second, and
    the other way round.
    """
    a = one.frame.astype(np.int64) - offset
    b = other.frame.astype(np.int64)
    if not (len(a) and len(b)):
        return 0.0, None
    common = max(int(a[0]), int(b[0])) - 1, min(int(a[-1]), int(b[-1])) + 2
    in_a, in_b = (slice(*np.searchsorted(x, common).tolist()) for x in (a, b))
    a, b = a[in_a], b[in_b]
    f, g = one.bin[in_a].astype(np.int64), other.bin[in_b].astype(np.int64)
    if min(len(a), len(b)) < 2:
        return 0.0, None
    here, there = _stretch(a, f, b, g, -1), _stretch(b, g, a, f, 1)
    evidence = min(here.evidence, there.evidence)
    start, end = max(here.start, there.start), min(here.end, there.end)
    needed = MIN_EVIDENCE if end - start >= SHORT_FRAMES else SHORT_EVIDENCE
    if evidence < needed or end <= start:
        return 0.0, None
    agree = [part.agrees[(part.frame >= start) & (part.frame <= end)] for part in (here, there)]
    score = float(np.concatenate(agree).mean())
    shift = offset + float(here.shift)
    return evidence, SoundMatch(score, shift * FRAME_TIME, (end - start) * FRAME_TIME)


class _Stretch(NamedTuple):
    """Where the peaks of one sound speak most for a copy."""

    evidence: float
    start: int
    end: int
    frame: Longs
    agrees: NDArray[np.bool_]
    shift: float


def _stretch(a: Longs, f: Longs, b: Longs, g: Longs, step: int) -> _Stretch:
    """The stretch of peaks (frame a, bin f) that lie on peaks (frame b, bin g), or one step on."""
    key = b * 256 + g
    at = np.isin(a * 256 + f, key)
    agrees = at | np.isin((a + step) * 256 + f, key)
    chance = _chance(b, g)[f]
    gain = np.where(agrees, np.log(SHARE / chance), np.log((1 - SHARE) / (1 - chance)))
    # That the other sound has peaks at all at these moments speaks for a copy, too, but no more
    # than this: ticks of two clocks that begin together stay together.
    hits = np.flatnonzero(agrees)
    moments = hits[np.diff(a[hits], prepend=-2) > 1]
    gain[moments] += min(MOMENT_EVIDENCE, float(-np.log(_moments(b) / (b[-1] - b[0] + 2))))
    total = np.concatenate([[0.0], np.cumsum(gain)])
    rise = total - np.minimum.accumulate(total)
    last = int(rise.argmax())
    first = int(total[: last + 1].argmin())
    if last == 0:
        return _Stretch(0.0, 0, 0, a, agrees, 0.0)
    inside = slice(first, last)
    moved = float(np.mean(~at[inside][agrees[inside]]))
    return _Stretch(float(rise[last]), int(a[first]), int(a[last - 1]), a, agrees, moved)


def _chance(b: Longs, g: Longs) -> NDArray[np.float64]:
    """The probability that a sound has a peak in two frames, by bin.

    Only moments with peaks count, so that sounds that begin together are no copies for it. In a
    bin with several peaks, as of a tone that comes again and again, it is larger; the one that may
    be the copy's own does not count.
    """
    n = np.bincount(g, minlength=N_BINS).astype(np.float64)
    around = np.convolve(n, np.ones(2 * _SMOOTH_BINS + 1), "same")
    width = np.convolve(np.ones(N_BINS), np.ones(2 * _SMOOTH_BINS + 1), "same")
    smooth = (around + 0.5) / width
    return np.minimum(0.9 * SHARE, 2 * np.maximum(smooth, n - 1) / _moments(b))


def _moments(b: Longs) -> int:
    """Number of frames in which a sound has a peak, or had one in the frame before."""
    return int(np.unique(b[:, None] + np.arange(2)).size)
