"""The report's pictures as inline SVG or JPEG data, drawn with matplotlib and Pillow."""

import base64
import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from app.demo.scoring import Reliability

INK, ACCENT, MUTED = "#1f2933", "#0b6e6e", "#9aa5b1"
THUMBNAIL_PIXELS = 220


def learning_curves(curves: Sequence[Sequence[tuple[float, float]]]) -> str:
    """One line per training: (share of the training done, training loss)."""
    figure, axes = _axes("share of training", "loss")
    for number, curve in enumerate(curves, 1):
        colour = ACCENT if number == len(curves) else MUTED
        axes.plot(
            [x for x, _ in curve], [y for _, y in curve], color=colour, label=f"training {number}"
        )
    axes.legend(frameon=False)
    return _svg(figure)


def average_precisions(labels: Sequence[str], rounds: Sequence[dict[str, float | None]]) -> str:
    """Grouped bars: test average precision per label, one bar per training."""
    figure, axes = _axes("", "average precision (test)")
    width = 0.8 / len(rounds)
    for number, values in enumerate(rounds):
        places = [index + number * width for index in range(len(labels))]
        colour = ACCENT if number == len(rounds) - 1 else MUTED
        heights = [values[label] or 0.0 for label in labels]
        axes.bar(places, heights, width, color=colour, label=f"training {number + 1}")
    axes.set_xticks([i + 0.4 - width / 2 for i in range(len(labels))], labels, rotation=20)
    axes.set_ylim(0, 1)
    # Above the axes: bars near 1 would hide it.
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(rounds))
    return _svg(figure)


def reliability_diagram(diagram: Reliability) -> str:
    """Stated confidence against the share that was right; the diagonal is perfect."""
    figure, axes = _axes("stated confidence", "share present")
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--")
    axes.plot(diagram.confidence, diagram.observed, color=ACCENT, marker="o")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _svg(figure)


def thumbnail(content: bytes) -> str:
    """A photo as a small JPEG data address."""
    with Image.open(io.BytesIO(content)) as photo:
        small = photo.convert("RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color="#e4e7eb")
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
