"""How many steps of what, and that a time budget is kept."""

import dataclasses
import time

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
    few = make_plan(CONFIG, labeled=20, unlabeled=0, committees=1)
    many = make_plan(CONFIG, labeled=20_000, unlabeled=0, committees=0)
    assert few.warm_up_steps >= 600
    assert many.warm_up_steps <= 2_500
    assert few.fold_steps > 0 == many.fold_steps


def test_without_unlabeled_photos_there_are_no_rounds():
    assert make_plan(CONFIG, labeled=100, unlabeled=0, committees=0).rounds == 0


def test_epochs_decide_when_they_are_given():
    config = TrainingConfig(epochs=3, batch_labeled=10)
    assert make_plan(config, labeled=100, unlabeled=0, committees=0).warm_up_steps == 30


def budget(seconds):
    return dataclasses.replace(CONFIG, time_budget_seconds=seconds)


@pytest.mark.parametrize("seconds", [60, 100, 180])
def test_a_plan_fits_its_time(seconds):
    plan = make_plan(CONFIG, labeled=400, unlabeled=4000, committees=1)
    short = fit_plan(plan, COST, budget(seconds), needed=1)
    assert plan_seconds(plan, COST, CONFIG) > seconds >= plan_seconds(short, COST, CONFIG)
    assert short.fold_steps > 0


def test_a_plan_that_fits_stays():
    plan = make_plan(CONFIG, labeled=50, unlabeled=10, committees=2)
    assert fit_plan(plan, COST, budget(1e6), needed=0) == plan


def test_rounds_are_given_up_first():
    plan = make_plan(CONFIG, labeled=140, unlabeled=1300, committees=3)
    assert plan.rounds == 10
    for rounds in (7, 3):
        fewer = dataclasses.replace(plan, rounds=rounds)
        seconds = plan_seconds(fewer, COST, CONFIG)
        assert fit_plan(plan, COST, budget(seconds), needed=0) == fewer
    short = fit_plan(plan, COST, budget(0.8 * seconds), needed=0)
    assert (short.rounds, short.committees) == (3, 3)
    assert short.warm_up_steps == pytest.approx(0.8 * plan.warm_up_steps, rel=0.01)


def test_then_what_only_chooses():
    plan = make_plan(CONFIG, labeled=50, unlabeled=16_000, committees=2)
    assert plan.rounds == 3
    seconds = plan_seconds(plan, COST, CONFIG)
    alone = fit_plan(plan, COST, budget(0.65 * seconds), needed=0)
    assert (alone.committees, alone.fold_steps) == (0, 0)
    needed = fit_plan(plan, COST, budget(0.65 * seconds), needed=1)
    assert needed.committees == 1
    assert 0 < needed.fold_steps <= plan.fold_steps


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "rounds"),
    [(50, 100, 10), (50, 4000, 4), (200, 4000, 6), (400, 4000, 10), (50, 10**6, 3)],
)
def test_rounds_take_no_more_steps_than_came_before_them(labeled, unlabeled, rounds):
    plan = make_plan(CONFIG, labeled=labeled, unlabeled=unlabeled, committees=0)
    assert plan.rounds == rounds
    assert rounds * plan.round_steps <= plan.warm_up_steps or rounds == 3


@pytest.mark.parametrize("labeled", [50, 400])
def test_more_rounds_are_not_tried_for_longer(labeled):
    plan = make_plan(CONFIG, labeled=labeled, unlabeled=4000, committees=2)
    part = plan.of_part_with_rounds
    assert part.warm_up_steps == plan.fold_steps
    assert part.rounds * part.round_steps == pytest.approx(plan.round_steps, rel=0.02)


def test_the_learning_rate_rises_falls_and_starts_again():
    plan = Plan(fold_steps=0, warm_up_steps=100, rounds=2, round_steps=50)
    share = [learning_rate_share(step, plan) for step in range(plan.steps)]
    assert max(share) == pytest.approx(1.0, abs=0.01)
    assert share[0] < 0.1 > share[99]
    assert max(share[100:]) == pytest.approx(1.0, abs=0.01)
    assert share[-1] < 0.02


@pytest.mark.parametrize("slow", [[0], [0, 1, 2]])
def test_calls_that_warm_up_or_are_held_up_are_not_what_a_photo_costs(slow):
    waits = iter([0.2 if number in slow else 0.0 for number in range(4)] * 2)
    cost = Cost.measured(lambda: time.sleep(next(waits)), lambda: time.sleep(next(waits)), photos=2)
    assert max(cost.train, cost.look) < 0.05
