"""What a training has cost so far, kept beside its checkpoints."""

import contextlib
import json
import re
import resource
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from worker.learning.progress import Stage

LEDGER = "ledger.json"


class Ledger:
    """Seconds of each stage and peak memory of a training in `folder`, interruptions included.

    Memory is the resident memory of this process, or on a GPU what torch allocated there, at its
    highest since the ledger was opened or in any earlier run that wrote it.
    """

    def __init__(self, folder: Path, backbone: nn.Module) -> None:
        self._file = folder / LEDGER
        kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._seconds: dict[str, float] = defaultdict(float, kept.get("seconds", {}))
        self._peak = float(kept.get("peak_mb", 0.0))
        self._device = next(backbone.parameters()).device
        self._stage, self._since = Stage.PREPARE, time.perf_counter()
        _forget_peak(self._device)

    def note(self, stage: Stage) -> None:
        """Time since the last note went to the stage before."""
        now = time.perf_counter()
        self._seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now
        self._write()

    def close(self) -> None:
        self.note(self._stage)

    def seconds_of(self, stages: Sequence[Stage]) -> float:
        return sum(self._seconds[stage] for stage in stages)

    @property
    def peak_mb(self) -> float:
        return max(self._peak, _peak_mb(self._device))

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({"seconds": self._seconds, "peak_mb": self.peak_mb}))
        part.replace(self._file)


def _forget_peak(device: torch.device) -> None:
    """Count the peak anew; where the system cannot, it is that of the whole process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 2**10
