"""Every formula, called directly, against somebody else's optimizer, and against its own graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from downslope.compiler.formula import read
from downslope.compiler.graph import Graph, walk
from downslope.compiler.ops import EVERY
from downslope.compiler.shapes import sizes
from downslope.compiler.trace import trace
from downslope.formulas import FORMULAS
from reference import Reference
from references import CASES, REFERENCES

STEPS = 50
SCALAR_STATES = {
    "nadam": ("mu_product",),
    "asgd": ("eta", "mu"),
    "schedule_free_sgd": ("weight_sum", "lr_max"),
    "schedule_free_adamw": ("weight_sum", "lr_max"),
    "laprop": ("exp_avg_lr",),
    "adabound": ("base_lr",),
    "amsbound": ("base_lr",),
    "novograd": ("exp_avg_sq",),
    "adamnorm": ("exp_grad_norm",),
    "adam_mini_vector": ("vmean",),
    "dog": ("rbar", "grad_sum"),
    "ldog": ("rbar", "grad_sum"),
    "dadapt_sgd": ("numerator_weighted", "d", "g0_norm"),
    "dadapt_adam": ("numerator_weighted", "d"),
    "prodigy": ("d", "d_numerator"),
    "kron": ("waited",),
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def gradients(shape: tuple[int, ...], smooth: bool = False) -> list[torch.Tensor]:
    """Changing signs, seven decades of sizes; a third of the entries 0, some of them always, some only at first."""
    generator = torch.Generator().manual_seed(7)
    if smooth:
        return list(torch.randn(STEPS, *shape, generator=generator))
    size = 10 ** torch.empty(shape).uniform_(-5, 2, generator=generator)
    stream = size * torch.randn(STEPS, *shape, generator=generator)
    stream[torch.rand(stream.shape, generator=generator) < 0.2] = 0
    if shape:
        stream[:, ..., 0] = 0
        stream[:10, ..., 1] = 0
        stream[:, ..., 2] = stream[:, ..., 2].abs()  # one sign
    return list(stream)


def starts(graph: Graph, settings: dict[str, Any], p: torch.Tensor) -> dict[str, Any]:
    found = {}
    for name, start in graph.states.items():
        size = sizes(graph.shape(name), p.shape)
        value = settings.get(start, start)
        if start == "p":
            found[name] = p
        elif start == "identity":
            found[name] = torch.eye(*size)
        else:
            found[name] = value if name in graph.scalar_states else torch.full(size, value)
    return found


def run(
    function: Callable[..., Any], settings: dict[str, Any], p: torch.Tensor, smooth: bool = False
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """p and the states after each step."""
    graph, formula = trace(function), read(function)
    settings = formula.settings | settings
    states = starts(graph, settings, p)
    for t, g in enumerate(gradients(tuple(p.shape), smooth), start=1):
        result = function(p, g, *states.values(), **settings, **({"t": t} if formula.counts else {}))
        p, *new = result if isinstance(result, tuple) else (result,)
        states = dict(zip(states, new))
        yield p, states


def start_point(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def close(ours: Any, theirs: Any, what: str, rtol: float = 1e-12) -> None:
    """Equal but for the rounding of another order of operations."""
    torch.testing.assert_close(
        torch.as_tensor(ours), torch.as_tensor(theirs), rtol=rtol, atol=rtol / 100, msg=lambda m: f"{what}: {m}"
    )


def named(case: tuple[Reference, dict[str, Any]]) -> str:
    reference, settings = case
    return "-".join([reference.formula, *(f"{key}={value}".replace(" ", "") for key, value in settings.items())])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_equals_the_reference(case: tuple[Reference, dict[str, Any]]) -> None:
    reference, settings = case
    function = FORMULAS[reference.formula]
    shapes = reference.shapes[:1] if reference.together else reference.shapes  # called directly it sees one tensor
    theirs = [torch.nn.Parameter(start_point(shape)) for shape in shapes]
    optimizer = reference.make(theirs, **settings)
    streams = [gradients(shape, reference.smooth) for shape in shapes]
    ours = [run(function, settings, start_point(shape), reference.smooth) for shape in shapes]
    moved = False
    for step in range(STEPS):
        for p, stream in zip(theirs, streams):
            p.grad = stream[step].clone()
        optimizer.step()
        for p, stream in zip(theirs, ours):
            new, states = next(stream)
            close(new, p.detach(), f"p after step {step + 1}", reference.rtol)
            for state, key in reference.states.items():
                close(states[state], optimizer.state[p][key], f"{state} after step {step + 1}", reference.rtol)
            assert torch.isfinite(new).all()
            moved |= bool((new != start_point(tuple(new.shape))).any())
    assert moved, "nothing was compared: p never moved"


def test_each_formula_has_a_reference_and_a_name() -> None:
    assert FORMULAS.keys() == REFERENCES.keys()
    assert all(name == function.__name__ for name, function in FORMULAS.items())


@pytest.mark.parametrize("reference", [r for r in REFERENCES.values() if r.is_torch], ids=lambda r: r.formula)
def test_torch_knows_every_setting_and_state(reference: Reference) -> None:
    formula = read(FORMULAS[reference.formula])
    p = torch.nn.Parameter(torch.ones(reference.shapes[0]))
    p.grad = torch.ones_like(p)
    optimizer = reference.make([p])
    optimizer.step()
    theirs = {key: optimizer.defaults[key] for key in formula.settings}
    assert theirs == formula.settings
    assert {key for key in optimizer.state[p] if optimizer.state[p][key] is not None} - {
        "step"
    } == formula.states.keys()
    assert reference.states.keys() == formula.states.keys()


@pytest.mark.parametrize("name", FORMULAS)
def test_docstring_names_its_source(name: str) -> None:
    first, *rest = read(FORMULAS[name]).doc.splitlines()
    assert re.search(r"\b(19|20)\d\d\b", first), "the year of the paper is missing"
    assert re.search(
        r"arXiv:\d{4}\.\d{4,5}|\d+\(\d+\)|JMLR \d+|ICML|ICLR|NeurIPS|ICNN|CVPR|KDD|Coursera|Doklady|github|sifter\.org",
        first,
    )
    assert rest[:1] in ([], [""]) and len(first) <= 116


@pytest.mark.parametrize("name", FORMULAS)
def test_scalar_states(name: str) -> None:
    assert trace(FORMULAS[name]).scalar_states == SCALAR_STATES.get(name, ())


def evaluated(graph: Graph, leaves: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    values: dict[Any, Any] = {}
    for node in walk(graph.outputs.values()):
        if node.args:
            args = [values[arg] for arg in node.args]
            whole = any(isinstance(arg, torch.Tensor) for arg in args)
            values[node] = (EVERY[node.op].tensor if whole else EVERY[node.op].number)(*args)
        else:
            values[node] = node.value if node.op == "const" else leaves[str(node.value)]
    return {name: values[node] for name, node in graph.outputs.items()}


@pytest.mark.parametrize("case", CASES, ids=named)
def test_graph_equals_the_call(case: tuple[Reference, dict[str, Any]]) -> None:
    """Bit by bit, with every value a tensor, also the settings and t."""
    reference, settings = case
    function = FORMULAS[reference.formula]
    graph, formula = trace(function), read(function)
    settings = {
        name: tuple(map(torch.tensor, value)) if isinstance(value, tuple) else torch.tensor(float(value))
        for name, value in (formula.settings | settings).items()
    }
    flat = {
        key: value
        for name, values in settings.items()
        for key, value in (
            {f"{name}[{i}]": v for i, v in enumerate(values)} if isinstance(values, tuple) else {name: values}
        ).items()
    }
    p = start_point((7, 6))
    states = {k: torch.as_tensor(v) for k, v in starts(graph, settings, p).items()}
    for t, g in enumerate(gradients((7, 6)), start=1):
        count = torch.tensor(float(t))
        result = function(p, g, *states.values(), **settings, **({"t": count} if formula.counts else {}))
        called = dict(zip(graph.outputs, result if isinstance(result, tuple) else (result,)))
        traced = evaluated(graph, {"p": p, "g": g, "t": count, **states, **flat})
        for name, value in called.items():
            assert torch.equal(value, traced[name]), f"{name} after step {t}"
        p, states = called["p"], {name: called[name] for name in states}


def test_nag_takes_its_gradient_ahead() -> None:
    """On a quadratic, where the gradient depends on where it is taken, with lr changing on the way."""
    a, momentum = torch.tensor([1.0, 10.0]), 0.8
    theta, v = torch.tensor([3.0, -2.0]), torch.zeros(2)
    p, velocity = theta.clone(), torch.zeros(2)
    for t in range(1, STEPS + 1):
        lr = 0.05 / t
        v = momentum * v + lr * a * (theta - momentum * v)
        theta = theta - v
        p, velocity = FORMULAS["nag"](p, a * p, velocity, lr=lr, momentum=momentum)
        close(p + momentum * velocity, theta, f"theta after step {t}")


@pytest.mark.parametrize(
    ("name", "changed"),
    [("momentum", "sgd_momentum"), ("nag", "sgd_nesterov")],
)
def test_lr_inside_the_velocity_differs_only_when_lr_changes(name: str, changed: str) -> None:
    def end(formula: str, rates: tuple[float, float]) -> torch.Tensor:
        p, state = torch.tensor(1.0), torch.tensor(0.0)
        for t, lr in enumerate(rates, start=1):
            step = {"t": t} if read(FORMULAS[formula]).counts else {}
            p, state = FORMULAS[formula](p, torch.tensor(2.0), state, lr=lr, momentum=0.9, **step)
        return p

    close(end(name, (0.1, 0.1)), end(changed, (0.1, 0.1)), name)
    assert (end(name, (0.1, 0.01)) - end(changed, (0.1, 0.01))).abs() > 0.1


@pytest.mark.parametrize("name", ["rmsprop_centered", "rmsprop_centered_momentum"])
def test_centered_rmsprop_is_nan_where_torch_is(name: str) -> None:
    """A gradient that does not change leaves a variance of rounding errors, with either sign."""
    p = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = REFERENCES[name].make([p])
    ours, states = p.detach().clone(), [torch.zeros(1) for _ in trace(FORMULAS[name]).states]
    for _ in range(4000):
        p.grad = torch.tensor([0.1])
        optimizer.step()
        ours, *states = FORMULAS[name](ours, torch.tensor([0.1]), *states)
    assert p.isnan().all() and ours.isnan().all()
