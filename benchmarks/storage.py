"""AdamW with states in fewer bits beside float32, ours and torch's fused; and what a step costs the host per tensor."""

from __future__ import annotations

import gc
from typing import Any

import torch

from downslope.optim import AdamW

from . import measure
from .cases import Effort
from .shapes import SHAPES, Shape, parameters

KINDS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"state_dtype": "bfloat16"},
    "int8": {"state_dtype": "int8"},
}
FUSED = "torch fused, float32"
TENSORS = 10_000


def step_case(shape_name: str, effort: Effort, shape: Shape | None = None) -> dict[str, Any]:
    """All kinds over the same parameters and gradients: median milliseconds, the ratio of each to float32, that of
    torch's to each, and the bytes that the states of a parameter take."""
    shape = shape or SHAPES[shape_name]
    params = parameters(shape)
    made: dict[str, torch.optim.Optimizer] = {name: AdamW(params, **kind) for name, kind in KINDS.items()}
    made[FUSED] = torch.optim.AdamW(params, fused=True)
    turn = 0.0 if effort.quick else measure.TURN
    steps = {name: optimizer.step for name, optimizer in made.items()}
    timed = measure.run_rounds(steps, rounds=effort.rounds, budget=effort.budget, turn=turn)
    sizes = {
        name: sum(t.nbytes for state in made[name].state.values() for t in state.values() if t.ndim) / shape.elements
        for name in KINDS
    }
    found = {
        "ms": {name: round(1e3 * timed.median(name), 4) for name in steps},
        "over float32": {name: round(timed.ratio(name, "float32"), 4) for name in steps},
        "torch over it": {name: round(timed.ratio(FUSED, name), 4) for name in steps},
        "bytes": {name: round(size, 4) for name, size in sizes.items()},
        "rounds": len(timed.seconds),
    }
    del made, steps, params
    gc.collect()
    return found


def overhead(effort: Effort, tensors: int = TENSORS) -> float:
    """Microseconds of a step for each of many tensors of one element."""
    optimizer = AdamW(parameters(Shape(f"{tensors} of 1", tensors * [(1,)], large=False)))
    timed = measure.run_rounds({"ours": optimizer.step}, rounds=effort.rounds, budget=effort.budget)
    return round(1e6 * timed.median("ours") / tensors, 4)


def measure_all(effort: Effort) -> dict[str, Any]:
    shapes = ("small",) if effort.quick else ("transformer", "100m")
    return {
        "shapes": {name: step_case(name, effort) for name in shapes},
        "overhead": overhead(effort, 100 if effort.quick else TENSORS),
    }


COLUMNS = ["states", "shape", "ms", "over float32", "torch's fused over it", "bytes of states"]


def rows(results: dict[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            SHAPES[shape].title,
            f"{case['ms'][name]:.3f}",
            f"{case['over float32'][name]:.2f}",
            f"{case['torch over it'][name]:.2f}",
            f"{case['bytes'][name]:.2f}" if name in case["bytes"] else "8.00",
        ]
        for shape, case in results["shapes"].items()
        for name in case["ms"]
    ]


if __name__ == "__main__":
    for line in rows(measure_all(Effort())):
        print("  ".join(line))
