"""The draws of the control arm."""

from hypothesis import given
from hypothesis import strategies as st

from app.annotations.models import LabelValue
from app.images.models import Arm
from app.reviews.arms import arm_of, arm_probability, draw_slots, interleave
from app.reviews.models import Verdict
from app.reviews.verdicts import stated_value, verdict_on

RATES = st.floats(0, 1)


@given(st.floats(0, 1, exclude_max=True), RATES, RATES)
def test_a_higher_rate_never_moves_an_image_out_of_the_control_arm(draw, rate, other):
    low, high = sorted((rate, other))
    assert not (arm_of(draw, low) == Arm.CONTROL and arm_of(draw, high) == Arm.ASSISTED)


@given(RATES)
def test_the_arms_share_the_probability(rate):
    assert arm_probability(Arm.CONTROL, rate) + arm_probability(Arm.ASSISTED, rate) == 1


def test_an_audit_is_for_a_share_of_what_is_not_in_the_control_arm():
    assert arm_probability(Arm.AUDIT, 0.2, 0.5) == 0.4


def test_slots_come_at_their_rates_and_differ_between_projects():
    tokens = [str(number) for number in range(20_000)]
    slots = draw_slots(b"one", tokens, [0.1, 0.2])
    # Of twenty thousand draws: 2000 ± 200, 4000 ± 270 (4.7 standard deviations).
    assert abs(slots.count(0) - 2000) < 200
    assert abs(slots.count(1) - 4000) < 270
    assert slots.count(0) + slots.count(1) + slots.count(2) == len(tokens)
    assert slots != draw_slots(b"two", tokens, [0.1, 0.2])
    assert slots == draw_slots(b"one", tokens, [0.1, 0.2])


@given(st.lists(st.integers(0, 2)), st.lists(st.lists(st.integers()), min_size=3, max_size=3))
def test_interleaving_loses_nothing_and_keeps_each_order(slots, pools):
    tagged = [[(number, value) for value in pool] for number, pool in enumerate(pools)]
    merged = interleave(slots, tagged)
    assert [[row for row in merged if row[0] == number] for number in range(3)] == tagged


@given(
    st.sampled_from([LabelValue.PRESENT, LabelValue.ABSENT]),
    st.sampled_from([Verdict.ACCEPT, Verdict.REJECT]),
)
def test_a_verdict_can_be_read_back_from_the_value_it_stated(suggested, verdict):
    assert verdict_on(suggested, stated_value(suggested, verdict)) == verdict


def test_unsure_neither_accepts_nor_rejects():
    assert verdict_on(LabelValue.PRESENT, LabelValue.UNSURE) == Verdict.UNSURE
    assert verdict_on(None, LabelValue.PRESENT) == Verdict.ADD
