"""What audits say about accepted answers: is more of it wrong than allowed? Pure functions."""

import math

# The chance that a contract which holds is ever ended by its audits.
FALSE_ALARM = 0.05
CONFIDENCE = 0.95
_BISECTIONS = 50


def evidence_against(errors: int, audited: int, allowed: float) -> float:
    """How strongly the audits of a version speak against "at most a share `allowed` is wrong".

    The likelihood ratio of every higher rate, equally likely beforehand, to the allowed one. It
    starts at 1 and is a supermartingale as long as no more is wrong than allowed, so that it ever
    exceeds 1 / a with a chance of at most a, however long it is watched (Ville, 1939; mixture of
    likelihood ratios: Robbins, Annals of Mathematical Statistics 1970).
    """
    beyond = _log_at_most(errors, audited + 1, allowed) - math.log(audited + 1)
    higher = beyond - _log_choose(audited, errors) - math.log1p(-allowed)
    same = errors * math.log(allowed) + (audited - errors) * math.log1p(-allowed)
    return math.exp(min(higher - same, 700.0))


def is_refuted(errors: int, audited: int, allowed: float) -> bool:
    return evidence_against(errors, audited, allowed) >= 1 / FALSE_ALARM


def error_upper_bound(errors: int, audited: int) -> float | None:
    """Clopper-Pearson: at most this share is wrong, with 95 % confidence; None without audits."""
    if audited == 0:
        return None
    if errors == audited:
        return 1.0
    low, high = errors / audited, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_low = _log_at_most(errors, audited, middle) > math.log(1 - CONFIDENCE)
        low, high = (middle, high) if is_low else (low, middle)
    return high


def _log_at_most(successes: int, trials: int, rate: float) -> float:
    """Of the binomial distribution's chance of so many successes at most; 0 < rate < 1."""
    terms = [
        _log_choose(trials, k) + k * math.log(rate) + (trials - k) * math.log1p(-rate)
        for k in range(successes + 1)
    ]
    most = max(terms)
    return most + math.log(sum(math.exp(term - most) for term in terms))


def _log_choose(trials: int, successes: int) -> float:
    return (
        math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    )
