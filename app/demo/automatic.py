"""The third stage: confident answers are accepted without a person, and some checked blindly."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from app.demo.api import Api
from app.demo.figures import Accepted

POLL_SECONDS = 1.0
# The sweep applies contracts in its own time.
SETTLED_AFTER_SECONDS = 45.0
CHECKED_AT_ONCE = 20


def accept(engineer: Api, project_path: str, labels: Iterable[str], allowed_error: float) -> int:
    """Switch the stage, agree on every label, and wait; returns how many answers were accepted."""
    engineer.patch(project_path, {"stage": "auto"}, if_match="*")
    for label in labels:
        engineer.put(f"{project_path}/labels/{label}/acceptance", {"allowed_error": allowed_error})
    return _settled(engineer, project_path)


def _settled(engineer: Api, project_path: str) -> int:
    """The count once it has not changed for longer than a sweep takes to come."""
    accepted, since = -1, time.monotonic()
    while time.monotonic() - since < SETTLED_AFTER_SECONDS:
        found = sum(one["accepted"] for one in _labels(engineer, project_path))
        if found != accepted:
            accepted, since = found, time.monotonic()
        time.sleep(POLL_SECONDS)
    return accepted


def check(inspector: Api, project_path: str, answer: Callable[[dict[str, Any]], None]) -> None:
    """Answer what is drawn for checks, without suggestions, until nothing of it waits."""
    path, wanted = f"{project_path}/reviews/leases", {"count": CHECKED_AT_ONCE, "order": "audit"}
    while leases := inspector.post(path, wanted)["items"]:
        for lease in leases:
            answer(lease)
        if all(lease["arm"] != "audit" for lease in leases):
            return


def outcome(
    engineer: Api, project_path: str, accepted: int, wrong: int, allowed_error: float
) -> Accepted:
    """What the checks say, beside what was `wrong` indeed."""
    labels = _labels(engineer, project_path)
    kpis = engineer.get(f"{project_path}/kpis")
    return Accepted(
        allowed_error=allowed_error,
        answers=accepted,
        wrong=wrong,
        audited=sum(one["audit"]["audited"] for one in labels),
        audited_wrong=sum(one["audit"]["errors"] for one in labels),
        ended=[one["label"] for one in labels if one["end"] == "breached"],
        cleared_images=kpis["time_saved"]["auto_accepted_images"] if kpis["time_saved"] else 0,
    )


def _labels(engineer: Api, project_path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engineer.get(f"{project_path}/acceptance")["labels"]
    return found
