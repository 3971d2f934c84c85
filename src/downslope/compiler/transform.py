"""Graph -> graph: what stands around a formula, fused into the same pass over memory.

Each transform changes what the formula sees as its gradient or parameter, or adds a state. `arrange` applies them in
the one order that matters: the gradient is unscaled, clipped by norm, clipped by value, negated, and decayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import SettingError
from .graph import Graph, Node, const, node, rebuild, scalar, tensor, walk

P, G, DECAY = tensor("p"), tensor("g"), scalar("weight_decay")

# The scalars that transforms read beside a formula's own settings; no setting may have these names.
OPTIONS = ("unscale", "clip_coef", "clip_value", "ema_decay")


def _seen_as(graph: Graph, leaf: Node, value: Node, *options: str) -> Graph:
    new = graph.map(lambda n: value if n is leaf else n)
    return replace(new, options=graph.options + options)


def unscale(graph: Graph) -> Graph:
    """The gradient times `unscale`, the reciprocal of a loss scale."""
    return _seen_as(graph, G, node("mul", G, scalar("unscale")), "unscale")


def clip_norm(graph: Graph) -> Graph:
    """The gradient times `clip_coef`, which the optimizer makes of the global norm."""
    return _seen_as(graph, G, node("mul", G, scalar("clip_coef")), "clip_coef")


def clip_value(graph: Graph) -> Graph:
    """The gradient held within plus and minus `clip_value`, element by element."""
    bound = scalar("clip_value")
    return _seen_as(graph, G, node("minimum", node("maximum", G, node("neg", bound)), bound), "clip_value")


def maximize(graph: Graph) -> Graph:
    """The gradient negated: uphill."""
    return _seen_as(graph, G, node("neg", G))


def coupled_decay(graph: Graph) -> Graph:
    """L2 regularisation: the gradient plus weight_decay times the parameter."""
    return _with_decay(_seen_as(graph, G, node("add", G, node("mul", P, scalar("weight_decay")))))


def decoupled_decay(graph: Graph) -> Graph:
    """Loshchilov & Hutter 2019: the parameter shrinks by lr times weight_decay before the update."""
    if "lr" not in graph.settings:
        raise SettingError(
            f"{graph.name}: decoupled weight decay shrinks the parameter by lr times weight_decay, and this formula "
            "has no setting `lr`; name its step size lr, or write the decay into the formula"
        )
    factor = node("sub", const(1.0), node("mul", scalar("lr"), scalar("weight_decay")))
    return _with_decay(_seen_as(graph, P, node("mul", P, factor)))


def _with_decay(graph: Graph) -> Graph:
    return replace(graph, settings={**graph.settings, "weight_decay": 0.0})


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


def average(graph: Graph) -> Graph:
    """An exponential average of the parameters after each step, in a state `ema` that starts at p."""
    mean, new = tensor("ema"), graph.outputs["p"]
    moved = node("add", mean, node("mul", node("sub", new, mean), node("sub", const(1.0), scalar("ema_decay"))))
    return replace(
        graph,
        states={**graph.states, "ema": "p"},
        outputs={**graph.outputs, "ema": moved},
        options=(*graph.options, "ema_decay"),
    )


# Innermost first: what is next to the formula is applied first, what is next to the raw gradient last.
TRANSFORMS: dict[str, Callable[[Graph], Graph]] = {
    "cautious": cautious,
    "average": average,
    "coupled_decay": coupled_decay,
    "decoupled_decay": decoupled_decay,
    "maximize": maximize,
    "clip_value": clip_value,
    "clip_norm": clip_norm,
    "unscale": unscale,
}


def arrange(graph: Graph, wanted: frozenset[str]) -> Graph:
    """The graph with the wanted transforms applied in their order."""
    for name, transform in TRANSFORMS.items():
        if name in wanted:
            graph = transform(graph)
    return graph
