"""Labelled photos to compare methods on: the pack layout.

Everything becomes a `Pack`; nothing here trains.
"""

from benchmarks.datasets.pack import Pack, UnreadableData, read_folder, training_set, unpacked

__all__ = ["Pack", "UnreadableData", "read_folder", "training_set", "unpacked"]
