"""The control arm: which images are reviewed without suggestions. Pure functions.

An image's arm follows from a uniform number that was drawn when it arrived, before anything was
known about it, so neither its score nor the order of the queue nor a skip can change it.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from app.core.security import uniform_draw
from app.images.models import Arm

Row = TypeVar("Row")


def arm_of(arm_draw: float, control_rate: float) -> Arm:
    """The arm of an image whose draw, uniform in [0, 1), is `arm_draw`."""
    return Arm.CONTROL if arm_draw < control_rate else Arm.ASSISTED


def arm_probability(arm: Arm, control_rate: float) -> float:
    """How probable it was that an image got this arm."""
    return control_rate if arm == Arm.CONTROL else 1.0 - control_rate


def draw_slots(secret: bytes, tokens: Sequence[str], rate: float) -> list[bool]:
    """For each of the next images a reviewer gets, whether it comes from the set-apart ones.

    One draw for each, so that both kinds are served all the time and end together. `tokens`
    are fresh random strings; with the project's secret nobody can foretell the draws.
    """
    return [uniform_draw(secret, "slot", token) < rate for token in tokens]


def interleave(slots: Sequence[bool], apart: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    """Both kinds in one order, as drawn; when one is used up, the rest of the other follows."""
    queues = {True: list(apart)[::-1], False: list(others)[::-1]}
    merged = [queues[slot].pop() for slot in slots if queues[slot]]
    return merged + queues[True][::-1] + queues[False][::-1]
