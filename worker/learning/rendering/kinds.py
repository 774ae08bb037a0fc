"""The catalogue of rendered defects: their keys, the words that inspectors use, where they occur.

How they look is painted in `surface_defects.py` and `board_defects.py`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Scene(StrEnum):
    SURFACE = "surface"
    BOARD = "board"


@dataclass(frozen=True)
class Kind:
    """A kind of defect; `phrases` are noun phrases, the most usual one first."""

    key: str
    scene: Scene
    phrases: tuple[str, ...]


def _surface(key: str, *phrases: str) -> Kind:
    return Kind(key, Scene.SURFACE, phrases)


def _board(key: str, *phrases: str) -> Kind:
    return Kind(key, Scene.BOARD, phrases)


CATALOGUE: tuple[Kind, ...] = (
    _surface("scratch", "a scratch", "a long thin scratch", "a scratched surface", "a scuff mark"),
    _surface(
        "crack",
        "a crack",
        "a crack in the surface",
        "a hairline crack",
        "a fracture",
        "a crack in asphalt",
        "a crack in concrete",
    ),
    _surface("dent", "a dent", "a shallow dent", "a ding in the surface", "a deformed spot"),
    _surface("stain", "a stain", "a dirty stain", "an oil stain", "contamination", "a smudge"),
    _surface("rust", "rust", "a rust spot", "corrosion", "an oxidised area"),
    _surface("pit", "a pit", "pitting", "porosity", "small pores", "a pinprick in the coating"),
    _surface("hole", "a hole", "a hole through the part", "a puncture"),
    _surface("bubble", "a bubble", "a blister in the paint", "an air bubble", "a raised blister"),
    _surface(
        "chip", "a chip", "chipped paint", "a flaked off piece", "a broken corner", "a chipped edge"
    ),
    _surface("burr", "a burr", "a rough burr on the edge", "flash on the edge", "excess material"),
    _surface("discoloration", "discoloration", "a faded area", "uneven colour", "a colour change"),
    _surface("missing_part", "a missing part", "a missing component", "a missing screw"),
    _surface(
        "cavity",
        "a pothole",
        "a cavity",
        "a deep cavity",
        "a broken out area",
        "a pothole in the road",
    ),
    _surface("particle", "a foreign particle", "a dust particle", "foreign matter", "an inclusion"),
    _surface("fiber", "a fiber", "a hair on the surface", "lint", "a loose fiber"),
    _surface("wrinkle", "a wrinkle", "a fold", "a crease"),
    _board(
        "open",
        "an open circuit",
        "an open circuit (broken trace)",
        "a broken trace",
        "a cut trace",
        "a gap in a trace",
    ),
    _board(
        "short",
        "a short circuit",
        "a short circuit between traces",
        "a bridge between traces",
        "a solder bridge",
        "two traces touching",
    ),
    _board(
        "mouse_bite",
        "a mouse bite",
        "a mouse bite notch in a trace edge",
        "a notch",
        "a nick in the trace",
        "a notched edge",
    ),
    _board(
        "spur",
        "a spur",
        "a copper spur on a trace",
        "a protrusion on a trace",
        "a bump on the trace edge",
    ),
    _board(
        "island",
        "spurious copper",
        "excess copper",
        "an isolated copper spot",
        "a copper residue",
        "leftover copper",
    ),
    _board(
        "pinhole",
        "a pin hole",
        "a pin hole in the copper",
        "a small hole in the copper",
        "a void in the copper",
    ),
    _board("missing_hole", "a missing hole", "a pad without its hole", "a missing drill hole"),
    _surface("burn", "a burn mark", "a scorch mark", "a burnt area"),
    _surface("peeling", "peeling coating", "a peeled film", "delamination"),
    _surface("spatter", "weld spatter", "metal spatter", "splashes of metal"),
)

# Never rendered by pre-training, so that the demo's photos show something new to kizu-small.
HELD_OUT = frozenset({"burn", "peeling", "spatter"})

KINDS: tuple[Kind, ...] = tuple(kind for kind in CATALOGUE if kind.key not in HELD_OUT)
BY_KEY: dict[str, Kind] = {kind.key: kind for kind in CATALOGUE}
