"""What the figures must reach, and whether they do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from . import loop, matrices, watching
from .cases import Case, speedup
from .measure import geometric_mean
from .peers import OPTIMIZERS
from .shapes import SHAPES
from .trials import KINDS, TRIALS

LARGE = [name for name, shape in SHAPES.items() if shape.large]


class Target(NamedTuple):
    """`met` is None where the run did not measure what the target asks for."""

    name: str
    wanted: str
    found: str
    met: bool | None


def _of(cases: Iterable[Case], shape: str) -> dict[str, Case]:
    return {case["optimizer"]: case for case in cases if case["shape"] == shape}


def mean_speedup(cases: Iterable[Case], shape: str) -> tuple[float, int] | None:
    """Geometric mean over the optimizers measured on this shape, and their number."""
    values = [value for case in _of(cases, shape).values() if (value := speedup(case)) is not None]
    return (geometric_mean(values), len(values)) if values else None


def _complete(cases: list[Case], shapes: Iterable[str]) -> bool:
    return all(set(_of(cases, shape)) == set(OPTIMIZERS) for shape in shapes)


def _mean_target(cases: list[Case], shape: str, least: float) -> Target:
    name, wanted = f"mean speed-up, {SHAPES[shape].title}", f"≥ {least:g} ×"
    mean = mean_speedup(cases, shape)
    if mean is None:
        return Target(name, wanted, "not measured", None)
    value, count = mean
    if not _complete(cases, [shape]):
        return Target(name, wanted, f"{value:.2f} × ({count} of {len(OPTIMIZERS)})", None)
    return Target(name, wanted, f"{value:.2f} ×", value >= least)


def _worst_target(name: str, wanted: str, most: float, found: dict[str, float], complete: bool) -> Target:
    """No case may exceed `most`. One that does settles it; that none does, only a complete run can say."""
    if not found:
        return Target(name, wanted, "not measured", None)
    worst = max(found, key=found.__getitem__)
    met = False if found[worst] > most else True if complete else None
    return Target(name, wanted, f"{found[worst]:.2f} × ({worst})", met)


def _below(name: str, most: float, seconds: float | None) -> Target:
    wanted = f"< {most:g} s"
    if seconds is None:
        return Target(name, wanted, "not measured", None)
    return Target(name, wanted, f"{seconds:.3f} s", seconds < most)


# How many times the trials a minute of an Optuna loop over plain torch.
TOGETHER = {"mlp": 5.0, "cnn": 1.5, "transformer": 2.0}


ON_GPU = 20.0  # of the MLP


def _trials_target(races: dict[str, Any], name: str, least: float, where: str = "") -> Target:
    title, wanted = f"trials a minute over Optuna's, {KINDS[name].title}{where}", f"≥ {least:g} ×"
    if name not in races:
        return Target(title, wanted, "not measured", None)
    ratio, complete = races[name]["ratio"]["optuna"], races[name]["trials"] >= TRIALS
    return Target(title, wanted, f"{ratio:.2f} ×", ratio >= least if complete else None)


LOOPS = {"in memory": "the training loop over the one by hand", "in a folder": "the same with its folder"}


def _loop_target(runs: dict[str, Any], name: str) -> Target:
    title, wanted = f"{LOOPS[name]}, digits", "≤ 1.05 ×"
    if name not in runs:
        return Target(title, wanted, "not measured", None)
    ratio, complete = runs[name]["ratio"], runs[name].get("pairs", 0) >= loop.PAIRS
    return Target(title, wanted, f"{ratio:.3f} ×", ratio <= 1.05 if complete else None)


def _watch_target(runs: dict[str, Any], name: str) -> Target:
    title, wanted = f"watched over unwatched, {watching.LOOPS[name].title}", "≤ 1.02 ×"
    if name not in runs:
        return Target(title, wanted, "not measured", None)
    ratio, complete = runs[name]["ratio"], runs[name]["pairs"] >= watching.PAIRS
    return Target(title, wanted, f"{ratio:.3f} ×", ratio <= 1.02 if complete else None)


def _muon_target(found: dict[str, Any] | None) -> Target:
    title, wanted = "Muon's step over its matrix products", "≤ 1.20 ×"
    if not found:
        return Target(title, wanted, "not measured", None)
    ratio, complete = found["ratio"]["ours"], found["width"] >= matrices.WIDTH
    return Target(title, wanted, f"{ratio:.2f} ×", ratio <= 1.2 if complete else None)


# Of states in fewer bits: the shape, the figure, of which, and its bound.
STORED: dict[str, tuple[str, str, str, float, bool]] = {
    "int8 states over float32, transformer": ("transformer", "over float32", "int8", 1.1, True),
    "torch's fused AdamW over int8 states, 100 M": ("100m", "torch over it", "int8", 1.25, False),
    "bytes of int8 states a parameter": ("100m", "bytes", "int8", 2.1, True),
    "bytes of bfloat16 states a parameter": ("100m", "bytes", "bfloat16", 4.1, True),
    "bfloat16 states over float32, 100 M": ("100m", "over float32", "bfloat16", 1 / 1.15, True),
}


def _stored_target(stored: dict[str, Any], name: str) -> Target:
    shape, figure, of, bound, at_most = STORED[name]
    wanted = f"{'≤' if at_most else '≥'} {bound:.3g}{'' if figure == 'bytes' else ' ×'}"
    if shape not in stored.get("shapes", {}):
        return Target(name, wanted, "not measured", None)
    value = stored["shapes"][shape][figure][of]
    return Target(name, wanted, f"{value:.2f}", value <= bound if at_most else value >= bound)


def _tensors_target(stored: dict[str, Any]) -> Target:
    name, wanted, found = "a step over 10,000 tensors, for each", "< 1 µs", stored.get("overhead")
    if found is None or not stored["shapes"].keys() >= {"100m"}:
        return Target(name, wanted, "not measured", None)
    return Target(name, wanted, f"{found:.2f} µs", found < 1.0)


def targets(results: dict[str, Any]) -> list[Target]:
    """The verdicts over a results file's contents."""
    cases = [case for case in results["steps"] if case["shape"] in SHAPES]
    large = [case for case in cases if case["shape"] in LARGE]

    def label(case: Case) -> str:
        return f"{OPTIMIZERS[case['optimizer']].title}, {SHAPES[case['shape']].title}"

    slower = {label(case): 1 / value for case in large if (value := speedup(case))}
    over = {label(case): case["over_floor"]["copy"] for case in large if case["shape"] == "100m"}
    composite = results.get("clip_and_average")
    gain = speedup(composite) if composite and composite["shape"] == "transformer" else None
    clip = Target("clip + average, transformer", "≥ 1.8 ×", "not measured", None)
    if gain is not None:
        clip = clip._replace(found=f"{gain:.2f} ×", met=gain >= 1.8)
    return [
        _worst_target(
            "time over the best eager peer's, large shapes", "≤ 1.05 ×", 1.05, slower, _complete(cases, LARGE)
        ),
        *(_mean_target(cases, shape, 2.5) for shape in LARGE),
        _worst_target("time over the floor, 100 M", "≤ 1.15 ×", 1.15, over, _complete(cases, ["100m"])),
        _mean_target(cases, "small", 8.0),
        clip,
        _muon_target(results.get("muon")),
        _below("first step, traced and compiled", 0.2, (results.get("first_step") or {}).get("ours")),
        _below("import downslope, after torch", 0.3, (results.get("imports") or {}).get("import downslope")),
        *(_stored_target(results.get("storage") or {}, name) for name in STORED),
        _tensors_target(results.get("storage") or {}),
        *(_loop_target(results.get("loop") or {}, name) for name in LOOPS),
        *(_watch_target(results.get("watching") or {}, name) for name in watching.LOOPS),
        *(_trials_target(results.get("trials") or {}, name, least) for name, least in TOGETHER.items()),
        *([_trials_target(on_gpu, "mlp", ON_GPU, ", GPU")] if (on_gpu := results.get("trials_gpu")) else []),
    ]
