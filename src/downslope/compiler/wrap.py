"""Graph -> graph: other algorithms around a formula, which change its step instead of what it sees.

Each takes a formula's new parameter and gives another; states that a formula keeps stay its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ..errors import SettingError
from .formula import read
from .graph import Graph, Node, const, node, rebuild, scalar, tensor, walk
from .trace import trace

P, G, DECAY, T = tensor("p"), tensor("g"), scalar("weight_decay"), scalar("t")


class With(NamedTuple):
    """A transform with settings of its own, which are the same in every step."""

    name: str
    settings: tuple[Any, ...]


def cautious(graph: Graph) -> Graph:
    """Liang et al. 2024, arXiv:2411.16085: no step where the update and the gradient disagree in sign.

    What is left of a tensor's update is divided by the share that is left, at least 1e-3, as in the authors' code since
    its version of December 2024; the paper's Algorithm 1 has (n + 1) / (what is left + 1). A weight decay is no part of
    the update: it acts everywhere."""
    new = graph.outputs["p"]
    base, update = _parted(new)
    if update is None:
        return graph
    alone = rebuild([update], lambda n: const(0.0) if n is DECAY else n)[update]
    agree = node("where", node("gt", node("mul", alone, G), const(0.0)), const(1.0), const(0.0))
    share = node("maximum", node("mean", agree), const(1e-3))
    step = node("mul", alone, node("div", agree, share))
    if alone is not update:
        step = node("add", step, node("sub", update, alone))
    moved = node("sub", base, step)
    seen = rebuild(graph.outputs.values(), lambda n: moved if n is new else n)  # a state that follows p follows it
    outputs = {name: moved if name == "p" else seen[n] for name, n in graph.outputs.items()}
    return replace(graph, outputs=outputs, names={**graph.names, agree: "mask", share: "share"})


def _parted(new: Node) -> tuple[Node, Node | None]:
    """A new parameter as the old one, but for its weight decay, and what is taken away from it; None for nothing."""
    decayed = new.op == "mul" and new.args[0] is P and any(leaf is DECAY for leaf in walk([new.args[1]]))
    if new is P or decayed:
        return new, None
    if new.op in ("sub", "add"):
        base, taken = _parted(new.args[0])
        more = new.args[1] if new.op == "sub" else node("neg", new.args[1])
        return base, more if taken is None else node("add", taken, more)
    return P, node("sub", P, new)


def centralize(graph: Graph) -> Graph:
    """Yong et al. 2020, arXiv:2004.01461: the gradient of each row less its mean, for all but vectors."""
    centred = node("sub", G, node("row_mean", G))
    return graph.map(lambda n: centred if n is G else n)


def lookahead(graph: Graph, every: float = 5, share: float = 0.5) -> Graph:
    """Zhang et al. 2019, arXiv:1907.08610, Algorithm 1: after every k steps back to a point between where they began
    and where they ended. The state `lookahead` is where they began; alpha is the share of the way that is kept."""
    began, fast = tensor("lookahead"), graph.outputs["p"]
    rest = node("sub", T, node("mul", node("floor", node("div", T, const(every))), const(every)))
    back = node("eq", rest, const(0.0))
    slow = node("add", began, node("mul", node("sub", fast, began), const(share)))
    outputs = {"p": node("where", back, slow, fast), "lookahead": node("where", back, slow, began)}
    return _more(graph, {"lookahead": "p"}, outputs, {back: "back", slow: "slow"}, counts=True)


def nesterov_form(graph: Graph, momentum: float = 0.9) -> Graph:
    """Nesterov 1983, Doklady 27(2): the gradient is taken ahead of the point that the formula has reached, by momentum
    times its last way. The state `nesterov_form` is that point. Of plain descent it is Nesterov's method."""
    last, new = tensor("nesterov_form"), graph.outputs["p"]
    ahead = node("add", new, node("mul", node("sub", new, last), const(momentum)))
    return _more(graph, {"nesterov_form": "p"}, {"p": ahead, "nesterov_form": new}, {ahead: "ahead"})


def grafted(
    graph: Graph, function: Callable[..., Any] | None = None, settings: tuple[tuple[str, Any], ...] = ()
) -> Graph:
    """Agarwal et al. 2020, arXiv:2002.11803: the formula's direction with the length of another's step, tensor by
    tensor.

    The other formula has `settings`, and the same learning rate where they have none; without it, it is plain gradient
    descent. Its states are kept as `grafted_...`. A weight decay of the first is no part of what is stretched."""
    base, update = _parted(graph.outputs["p"])
    if update is None:
        return graph
    alone = rebuild([update], lambda n: const(0.0) if n is DECAY else n)[update]
    plain: tuple[Node, dict[str, float | str], dict[str, Node], bool] = (node("mul", G, scalar("lr")), {}, {}, False)
    step, states, outputs, counts = _step_of(function, dict(settings), graph) if function else plain
    own, wanted = node("norm", alone), node("norm", step)
    factor = node("where", node("gt", own, const(0.0)), node("div", wanted, own), const(0.0))
    moved = node("sub", base, node("mul", alone, factor))
    if alone is not update:
        moved = node("sub", moved, node("sub", update, alone))
    return _more(graph, states, {"p": moved, **outputs}, {factor: "graft", step: "graft_step"}, counts)


def _step_of(
    function: Callable[..., Any], settings: dict[str, Any], graph: Graph
) -> tuple[Node, dict[str, float | str], dict[str, Node], bool]:
    """The step of another formula as part of a graph: what it takes from p, its states, their new values."""
    formula, other = read(function), trace(function)
    if "lr" in other.settings and "lr" not in graph.settings and "lr" not in settings:
        raise SettingError(
            f"{graph.name}: has no setting lr to share; give {formula.name} one, as in grafted=...(lr=...)"
        )
    values: dict[str, float] = {}
    for name, default in other.settings.items():
        given = settings.get(name, default)
        values |= {f"{name}[{i}]": v for i, v in enumerate(given)} if isinstance(given, tuple) else {name: given}
    leaves = {scalar(name): const(float(v)) for name, v in values.items() if name != "lr" or "lr" in settings}
    leaves |= {tensor(s): tensor(f"grafted_{s}") for s in other.states}
    become = rebuild(other.outputs.values(), lambda n: leaves.get(n, n))
    states = {f"grafted_{s}": values.get(str(start), start) for s, start in other.states.items()}
    outputs = {f"grafted_{s}": become[n] for s, n in other.outputs.items() if s != "p"}
    base, taken = _parted(become[other.outputs["p"]])
    if base is P and taken is not None:
        return taken, states, outputs, other.counts
    return node("sub", P, become[other.outputs["p"]]), states, outputs, other.counts


def _more(
    graph: Graph,
    states: dict[str, float | str],
    outputs: dict[str, Node],
    names: dict[Node, str],
    counts: bool = False,
) -> Graph:
    return replace(
        graph,
        states={**graph.states, **states},
        outputs={**graph.outputs, **outputs},
        names={**graph.names, **names},
        counts=graph.counts or counts,
    )
