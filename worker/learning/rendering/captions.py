"""Sentences about renders, as inspectors write them: what is there, on what, and what is not."""

from collections.abc import Sequence

import numpy as np

from worker.learning.rendering.kinds import BY_KEY, KINDS

_PHOTO = ("a photo of", "an inspection photo of", "a close-up of", "a camera image of", "")
_WITH = ("with", "showing", "that has", "with visible")
_CLEAN = (
    "{photo} {surface} without defects",
    "{photo} {surface}, no defect",
    "{photo} a good {surface}",
    "{photo} flawless {surface}",
    "{photo} {surface}, ok, nothing found",
)
_PROMPTS = (
    "{phrase}",
    "a photo of {phrase}",
    "a photo of a part with {phrase}",
    "{surface} with {phrase}",
    "defect: {phrase}",
    "an inspection photo showing {phrase}",
)
SURFACES = (
    "brushed metal",
    "cast metal",
    "steel",
    "aluminium",
    "painted surface",
    "plastic",
    "fabric",
    "textile",
    "wood",
    "concrete",
    "asphalt",
    "a road",
    "glass",
    "rubber",
    "leather",
    "printed circuit board",
    "copper board",
    "circuit artwork",
    "a printed label",
    "a part",
)


def caption(rng: np.random.Generator, surface: str, kinds: Sequence[str]) -> str:
    """One sentence naming the surface and every kind; some say which kind is absent."""
    photo = _pick(rng, _PHOTO)
    if not kinds:
        return _pick(rng, _CLEAN).format(photo=photo, surface=surface).strip()
    named = [_pick(rng, BY_KEY[key].phrases) for key in rng.permutation(list(kinds))]
    listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + f" and {named[-1]}"
    sentence = f"{photo} {surface} {_pick(rng, _WITH)} {listed}".strip()
    if rng.random() < 0.2:
        sentence += f", but no {_bare(_absent(rng, kinds))}"
    return sentence


def prompt(rng: np.random.Generator, key: str) -> str:
    """One sentence that asks for a kind, as projects write their labels' prompts."""
    phrase = _pick(rng, BY_KEY[key].phrases)
    return _pick(rng, _PROMPTS).format(phrase=phrase, surface=_pick(rng, SURFACES))


def hard_negative(rng: np.random.Generator, surface: str, kinds: Sequence[str]) -> str:
    """A caption that is wrong in one word: one kind of the image exchanged, or one invented."""
    wrong = [key for key in kinds if key != kinds[0]] if kinds else []
    return caption(rng, surface, [*wrong, _absent(rng, kinds)])


def _absent(rng: np.random.Generator, kinds: Sequence[str]) -> str:
    """A kind that the image does not show, from the same sort of scene where there is one."""
    absent = [kind for kind in KINDS if kind.key not in kinds]
    scenes = {BY_KEY[key].scene for key in kinds}
    alike = [kind for kind in absent if kind.scene in scenes]
    return _pick(rng, [kind.key for kind in alike or absent])


def _bare(key: str) -> str:
    return BY_KEY[key].phrases[0].removeprefix("a ").removeprefix("an ")


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
