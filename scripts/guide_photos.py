"""`python -m scripts.guide_photos`: the practice photos of the guide, from Kizu's own renderer.

Each is a JPEG in `app/web/static/guide`, and `answers.json` there says what it shows and where.
"""

import json

import numpy as np
from PIL import Image as Pillow

from app.web.templating import STATIC
from worker.learning.rendering import render_surface

FOLDER = STATIC / "guide"
SIDE, QUALITY, SEED = 480, 82, 27
SHOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("steel", ("scratch",)),
    ("plastic", ()),
    ("painted surface", ("peeling",)),
    ("steel", ("stain",)),
    ("concrete", ("pit",)),
    ("steel", ("scratch", "stain")),
    ("painted surface", ()),
    ("plastic", ("scratch",)),
    ("steel", ("pit", "stain")),
    ("painted surface", ("peeling", "scratch")),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    answers = []
    for number, (surface, kinds) in enumerate(SHOWN, 1):
        rng = np.random.default_rng((SEED, number))
        render = render_surface(rng, SIDE, kinds, severity=1.4, surface=surface)
        name = f"{number:02}.jpg"
        picture = Pillow.fromarray(render.pixels)
        picture.save(FOLDER / name, "JPEG", quality=QUALITY, optimize=True)
        places = {kind: _box(render.masks[kind]) for kind in kinds}
        answers.append({"photo": name, "places": places})
    (FOLDER / "answers.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


def _box(mask: np.ndarray) -> list[float]:
    """Left, top, width and height of what shows, as shares of the photo, with a small margin."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    left, right = columns.min() - 6, columns.max() + 7
    top, bottom = rows.min() - 6, rows.max() + 7
    box = (left / width, top / height, (right - left) / width, (bottom - top) / height)
    return [round(float(min(max(value, 0.0), 1.0)), 3) for value in box]


if __name__ == "__main__":
    main()
