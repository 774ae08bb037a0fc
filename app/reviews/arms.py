"""The arms: which images are answered without suggestions, and when. Pure functions.

An image's arm follows from a uniform number that was drawn when it arrived, before anything was
known about it, so neither its score nor the order of the queue nor a skip can change it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import TypeVar

from app.core.security import uniform_draw
from app.images.models import Arm

Row = TypeVar("Row")


def arm_of(arm_draw: float, control_rate: float) -> Arm:
    """The arm of an image whose draw, uniform in [0, 1), is `arm_draw`."""
    return Arm.CONTROL if arm_draw < control_rate else Arm.ASSISTED


def arm_probability(arm: Arm, control_rate: float, audit_rate: float = 0.0) -> float:
    """How probable it was that an image got this arm: an audit is for a share of the others."""
    if arm == Arm.CONTROL:
        return control_rate
    return (1.0 - control_rate) * (audit_rate if arm == Arm.AUDIT else 1.0)


def draw_slots(secret: bytes, tokens: Sequence[str], rates: Sequence[float]) -> list[int]:
    """For each of the next images a reviewer gets, the number of the pool it comes from.

    Pool `i` has the probability `rates[i]`, one more pool what is left of 1. One draw for each
    image, so that all kinds are served all the time. `tokens` are fresh random strings; with the
    project's secret nobody can foretell the draws.
    """
    bounds = list(accumulate(rates))
    return [bisect_right(bounds, uniform_draw(secret, "slot", token)) for token in tokens]


def interleave(slots: Sequence[int], pools: Sequence[Iterable[Row]]) -> list[Row]:
    """What was taken from all pools in one order, as drawn; where one is used up, the rest of the
    others follows."""
    queues = [list(pool)[::-1] for pool in pools]
    merged = [queues[slot].pop() for slot in slots if queues[slot]]
    return merged + list(chain.from_iterable(queue[::-1] for queue in queues))
