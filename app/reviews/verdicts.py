"""What a verdict on a suggestion says about the label, and the other way round. Pure functions."""

from app.annotations.models import LabelValue
from app.pseudolabels.models import PseudoLabelState
from app.reviews.models import Verdict

OPPOSITE = {LabelValue.PRESENT: LabelValue.ABSENT, LabelValue.ABSENT: LabelValue.PRESENT}
RESULTING_STATE = {
    Verdict.ACCEPT: PseudoLabelState.ACCEPTED,
    Verdict.REJECT: PseudoLabelState.REJECTED,
    Verdict.UNSURE: PseudoLabelState.SUPERSEDED,
}
# What a statement about its label answers.
UNCHECKED = frozenset({PseudoLabelState.PENDING, PseudoLabelState.AUTO_ACCEPTED})


def stated_value(suggested: LabelValue, verdict: Verdict) -> LabelValue:
    """The label's value after a suggestion was accepted or rejected."""
    return suggested if verdict == Verdict.ACCEPT else OPPOSITE[suggested]


def verdict_on(suggested: LabelValue | None, stated: LabelValue) -> Verdict:
    """How a statement answers the suggestion about the same label, shown or hidden."""
    if suggested is None:
        return Verdict.ADD
    if stated == LabelValue.UNSURE:
        return Verdict.UNSURE
    return Verdict.ACCEPT if stated == suggested else Verdict.REJECT
