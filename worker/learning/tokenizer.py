"""A small byte-pair vocabulary in the file format of CLIP's tokenizer, learned from sentences."""

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

Pair = tuple[str, str]
# 256 byte symbols, the same at the end of a word, start and end of text.
FIXED_SYMBOLS = 514


def learn_merges(sentences: Iterable[str], count: int) -> list[Pair]:
    """The `count` most frequent byte pairs, merged one after the other (Sennrich et al., 2016).

    Ties go to the pair that comes first in the alphabet, so that the result is always the same.
    """
    words = Counter(
        word for text in sentences for word in re.findall(r"[a-z]+|[^\sa-z]+", text.lower())
    )
    spelled = {(*word[:-1], f"{word[-1]}</w>"): n for word, n in words.items()}
    merges: list[Pair] = []
    while len(merges) < count:
        pairs: Counter[Pair] = Counter()
        for symbols, n in spelled.items():
            for pair in pairwise(symbols):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = {_merge(symbols, best): n for symbols, n in spelled.items()}
    return merges


def _merge(symbols: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)


def write_merges(path: Path, merges: list[Pair]) -> None:
    """The gzip file that open_clip's SimpleTokenizer reads; equal merges give equal bytes."""
    lines = ["#version: kizu-small", *(" ".join(pair) for pair in merges)]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
