"""The listing of a graph: readable, and a formula that means the same."""

from __future__ import annotations

import math

import pytest

import downslope.compiler.functions as fn
from downslope.compiler.functions import floor, isfinite, maximum, sign, sqrt, where
from downslope.compiler.listing import listing
from downslope.compiler.simplify import simplify
from downslope.compiler.trace import trace
from downslope.compiler.transform import arrange
from downslope.formulas import FORMULAS


def parentheses(p, g, v=0, *, t, lr=0.1, k=(2.0,)):
    a = g - (v - p) - (g - v) / (p / v) * (g / (v * p))
    b = (-g) ** 2 + (-(g**2)) + g ** (v**p) + (g**v) ** p + (-0.5) ** g + g**-0.5 + 2 ** (t - 1) * (g + (v + p))
    c = where((g > 0) & (v <= 0) | ~(p == 0), -(0 - a), sign(abs(b) - floor(-b * k[0])))
    return p - lr * maximum(c, a), where(isfinite(c), (a > b) * c, v)


def shared(p, g, v=0, w="lr", x="p", *, lr=0.1):
    g = g + lr * p
    g = g + 1 / (1 - lr)
    p = p - sqrt(g * v) - sqrt(g * v)
    return p, g * v, w * 2, x


def plain(p, g):
    return p - g


EVERY = [parentheses, shared, plain, *FORMULAS.values()]


def again(text: str):
    scope = {**fn.FUNCTIONS, "inf": math.inf, "nan": math.nan}
    exec(text, scope)
    return trace(scope[text[4 : text.index("(")]])


def test_adam_reads_like_its_formula():
    assert (
        listing(trace(FORMULAS["adam"]))
        == """\
def adam(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=0.001, betas=(0.9, 0.999), eps=1e-08):
    # once per step
    beta1 = betas[0]
    beta2 = betas[1]
    c1 = 1 - beta1
    c2 = 1 - beta2
    c3 = 1 - beta1 ** t
    c4 = 1 - beta2 ** t
    # for each element
    exp_avg_2 = beta1 * exp_avg + c1 * g
    exp_avg_sq_2 = beta2 * exp_avg_sq + c2 * g ** 2
    m_hat = exp_avg_2 / c3
    v_hat = exp_avg_sq_2 / c4
    p_2 = p - lr * m_hat / (sqrt(v_hat) + eps)
    return p_2, exp_avg_2, exp_avg_sq_2"""
    )


def test_names_are_unique_and_shared_values_get_one():
    assert (
        listing(trace(shared))
        == """\
def shared(p, g, v=0, w='lr', x='p', *, lr=0.1):
    # once per step
    c1 = 1 / (1 - lr)
    w_2 = w * 2
    # for each element
    g_2 = g + lr * p
    g_3 = g_2 + c1
    v_2 = g_3 * v
    x1 = sqrt(v_2)
    p_2 = p - x1 - x1
    return p_2, v_2, w_2, x"""
    )


@pytest.mark.parametrize("formula", EVERY)
def test_tracing_the_listing_gives_the_same_graph(formula):
    graph = trace(formula)
    assert again(listing(graph)).outputs == graph.outputs


@pytest.mark.parametrize("formula", EVERY)
def test_a_simplified_graph_is_listed_too(formula):
    graph = simplify(trace(formula))
    assert again(listing(graph)).outputs == graph.outputs


def test_names_of_the_listing_stay_clear_of_the_authors():
    def clash(p, g, x1=0, *, c1=0.5):
        sqrt_2 = fn.sqrt(g)
        sqrt = 1 - c1
        sqrt = sqrt * (g * g + x1) * (g * g + x1) * (1 - sqrt_2)
        return p - sqrt, x1

    graph = trace(clash)
    text = listing(graph)
    targets = [line.split(" = ")[0].strip() for line in text.splitlines() if " = " in line]
    assert len(set(targets)) == len(targets)
    assert again(text).outputs == graph.outputs


def test_what_transforms_add_is_listed():
    def descent(p, g, *, lr=0.1):
        return p - lr * g

    assert (
        listing(arrange(trace(descent), frozenset({"decoupled_decay", "clip_norm", "average"})))
        == """\
def descent(p, g, ema='p', *, lr=0.1, weight_decay=0, ema_decay, clip_coef):
    # once per step
    c1 = 1 - lr * weight_decay
    c2 = 1 - ema_decay
    # for each element
    p_2 = p * c1 - lr * (g * clip_coef)
    ema_2 = ema + (p_2 - ema) * c2
    return p_2, ema_2"""
    )
