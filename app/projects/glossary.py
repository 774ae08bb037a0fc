"""Japanese–English defect terms: the English prompts of a label that has none of its own.

`glossary.tsv` holds a term a line: industry, Japanese spellings and English noun phrases, each
separated by `|`. Spellings are compared after NFKC, in hiragana, without spaces and signs.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).with_name("glossary.tsv")
# Turns of phrase that the shipped backbone has read in its pre-training.
SENTENCES = ("a photo of {phrase}", "an inspection photo showing {phrase}")
# A name such as "割れなし" says that there is no such defect.
ABSENCES = ("なし", "無し", "無", "良品")
_KATAKANA = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}
_SIGNS = re.compile(r"[\s・･/／_\-‐‑–()（）「」、。]+")


@dataclass(frozen=True)
class Term:
    industry: str
    spellings: tuple[str, ...]
    phrases: tuple[str, ...]


@lru_cache(maxsize=1)
def terms() -> tuple[Term, ...]:
    lines = SOURCE.read_text("utf-8").splitlines()
    fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return tuple(
        Term(industry, tuple(spellings.split("|")), tuple(phrases.split("|")))
        for industry, spellings, phrases in fields
    )


def phrases(names: Mapping[str, str]) -> tuple[str, ...]:
    """English noun phrases for what these names name; empty when the glossary has none.

    The Japanese name decides: the whole name, else the longest term within it. Where it says
    nothing, the English name is looked up among the phrases, likewise.
    """
    return _by_japanese(names.get("ja", "")) or _by_english(names.get("en", ""))


def prompts(names: Mapping[str, str]) -> list[str]:
    """Sentences about those phrases, for a model that reads English captions."""
    found = phrases(names)
    return [sentence.format(phrase=phrase) for phrase in found for sentence in SENTENCES]


def normalised(name: str) -> str:
    """One form for full and half width, katakana and hiragana, with and without spaces."""
    plain = unicodedata.normalize("NFKC", name).lower().translate(_KATAKANA)
    return _SIGNS.sub("", plain)


def _by_japanese(name: str) -> tuple[str, ...]:
    known, wanted = _japanese_index(), normalised(name)
    if wanted in known:
        return known[wanted]
    if wanted.endswith(ABSENCES):
        return ()
    within = [spelling for spelling in known if _is_part(spelling, wanted)]
    return known[max(within, key=len)] if within else ()


def _is_part(spelling: str, name: str) -> bool:
    """One character alone means a defect only as the head of a name, which stands last."""
    return spelling in name if len(spelling) > 1 else name.endswith(spelling)


def _by_english(name: str) -> tuple[str, ...]:
    known, wanted = _english_index(), _words(name)
    if wanted in known:
        return known[wanted]
    within = [phrase for phrase in known if f" {phrase} " in f" {wanted} "]
    return known[max(within, key=len)] if within else ()


@lru_cache(maxsize=1)
def _japanese_index() -> dict[str, tuple[str, ...]]:
    index: dict[str, tuple[str, ...]] = {}
    for term in terms():
        for spelling in term.spellings:
            index.setdefault(normalised(spelling), term.phrases)
    return index


@lru_cache(maxsize=1)
def _english_index() -> dict[str, tuple[str, ...]]:
    index: dict[str, tuple[str, ...]] = {}
    for term in terms():
        for phrase in term.phrases:
            index.setdefault(_words(phrase), term.phrases)
    return index


def _words(phrase: str) -> str:
    """An English name as bare small words in the singular, without an article."""
    plain = re.findall(r"[a-z0-9]+", unicodedata.normalize("NFKC", phrase).lower())
    words = plain[1:] if plain[:1] in (["a"], ["an"], ["the"]) else plain
    return " ".join(re.sub(r"(?<=ch|sh|ss)es$|(?<=x)es$|(?<![s])s$", "", word) for word in words)
