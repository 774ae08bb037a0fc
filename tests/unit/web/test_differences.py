"""Differences and the gate's verdicts, as people read them in both languages."""

import re
from types import SimpleNamespace
from uuid import UUID

import pytest

from app.projects.models import Label
from app.training import gate
from app.training.gate import Comparison
from app.web.languages import Language
from app.web.templating import environment

SCRATCH, DENT = UUID(int=1), UUID(int=2)
LABELS = [
    Label(id=SCRATCH, key="scratch", names={"en": "Scratch", "ja": "傷"}, colour="#d00"),
    Label(id=DENT, key="dent", names={"en": "Dent", "ja": "へこみ"}, colour="#0d0"),
]


def words(macro, *given, language=Language.ENGLISH):
    """What a macro of the template says, without its tags."""
    module = environment(language).get_template("differences.html").module
    text = re.sub(r"<[^>]+>", " ", str(getattr(module, macro)(*given)))
    return re.sub(r"\s+", " ", text).replace("( ", "(").replace(" )", ")").strip()


def version(document, state="candidate"):
    return SimpleNamespace(gate=document, state=state)


def judged(guarded=(SCRATCH, DENT), **comparisons):
    ids = {"scratch": str(SCRATCH), "dent": str(DENT)}
    return gate.judge(
        {ids[key]: one for key, one in comparisons.items()},
        guarded={str(one) for one in guarded},
        margin=0.05,
        against=2,
    )


@pytest.mark.parametrize(
    ("difference", "low", "high", "english", "japanese"),
    [
        (0.031, 0.005, 0.057, "3.1 points better (between 0.5 and 5.7 better)", "3.1 ポイント良い"),
        (-0.02, -0.04, -0.01, "2.0 points worse (between 1.0 and 4.0 worse)", "1.0～4.0 悪い"),
        (0.004, -0.012, 0.02, "0.4 points better (between 1.2 worse and 2.0 better)", "1.2 悪い～"),
        (-0.0002, -0.01, 0.01, "no different (between 1.0 worse and 1.0 better)", "差なし"),
        (0.1, None, None, "10.0 points better", "10.0 ポイント良い"),
    ],
)
def test_a_difference_is_a_sentence(difference, low, high, english, japanese):
    found = {"difference": difference, "low": low, "high": high}
    assert words("difference", found) == english
    assert japanese in words("difference", found, language=Language.JAPANESE)


@pytest.mark.parametrize(
    ("comparison", "guarded", "english"),
    [
        (Comparison(20, 0.1, 0.05, 0.2), True, "Passes not worse in 95 of 100 draws"),
        (Comparison(20, 0, -0.04, 0.1), True, "Passes at worst 4.0 points worse; 5.0 are allowed"),
        (
            Comparison(20, -0.1, -0.2, 0.1),
            True,
            "Does not pass it may be 20.0 points worse; 5.0 are allowed",
        ),
        (Comparison(9, 0.1, 0.05, 0.2), True, "Not judged 9 photos show it; it takes 10"),
        (Comparison(20, 0.1, 0.05, 0.2), False, "Reported only the gate does not guard this label"),
    ],
)
def test_each_verdict_says_why(comparison, guarded, english):
    document = judged(guarded=[SCRATCH] if guarded else [], scratch=comparison)
    assert words("verdict", document["labels"][str(SCRATCH)], document["margin"]) == english


def test_a_version_that_does_not_pass_names_the_labels():
    document = judged(scratch=Comparison(20, 0.1, 0.05, 0.2), dent=Comparison(20, -0.1, -0.2, 0.1))
    said = words("gate_notice", version(document), LABELS)
    assert "Gate not passed It may be worse than version 2 on: Dent" in said
    assert "Scratch" not in said
    assert "unless a person decides so" in said
    live = words("gate_notice", version(document, "live"), LABELS)
    assert "A person made it live all the same." in live
    japanese = words("gate_notice", version(document), LABELS, language=Language.JAPANESE)
    assert "版 2 に劣るおそれがあるラベル：へこみ。" in japanese
    table = words("gate_card", version(document), LABELS)
    assert "Scratch 10.0 points better (between 5.0 and 20.0 better) Passes" in table


def test_a_label_that_the_other_version_did_not_know_has_nothing_to_beat():
    document = judged(scratch=Comparison(20, 0.1, 0.05, 0.2))
    assert "Dent new in this version: nothing to beat" in words(
        "gate_card", version(document), LABELS
    )


@pytest.mark.parametrize(
    ("document", "english", "japanese"),
    [
        (gate.first_version(), "It was the first version", "最初の版なので"),
        (
            gate.not_compared(
                "Version 4 went live while it was trained, so the two were not compared.",
                against=4,
            ),
            "the two were not compared; a person decides",
            "学習中に版 4 が稼働したため",
        ),
        (gate.not_compared("As planted.", against=4), "As planted.", "As planted."),
        ({}, "Nothing was compared.", "比較はしていません。"),
    ],
)
def test_what_was_not_compared_says_why_and_has_no_table(document, english, japanese):
    assert english in words("gate_notice", version(document), LABELS)
    assert japanese in words("gate_notice", version(document), LABELS, language=Language.JAPANESE)
    assert words("gate_card", version(document), LABELS) == ""
