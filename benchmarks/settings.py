"""What a command line may change of a training's configuration, and how its progress is shown."""

import argparse
import dataclasses
import json
import sys
from typing import Any, get_args, get_type_hints

from worker.learning.plan import TrainingConfig
from worker.learning.progress import Progress


def change(assignment: str) -> tuple[str, Any]:
    """`NAME=JSON` as a field of `TrainingConfig` and its value, for argparse."""
    name, _, text = assignment.partition("=")
    fields = {field.name: field.default for field in dataclasses.fields(TrainingConfig)}
    if name not in fields or name == "augmentation":
        raise argparse.ArgumentTypeError(f"no setting is called {name!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        message = f"{assignment}: what follows the = is not JSON"
        raise argparse.ArgumentTypeError(message) from None
    return name, _fitting(name, value, fields[name])


def _fitting(name: str, value: Any, default: Any) -> Any:
    """The value as the setting's type; those that are None by default take numbers or answers."""
    if isinstance(default, str):
        return type(default)(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if default is None:
        is_answer = bool in get_args(get_type_hints(TrainingConfig)[name])
        of_kind = isinstance(value, bool) if is_answer else number or isinstance(value, list)
        fits = of_kind or value is None
    elif isinstance(default, float):
        fits = number
    else:
        fits = type(value) is type(default)
    if not fits:
        raise argparse.ArgumentTypeError(f"{name} cannot be {json.dumps(value)}")
    return tuple(value) if isinstance(value, list) else value


def show(progress: Progress) -> None:
    """One line on standard error, written over the one before."""
    metrics = " ".join(f"{name} {value:.3f}" for name, value in progress.metrics.items())
    line = f"{progress.stage} {progress.fraction:.1%}, {progress.eta_seconds:.0f} s left {metrics}"
    print(f"\r{line:<100}", end="", file=sys.stderr)
