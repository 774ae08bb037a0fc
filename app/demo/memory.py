"""Peak resident memory of running processes, as the Linux kernel counts it."""

from pathlib import Path


def peak_rss_mb(pids: dict[str, list[int]]) -> dict[str, float]:
    """MB (10^6 bytes) at the peak, per named group of processes; the largest process of each."""
    peaks = {name: max(map(_peak_kib, group), default=0) for name, group in pids.items()}
    return {name: round(kib * 1024 / 1e6, 1) for name, kib in peaks.items() if kib}


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) if lines else 0
