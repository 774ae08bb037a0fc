"""The demo's report: one HTML file with every picture inside, readable without Kizu."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.demo import plots
from app.demo.figures import Exhibits, Figures
from app.demo.people import ASSUMED_SECONDS


def write_report(path: Path, figures: Figures, exhibits: Exhibits) -> None:
    templates = Environment(
        loader=PackageLoader("app.demo"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
    )
    page = templates.get_template("report.html.j2").render(
        figures=figures,
        saved=figures.kpis["time_saved"],
        assumed_seconds=ASSUMED_SECONDS,
        pictures=[
            {"file": p.file, "data": plots.thumbnail(p.content), "chips": p.chips}
            for p in exhibits.photos
        ],
        plots={
            "curves": plots.learning_curves(exhibits.curves),
            "precisions": plots.average_precisions(
                list(figures.rounds[0].ap), [each.ap for each in figures.rounds]
            ),
            "reliability": plots.reliability_diagram(exhibits.reliability),
        },
        calibration_error=exhibits.reliability.expected_error,
    )
    path.write_text(page, encoding="utf-8")
