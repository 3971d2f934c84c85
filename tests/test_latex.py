"""Formulas printed as LaTeX: as a paper writes them, every one of them, each symbol with one meaning."""

from __future__ import annotations

import re

import pytest

from downslope.backends.latex import TABLE, latex
from downslope.backends.notation import spelled
from downslope.compiler.functions import FUNCTIONS, abs, sign, sqrt, where
from downslope.compiler.graph import Graph, node, tensor
from downslope.compiler.ops import OPS
from downslope.compiler.simplify import simplify
from downslope.compiler.trace import trace
from downslope.compiler.transform import TRANSFORMS, arrange
from downslope.formulas import FORMULAS


def lines(graph: Graph) -> list[str]:
    first, *body, last = latex(graph).split("\n")
    assert (first, last) == (r"\begin{aligned}", r"\end{aligned}")
    return [line.removesuffix(r" \\[6pt]") for line in body]


def right(function) -> str:
    """The right side of the last line, the new p."""
    return lines(trace(function))[-1].removeprefix(r"\theta_t &= ")


GOLDEN = {
    "sgd": [r"\theta_t &= \theta_{t-1} - \eta g_t"],
    "adam": [
        r"m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t",
        r"v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2",
        r"\hat{m}_t &= \frac{m_t}{1 - \beta_1^t}",
        r"\hat{v}_t &= \frac{v_t}{1 - \beta_2^t}",
        r"\theta_t &= \theta_{t-1} - \frac{\eta \hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}",
    ],
    "lion": [
        r"u_t &= \operatorname{sign}\bigl(\beta_1 m_{t-1} + (1 - \beta_1) g_t\bigr)",
        r"m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t",
        r"\theta_t &= \theta_{t-1} - \eta (u_t + \lambda \theta_{t-1})",
    ],
    "radam": [
        r"m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t",
        r"v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2",
        r"\rho_\infty &= \frac{2}{1 - \beta_2} - 1",
        r"\rho_t &= \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}",
        r"\ell_t &= \max(\rho_t, 5)",
        r"\ell_\infty &= \max(\rho_\infty, 5)",
        r"r_t &= \sqrt{\frac{(\ell_t - 4) (\ell_t - 2) \ell_\infty}{(\ell_\infty - 4) (\ell_\infty - 2) \ell_t}}",
        r"\alpha_t &= \begin{cases} \dfrac{r_t \sqrt{1 - \beta_2^t}}{\sqrt{v_t} + \epsilon} & \text{if } \rho_t > 5"
        r" \\ 1 & \text{otherwise} \end{cases}",
        r"\theta_t &= \theta_{t-1} - \frac{\eta m_t}{1 - \beta_1^t} \alpha_t",
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_reads_as_in_the_paper(name):
    assert lines(trace(FORMULAS[name])) == GOLDEN[name]


def assert_sound(text: list[str]) -> None:
    """Braces close, no two lines define one symbol, and no line of another's symbol comes before it."""
    defined = [line.split(" &= ")[0] for line in text]
    assert len(set(defined)) == len(defined)
    for i, line in enumerate(text):
        bare = line.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}") and bare.count("(") == bare.count(")"), line
        assert len(re.findall(r"\\(?:left|bigl)\b", line)) == len(re.findall(r"\\(?:right|bigr)\b", line)), line
        for later in defined[i:]:
            uses = re.split(rf"(?<![\w{{]){re.escape(later)}(?![\w'^}}])", line.split(" &= ", 1)[1])
            assert len(uses) == 1, f"{line} uses {later} before its line"


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_prints(name):
    assert_sound(lines(trace(FORMULAS[name])))


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_prints_with_transforms_and_simplified(name):
    graph = trace(FORMULAS[name])
    decays = {"coupled_decay", "decoupled_decay"} if "weight_decay" in graph.settings else set()
    everything = frozenset(TRANSFORMS) - decays
    assert_sound(lines(simplify(arrange(graph, everything))))


@pytest.mark.parametrize("op", OPS)
def test_every_operation_prints(op):
    assert op in TABLE or op in ("mul", "pow", "where")
    value = node(op, *[tensor("g")] * OPS[op].arity)
    assert_sound(lines(Graph("f", {}, {}, False, {"p": node("add", tensor("p"), value)})))


def moments(g: str) -> list[str]:
    """Adam's averages of a gradient and of its square."""
    square = f"({g})^2" if "'" in g else f"{g}^2"
    return [rf"m_t &= \beta_1 m_{{t-1}} + (1 - \beta_1) {g}", rf"v_t &= \beta_2 v_{{t-1}} + (1 - \beta_2) {square}"]


AVERAGE = r"\bar{\theta}_t &= \bar{\theta}_{t-1} + (\theta_t - \bar{\theta}_{t-1}) (1 - \beta_{\mathrm{ema}})"
AROUND = {
    ("adam", "coupled_decay"): [r"g'_t &= g_t + \lambda \theta_{t-1}", *moments("g'_t"), *GOLDEN["adam"][2:]],
    ("adam", "clip_norm"): [r"g'_t &= c g_t", *moments("g'_t"), *GOLDEN["adam"][2:]],
    ("adam", "maximize average"): [r"g'_t &= -g_t", *moments("g'_t"), *GOLDEN["adam"][2:], AVERAGE],
    ("adam", "coupled_decay maximize clip_value clip_norm unscale"): [
        r"g'_t &= -\operatorname{clip}(c S^{-1} g_t, -\kappa, \kappa) + \lambda \theta_{t-1}",
        *moments("g'_t"),
        *GOLDEN["adam"][2:],
    ],
    ("adam", "decoupled_decay"): [
        *moments("g_t"),
        *GOLDEN["adam"][2:4],
        GOLDEN["adam"][4].replace(r"\theta_{t-1} -", r"\theta_{t-1} (1 - \eta \lambda) -"),
    ],
    ("sgd", "clip_norm decoupled_decay"): [r"\theta_t &= \theta_{t-1} (1 - \eta \lambda) - \eta c g_t"],
    ("nag", "maximize"): [
        r"v_t &= \mu v_{t-1} + \eta (-g_t)",
        r"\theta_t &= \theta_{t-1} - \eta (-g_t) - \mu v_t",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name, transforms", AROUND)
def test_a_changed_gradient_is_named_where_it_is_shared(name, transforms):
    assert lines(arrange(trace(FORMULAS[name]), frozenset(transforms.split()))) == AROUND[name, transforms]


def test_a_state_keeps_the_changed_gradient_of_the_step_before():
    text = lines(arrange(trace(FORMULAS["adan"]), frozenset({"clip_norm"})))
    assert text[0] == r"g'_t &= c g_t"
    assert r"g'_t - g'_{t-1}" in text[1]
    assert not any("prev" in line for line in text)


S, P, G = r"\sqrt", r"\theta_{t-1}", "g_t"
EXPRESSIONS = {
    "p - (g - p)": f"{P} - ({G} - {P})",
    "p + (g + p)": f"{P} + {G} + {P}",
    "p + -g": f"{P} - {G}",
    "p - -g": f"{P} - (-{G})",
    "p + -2 * g": f"{P} - 2 {G}",
    "-g * p": f"-{G} {P}",
    "g * -1": f"-{G}",
    "p + g * g": f"{P} + {G}^2",
    "g * 3": f"3 {G}",
    "2 * (3 * g)": rf"2 \cdot 3 {G}",
    "(g - p) * g": f"({G} - {P}) {G}",
    "-(g + p)": f"-({G} + {P})",
    "g / (p / g)": rf"\frac{{{G}}}{{{P} / {G}}}",
    "(g / p * p) / g": rf"\frac{{{G}}}{{{P}}} \frac{{{P}}}{{{G}}}",
    "1 / sqrt(g / (2 * p))": rf"\frac{{1}}{{\sqrt{{{G} / (2 {P})}}}}",
    "1 / (g / p * p)": rf"\frac{{1}}{{({G} / {P}) {P}}}",
    "(g / p) ** 2": rf"\left(\frac{{{G}}}{{{P}}}\right)^2",
    "(-g) ** 2": f"(-{G})^2",
    "-(g**2)": f"-{G}^2",
    "sqrt(g) ** 3": rf"(\sqrt{{{G}}})^3",
    "g ** 0.5": rf"\sqrt{{{G}}}",
    "g ** -0.5": rf"\frac{{1}}{{\sqrt{{{G}}}}}",
    "g ** -1": rf"\frac{{1}}{{{G}}}",
    "g ** -2": f"{G}^{{-2}}",
    "g ** 0.25": f"{G}^{{1/4}}",
    "g ** (1 / 3)": f"{G}^{{1/3}}",
    "p / (g * (1 / 3))": rf"\frac{{{P}}}{{(1/3) {G}}}",
    "g * (1 / 3)": rf"\frac{{1}}{{3}} {G}",
    "g + 1e-8": f"{G} + 10^{{-8}}",
    "g * 2.5e-7": rf"2.5 \cdot 10^{{-7}} {G}",
    "g + float('inf')": rf"{G} + \infty",
    "abs(g) * floor(g / 2)": rf"\lvert {G} \rvert \left\lfloor \frac{{{G}}}{{2}} \right\rfloor",
    "maximum(g, p) - minimum(g, 0)": rf"\max({G}, {P}) - \min({G}, 0)",
    "minimum(maximum(g, 0), 1)": rf"\operatorname{{clip}}({G}, 0, 1)",
    "exp(-(g - p) * p)": rf"\exp\bigl(-({G} - {P}) {P}\bigr)",
    "(g > 0) * p": f"[{G} > 0] {P}",
    "where((g > 0) & ((p == 0) | ~(g < p)), g, where(g < 0, p, 1))":
        rf"\begin{{cases}} {G} & \text{{if }} {G} > 0 \land \bigl({P} = 0 \lor \neg ({G} < {P})\bigr)"
        rf" \\ {P} & \text{{if }} {G} < 0 \\ 1 & \text{{otherwise}} \end{{cases}}",
}  # fmt: skip


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_no_more_parentheses_than_needed(source):
    scope = dict(FUNCTIONS)
    exec(f"def formula(p, g): return {source}", scope)
    assert right(scope["formula"]) == EXPRESSIONS[source]


NAMES = {
    "exp_avg_hat": r"\hat{m}", "weird_name": r"\mathrm{weird}_{\mathrm{name}}", "beta1": r"\beta_1", "nus[1]": r"\nu_2",
    "rho_t": r"\rho", "rho_inf": r"\rho_\infty", "weird_hat": r"\widehat{\mathrm{weird}}", "β2": r"\beta_2",
    "λ": r"\lambda", "Δ": r"\Delta", "max_x": r"x^{\max}", "x_prev": r"x^{\mathrm{prev}}",
    "state12": r"\mathrm{state}_{12}",
    "mu_next": r"\mu_{t+1}", "_": "x", "d_p": "d_p",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_becomes_a_symbol(name):
    assert str(spelled(name)) == NAMES[name]


def test_values_of_the_same_name_and_letter_stay_apart():
    def f(p, g, v=0, exp_avg_sq=0, velocity=0, *, lr=0.1, eta=0.9):
        g = g + eta * p
        g = g * lr
        v_t = v * g
        v = v + v_t
        return p - v, v, exp_avg_sq + g, velocity + g

    assert lines(trace(f)) == [
        r"g'_t &= g_t + \eta \theta_{t-1}",
        r"g''_t &= \gamma g'_t",
        r"v'_t &= v_{t-1} g''_t",
        r"v_t &= v_{t-1} + v'_t",
        r"s_t &= s_{t-1} + g''_t",
        r"u_t &= u_{t-1} + g''_t",
        r"\theta_t &= \theta_{t-1} - v_t",
    ]


def test_states_that_take_over_a_value():
    def f(p, g, last=0, kept=0, twin=0, zero=0, m=0):
        m = m + g
        return p - m * (g - last), g, kept, m, 0, m

    assert lines(trace(f)) == [
        r"m_t &= m_{t-1} + g_t",
        r"\theta_t &= \theta_{t-1} - m_t (g_t - g_{t-1})",
        r"\mathrm{kept}_t &= \mathrm{kept}_{t-1}",
        r"\mathrm{twin}_t &= m_t",
        r"\mathrm{zero}_t &= 0",
    ]


def test_what_is_long_and_repeated_or_branches_gets_a_letter():
    def f(p, g, *, lr=0.1):
        return p - lr * sqrt(abs(g * p - sign(g) * p)) - where(g > 0, sqrt(abs(g * p - sign(g) * p)), p)

    assert lines(trace(f)) == [
        r"u_t &= \sqrt{\bigl\lvert g_t \theta_{t-1} - \operatorname{sign}(g_t) \theta_{t-1} \bigr\rvert}",
        r"w_t &= \begin{cases} u_t & \text{if } g_t > 0 \\ \theta_{t-1} & \text{otherwise} \end{cases}",
        r"\theta_t &= \theta_{t-1} - \eta u_t - w_t",
    ]
