"""How many steps of what, and that a time budget is kept."""

import pytest

from worker.learning.plan import (
    Cost,
    Plan,
    TrainingConfig,
    fit_plan,
    learning_rate_share,
    make_plan,
    plan_seconds,
)

CONFIG, COST = TrainingConfig(), Cost(train=0.01, look=0.002)


def test_few_photos_still_get_enough_steps():
    few = make_plan(CONFIG, labeled=20, unlabeled=0, cross_fit=True)
    many = make_plan(CONFIG, labeled=20_000, unlabeled=0, cross_fit=False)
    assert few.warm_up_steps >= 600
    assert many.warm_up_steps <= 2_500
    assert few.fold_steps > 0 == many.fold_steps


def test_without_unlabeled_photos_there_are_no_rounds():
    assert make_plan(CONFIG, labeled=100, unlabeled=0, cross_fit=False).rounds == 0


def test_epochs_decide_when_they_are_given():
    config = TrainingConfig(epochs=3, batch_labeled=10)
    assert make_plan(config, labeled=100, unlabeled=0, cross_fit=False).warm_up_steps == 30


@pytest.mark.parametrize("seconds", [60, 100, 200])
def test_a_plan_fits_its_time(seconds):
    plan = make_plan(CONFIG, labeled=400, unlabeled=4000, cross_fit=True)
    short = fit_plan(plan, COST, CONFIG, seconds)
    assert plan_seconds(plan, COST, CONFIG) > seconds >= plan_seconds(short, COST, CONFIG)


def test_a_plan_that_fits_stays():
    plan = make_plan(CONFIG, labeled=50, unlabeled=10, cross_fit=False)
    assert fit_plan(plan, COST, CONFIG, 1e6) == plan


def test_the_learning_rate_rises_falls_and_starts_again():
    plan = Plan(fold_steps=0, warm_up_steps=100, rounds=2, round_steps=50)
    share = [learning_rate_share(step, plan) for step in range(plan.steps)]
    assert max(share) == pytest.approx(1.0, abs=0.01)
    assert share[0] < 0.1 > share[99]
    assert max(share[100:]) == pytest.approx(0.5, abs=0.01)
    assert share[-1] < 0.02
