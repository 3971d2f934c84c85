"""Graph -> graph: what stands around a formula, fused into the same pass over memory.

Each transform changes what the formula sees as its gradient or parameter, or adds a state. `arrange` applies them in
the one order that matters: the gradient is unscaled, clipped by norm, clipped by value, negated, and decayed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from ..errors import SettingError
from .graph import Graph, Node, const, node, scalar, tensor
from .wrap import G, P, With, cautious, centralize, grafted, lookahead, nesterov_form

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
TRANSFORMS: dict[str, Callable[..., Graph]] = {
    "grafted": grafted,
    "cautious": cautious,
    "nesterov_form": nesterov_form,
    "lookahead": lookahead,
    "centralize": centralize,
    "average": average,
    "coupled_decay": coupled_decay,
    "decoupled_decay": decoupled_decay,
    "maximize": maximize,
    "clip_value": clip_value,
    "clip_norm": clip_norm,
    "unscale": unscale,
}


def arrange(graph: Graph, wanted: Collection[str | With]) -> Graph:
    """The graph with the wanted transforms applied in their order."""
    given = {w.name if isinstance(w, With) else w: w.settings if isinstance(w, With) else () for w in wanted}
    for name, transform in TRANSFORMS.items():
        if name in given:
            graph = transform(graph, *given[name])
    return graph
