"""What audits say about a contract, against simulation and against scipy."""

import numpy as np
import pytest
from scipy import integrate, stats

from app.reviews.audit_evidence import (
    FALSE_ALARM,
    error_upper_bound,
    evidence_against,
    is_refuted,
)


@pytest.mark.parametrize(("errors", "audited"), [(0, 0), (0, 40), (1, 1), (3, 50), (40, 400)])
@pytest.mark.parametrize("allowed", [0.01, 0.05, 0.1])
def test_the_evidence_is_the_mean_likelihood_ratio_of_higher_rates(errors, audited, allowed):
    def ratio(rate):
        right = ((1 - rate) / (1 - allowed)) ** (audited - errors)
        return (rate / allowed) ** errors * right

    integral, _ = integrate.quad(ratio, allowed, 1, limit=500, points=[errors / max(audited, 1)])
    assert evidence_against(errors, audited, allowed) == pytest.approx(
        integral / (1 - allowed), rel=1e-6
    )


def test_a_contract_that_holds_is_rarely_ended_however_long_it_is_watched():
    draw, allowed, watched = np.random.default_rng(0), 0.05, 400
    ended = 0
    for wrong in draw.random((600, watched)) < allowed:
        errors = np.cumsum(wrong)
        ended += any(
            is_refuted(int(errors[n]), n + 1, allowed) for n in np.flatnonzero(wrong).tolist()
        )
    # At most 30 of 600 expected; four standard deviations more are 51.
    assert ended <= 51


def test_a_contract_that_does_not_hold_is_soon_ended():
    draw = np.random.default_rng(0)
    taken = []
    for wrong in draw.random((200, 1000)) < 0.15:
        errors = np.cumsum(wrong)
        taken.append(next(n + 1 for n in range(1000) if is_refuted(int(errors[n]), n + 1, 0.05)))
    assert np.median(taken) < 80


def test_one_error_alone_ends_only_a_strict_contract():
    assert not is_refuted(1, 1, 0.05)
    assert is_refuted(1, 1, 0.01)
    assert evidence_against(0, 0, 0.05) == pytest.approx(1)
    assert FALSE_ALARM == 0.05


@pytest.mark.parametrize(("errors", "audited"), [(0, 1), (0, 60), (2, 100), (37, 900), (5, 5)])
def test_the_upper_bound_is_that_of_clopper_and_pearson(errors, audited):
    expected = 1.0 if errors == audited else stats.beta.ppf(0.95, errors + 1, audited - errors)
    assert error_upper_bound(errors, audited) == pytest.approx(expected, abs=1e-9)


def test_without_audits_there_is_no_bound():
    assert error_upper_bound(0, 0) is None
