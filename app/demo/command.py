"""`kizu demo`: start a whole Kizu, play the main job through its REST API, and report."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from app.core.config import get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.errors import Invalid
from app.core.processes import Supervised
from app.demo.api import Api
from app.demo.figures import Accepted, Figures
from app.demo.memory import peak_rss_mb
from app.demo.pack import open_pack
from app.demo.people import ASSUMED_SECONDS
from app.demo.report import write_report
from app.demo.story import Script, Story, Team
from app.identity import service as identity
from app.identity.models import Role
from app.identity.permissions import ROLE_PERMISSIONS
from app.stack import Stack, free_port, running_stack
from app.training.promises import PROMISED_SHARES

TEST_SHARE = 0.25
# So that everything fits in the few minutes that a first look may take.
RENDERED_TRAIN_SECONDS = 75.0


@dataclass(frozen=True)
class DemoOptions:
    """`labeled`: share of the photos for training that the inspector labels first."""

    pack: Path | None
    labeled: float
    json_path: Path | None
    report: Path
    data_dir: Path
    seed: int
    images: int
    train_seconds: float | None
    allowed_error: float | None = None

    @property
    def script(self) -> Script:
        usual = RENDERED_TRAIN_SECONDS if self.pack is None else None
        return Script(self.labeled, self.seed, self.train_seconds or usual, self.allowed_error)


def demo(options: DemoOptions) -> None:
    """Tell the whole story once. Raises `Invalid` for options or packs that make no sense."""
    if not 0 < options.labeled < 1:
        raise Invalid("--labeled is a share between 0 and 1, for example 0.05.")
    if options.allowed_error not in {None, *PROMISED_SHARES}:
        shares = ", ".join(map(str, PROMISED_SHARES))
        raise Invalid(f"--accept is the share that may be wrong, one of {shares}.")
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    given = open_pack(options.pack or rendered_pack(options, console))
    pack = given.with_test_photos(options.seed)
    if pack is not given:
        count = len(pack.of_split("test"))
        console.print(f"The pack has no test photos: {count} of {len(pack.photos)} are drawn.")
    settings = get_settings().model_copy(
        update={"data_dir": options.data_dir, "host": "127.0.0.1", "port": free_port()}
    )
    with running_stack(settings, on_crash=_tell_crash(console)) as stack:
        people, link = team(stack)
        console.print(f"Kizu runs on {stack.url}")
        story = Story(people, pack, options.script, console)
        figures = story.play()
        figures.seconds["total"] = round(time.monotonic() - started, 1)
        figures.peak_rss_mb = peak_rss_mb(stack.pids())
        write_report(options.report, figures, story.exhibits())
        if options.json_path is not None:
            options.json_path.write_text(json.dumps(figures.as_json(), indent=2) + "\n")
        print_summary(console, figures, options.report, link)
        if sys.stdout.isatty():
            console.print("Press Ctrl-C to stop.")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()


def rendered_pack(options: DemoOptions, console: Console) -> Path:
    """Photos from seeds and defect kinds that pre-training never saw, made once per seed."""
    folder = options.data_dir / f"rendered-{options.images}-seed{options.seed}"
    if not (folder / "classes.tsv").exists():
        test = max(round(options.images * TEST_SHARE), 1)
        with console.status(f"Rendering {options.images} photos"):
            subprocess.run(
                [
                    *(sys.executable, "-m", "worker.learning.rendering", str(folder)),
                    *("--train", str(options.images - test), "--test", str(test)),
                    *("--seed", str(options.seed)),
                ],
                check=True,
            )
    return folder


def team(stack: Stack) -> tuple[Team, str]:
    """An engineer and an inspector with tokens of their own, and a link to sign in as the first."""
    assert stack.settings.database_url is not None
    engine = make_engine(stack.settings.database_url, pool_size=1)
    apis = {}
    with transaction(make_sessions(engine)) as session:
        for role in (Role.ENGINEER, Role.REVIEWER):
            user = identity.create_user(
                session,
                email=f"{role}-{time.time_ns()}@demo.example",
                display_name=f"Demo {role}",
                role=role,
            )
            _, token = identity.create_token(
                session, user_id=user.id, name="demo", scopes=list(ROLE_PERMISSIONS[role])
            )
            apis[role] = Api(stack.url, token)
            if role is Role.ENGINEER:
                link = identity.create_sign_in_link(session, user_id=user.id)
    engine.dispose()
    return Team(apis[Role.ENGINEER], apis[Role.REVIEWER]), f"{stack.url}/sign-in/{link}"


def print_summary(console: Console, figures: Figures, report: Path, link: str) -> None:
    for name, value in summary(figures).items():
        console.print(f"{name:<20} {value}")
    console.print(f"{'Report':<20} {report.absolute()}")
    console.print(f"{'Web page':<20} {link}")


def summary(figures: Figures) -> dict[str, str]:
    """What the demo achieved, a line each."""
    first, last = figures.rounds[0], figures.rounds[-1]
    lines = {
        "Test mAP": f"{first.map:.3f} → {last.map:.3f}",
        "Pseudo-labels": f"{first.pseudo_labels}, {first.pseudo_label_precision or 0:.1%} right",
        "Review": f"{figures.decisions} decisions on {figures.reviewed} photos, "
        f"{figures.accepted} accepted",
        "Accepted by itself": _accepted(figures.automatic),
        "Labeling time saved": _time_saved(figures.kpis["time_saved"]),
        "  assumed seconds": _listed(ASSUMED_SECONDS),
        "Seconds": _listed(figures.seconds),
        "Peak memory, MB": _listed(figures.peak_rss_mb),
    }
    return {name: value for name, value in lines.items() if value}


def _accepted(automatic: Accepted | None) -> str:
    if automatic is None:
        return ""
    if not automatic.answers:
        return "nothing: the live model can promise too little"
    return (
        f"{automatic.answers} answers on the word of the model, {automatic.wrong} of them wrong "
        f"({automatic.allowed_error:.0%} allowed), {automatic.cleared_images} photos not opened; "
        f"{automatic.audited} answers checked blindly, {automatic.audited_wrong} wrong"
    )


def _time_saved(saved: dict[str, Any] | None) -> str:
    if saved is None:
        return "unknown: no control photo was reviewed"
    low, high = saved["low_hours"], saved["high_hours"]
    interval = "" if low is None else f" (95 % interval {low * 60:.1f} to {high * 60:.1f})"
    return f"{saved['hours'] * 60:.1f} minutes{interval}, a SIMULATION"


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _tell_crash(console: Console) -> Callable[[Supervised, int], None]:
    def tell(child: Supervised, code: int) -> None:
        console.print(f"[red]{child.name} ended with {code} and is started again[/red]")

    return tell
