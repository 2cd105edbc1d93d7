"""Where an answer ends: the score that tells what matches from the query's own background.

A model that learned by contrast gives a text and a picture a score s such that exp(scale * s) is, up to a
factor of the text's own, how many times likelier the text makes the picture (van den Oord and others,
Representation Learning with Contrastive Predictive Coding, 2018). The mean over the background tells the
factor. Its scores are taken for normal, with a mean m and a deviation d that the few that match hardly
move, the median and the distance to the lower 16 %: it is exp(scale * m + scale² * d² / 2), or where that
is less, what the best of them has, which no mean exceeds: pictures of a few kinds, far apart, are not
normal. A library of n pictures is taken to have some sqrt(n) that match, so a picture is one of them from
odds of sqrt(n) to 1 on. SigLIP has learned the odds themselves, as they are among the pairs of its batches
(Zhai and others, Sigmoid Loss for Language Image Pre-Training, 2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from imgqd.search.codes import estimates

if TYPE_CHECKING:
    from imgqd.models.sense import Sense
    from imgqd.search.resident import Snapshot
    from imgqd.search.vectors import Vectors

# So many pictures tell of all.
_SAMPLE = 16_384
# A background of so many counts as much as what is known of an average text.
_FEW = 100
# Of a bound that is measured, so much moves with the query's background.
_SHARE = 0.25
# The library that bounds are told for.
_SMALL = 20
_BATCH = 32_768
# Pictures that are to be like a picture, where there are too few to tell.
_ALIKE = 0.75
_BELOW = 0.1587


def least(snapshot: Snapshot, query: Vectors, sense: Sense, by_picture: bool) -> float:
    """The score from which on a picture is an answer to a query, float32 (dim,); by_picture: where what is
    asked for is a picture, or one is among it."""
    rows = np.flatnonzero(snapshot.alive)
    count = max(len(rows), 1)
    (found,) = estimates(query[None], snapshot.codes.take(rows[:: -(-count // _SAMPLE)]))
    if by_picture:
        return _like(found.scores, count)
    spread = math.log(max(count / _SMALL, 1.0)) / 2
    if sense.bias is not None:
        among = math.log(math.sqrt(count) / _BATCH)
        return (among - sense.bias) / sense.scale
    weight = count / (count + _FEW) * (_SHARE if sense.is_measured else 1.0)
    own = _background(found.scores, sense.scale)
    return sense.bound + weight * (own - sense.bound) + spread / sense.scale


def _background(scores: Vectors, scale: float) -> float:
    """The score of even odds."""
    middle, deviation = _bulk(scores)
    best = float(scores.max(initial=-1.0))
    return min(middle + scale * deviation**2 / 2, best)


def _like(scores: Vectors, count: int) -> float:
    """Where no more than one of a normal background is expected: pictures were not taught to tell odds
    of pictures."""
    middle, deviation = _bulk(scores)
    weight = count / (count + _FEW)
    apart = middle + deviation * math.sqrt(2 * math.log(count + 1))
    return min(weight * apart + (1 - weight) * _ALIKE, 0.95)


def _bulk(scores: Vectors) -> tuple[float, float]:
    """The mean and the standard deviation of a normal background that some others lie above."""
    if not len(scores):
        return 0.0, 0.0
    low, middle = np.quantile(scores, [_BELOW, 0.5])
    return float(middle), float(middle - low)
