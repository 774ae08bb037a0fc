"""The demo's people. They see a pack's hidden truth, and take assumed seconds, not real ones."""

import random
from dataclasses import dataclass

from app.demo.pack import Photo

ASSUMED_SECONDS = {
    "look at a photo": 4.0,
    "name a defect without a suggestion": 2.5,
    "confirm a suggested defect": 0.8,
    "correct a wrong suggestion": 1.8,
}


@dataclass(frozen=True)
class Answer:
    """What a person says about one photo: every label, and the time it took."""

    values: dict[str, str]
    active_seconds: float


class Person:
    """Knows the truth; works at the assumed speed, give or take a fifth."""

    def __init__(self, labels: list[str], seed: int) -> None:
        self._labels = labels
        self._random = random.Random(seed)

    def annotate(self, photo: Photo) -> Answer:
        """Label a photo from nothing: one look, and naming each defect seen."""
        naming = ASSUMED_SECONDS["name a defect without a suggestion"]
        seconds = ASSUMED_SECONDS["look at a photo"] + len(photo.labels) * naming
        return Answer(self.truth(photo), self._varied(seconds))

    def review(self, photo: Photo, suggestions: dict[str, str]) -> Answer:
        """Check what is suggested, and name the defects that no suggestion named.

        As at the review desk, a label that is rightly off takes no key and no time of its own.
        """
        truth = self.truth(photo)
        wrong = sum(truth[label] != value for label, value in suggestions.items())
        confirmed = sum(suggestions.get(label) == "present" for label in photo.labels)
        added = sum(label not in suggestions for label in photo.labels)
        seconds = (
            ASSUMED_SECONDS["look at a photo"]
            + confirmed * ASSUMED_SECONDS["confirm a suggested defect"]
            + wrong * ASSUMED_SECONDS["correct a wrong suggestion"]
            + added * ASSUMED_SECONDS["name a defect without a suggestion"]
        )
        return Answer(truth, self._varied(seconds))

    def truth(self, photo: Photo) -> dict[str, str]:
        return {key: "present" if key in photo.labels else "absent" for key in self._labels}

    def _varied(self, seconds: float) -> float:
        return round(seconds * self._random.uniform(0.8, 1.2), 2)
