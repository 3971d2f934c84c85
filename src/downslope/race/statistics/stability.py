"""From which learning rate on training diverges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Limit(NamedTuple):
    """The learning rate at which half of the trials diverge lies between low and high; `estimate` is its best guess.

    `overlap` says that some trial held above one that diverged, as when other settings matter too."""

    low: float
    high: float
    estimate: float
    overlap: bool


def stability_limit(rates: Sequence[float], diverged: Sequence[bool], level: float = 0.95) -> Limit | None:
    """The stability limit of the learning rate from trials that held and trials that diverged.

    Where the two do not overlap it lies between the largest that held and the smallest that diverged, and the estimate
    is the middle of their logarithms: the rates tried say no more, and it is an interval only where the edge is sharp,
    not where trials on both sides could have gone the other way. Where they do overlap, it is the point of even odds of
    a logistic curve over the logarithm of the rate, with Firth's penalty (1993, Biometrika 80), so that few trials give
    a finite answer; the 95 % interval is the delta method's, cut at the rates that were tried. None without a trial of
    each kind, and where larger rates diverge no more often than smaller ones: then it is not the rate that decides.
    """
    held = [rate for rate, bad in zip(rates, diverged, strict=True) if not bad]
    lost = [rate for rate, bad in zip(rates, diverged) if bad]
    if not held or not lost:
        return None
    if max(held) < min(lost):
        return Limit(max(held), min(lost), math.sqrt(max(held) * min(lost)), False)
    return _logistic(rates, diverged, level)


def _logistic(rates: Sequence[float], diverged: Sequence[bool], level: float) -> Limit | None:
    import numpy as np
    from scipy.special import expit, ndtri

    logs = np.log10(np.asarray(rates, dtype=float))
    x = np.stack([np.ones_like(logs), logs - logs.mean()], 1)
    y = np.asarray(diverged, dtype=float)
    if np.ptp(logs) == 0:
        return None
    beta = np.zeros(2)
    for _ in range(100):  # Newton's steps on the penalised score, each at most one unit long
        p = expit(x @ beta)
        weight = p * (1 - p)
        covariance = np.linalg.inv(x.T * weight @ x)
        leverage = weight * np.einsum("ij,jk,ik->i", x, covariance, x)
        step = covariance @ (x.T @ (y - p + leverage * (0.5 - p)))
        beta += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    if not beta[1] > 0:
        return None
    middle = -beta[0] / beta[1]
    gradient = np.array([1.0, middle]) / beta[1]
    half = float(ndtri((1 + level) / 2)) * math.sqrt(gradient @ covariance @ gradient)
    low, high, estimate = (
        float(10 ** np.clip(logs.mean() + at, logs.min(), logs.max())) for at in (middle - half, middle + half, middle)
    )
    return Limit(low, high, estimate, True)
