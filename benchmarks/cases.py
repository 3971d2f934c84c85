"""One case: one optimizer (or composite) on one shape, all peers in the same rounds, and its figures."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import floor, measure, peers
from .shapes import SHAPES, SINGLES, Shape, parameters

AGREEMENT = 1e-3  # of the distance moved; torch's own foreach ASGD is 1e-5 from its loop
Case = dict[str, Any]  # as it stands in the results file


@dataclass(frozen=True)
class Effort:
    """How long to measure. `budget`: seconds of rounds a case. `compile_limit`: seconds to compile one step."""

    rounds: int = 15
    budget: float = 10.0
    compile: bool = False
    compile_limit: float = 180.0
    quick: bool = False


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupts Python code on the main thread; without effect where the system has no such signal."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _prepare(
    spec: peers.Optimizer, params: peers.Parameters, effort: Effort, notes: dict[str, str]
) -> tuple[dict[str, peers.Step], float | None]:
    """The steps of all peers over the same parameters and gradients, and the seconds that compiling took.

    Sharing bounds the memory and gives all the same addresses: a peer adds its states alone.
    """
    steps: dict[str, peers.Step] = {}
    compile_seconds = None
    for name, make in peers.PEERS.items():
        if name == "compile" and not effort.compile:
            continue
        start = time.perf_counter()
        try:
            if name != "compile":
                steps[name] = make(spec, params)
                continue
            with _time_limit(effort.compile_limit):
                step = make(spec, params)
                for _ in range(3):  # the states appear in the first; a second compilation may follow
                    step()
                compile_seconds = time.perf_counter() - start
                steps[name] = step
        except peers.Absent as absent:
            notes[name] = str(absent)
        except Exception as error:
            if name == "ours":
                raise
            late = name == "compile" and time.perf_counter() - start >= effort.compile_limit
            notes[name] = f"not compiled after {effort.compile_limit:.0f} s" if late else f"failed: {_one_line(error)}"
    return steps, compile_seconds


def check_agreement(names: list[str]) -> dict[str, dict[str, str]]:
    """Notes on peers that do not compute what torch's loop does; RuntimeError if that is ours: it may not be timed."""
    notes: dict[str, dict[str, str]] = {}
    for name in names:
        spec = peers.OPTIMIZERS[name]
        for peer in ("ours", "foreach", "fused", "zoo"):
            try:
                distance = peers.disagreement(spec, peer)
            except peers.Absent:
                continue
            if distance <= AGREEMENT:
                continue
            if peer == "ours":
                raise RuntimeError(
                    f"{spec.title}: after 8 steps ours is {distance:.2g} of the distance moved away from torch's loop; "
                    "a step that computes something else is not worth timing"
                )
            notes.setdefault(name, {})[peer] = f"computes something else ({distance:.2g} of the distance moved)"
    return notes


def figures(steps: dict[str, peers.Step], moved: int, resident: bool, effort: Effort) -> Case:
    """Time the steps with the floor's movers among them; what each took, its ratio to ours, and ours over the floor."""
    movers = floor.movers(resident, large=2**24 if effort.quick else 256 * 2**20)
    entrants = {**steps, **{f"floor: {name}": mover.move for name, mover in movers.items()}}
    turn = 0.0 if effort.quick else measure.TURN
    timed = measure.run_rounds(entrants, rounds=effort.rounds, budget=effort.budget, turn=turn)
    times = {name: moved / mover.bytes for name, mover in movers.items()}  # the floor, in runs of its mover
    return {
        "bytes": moved,
        "resident": resident,
        "rounds": len(timed.seconds),
        "peers": {
            name: {"ms": _round(1e3 * timed.median(name)), "ratio": _round(timed.ratio(name, "ours"))} for name in steps
        },
        "floor_ms": {name: _round(1e3 * timed.median(f"floor: {name}") * times[name]) for name in movers},
        "over_floor": {name: _round(timed.ratio("ours", f"floor: {name}") / times[name]) for name in movers},
    }


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def _resident(elements: int, states: int) -> bool:
    return floor.working_set(elements, states) <= floor.last_level_cache() / 2


def step_case(name: str, shape_name: str, effort: Effort, shape: Shape | None = None) -> Case:
    """One optimizer's plain step. `shape` stands in for the shape of that name."""
    spec, shape = peers.OPTIMIZERS[name], shape or SHAPES[shape_name]
    params = parameters(shape)
    notes: dict[str, str] = {}
    steps, compile_seconds = _prepare(spec, params, effort, notes)
    moved = floor.step_bytes(shape.elements, spec.states)
    case = figures(steps, moved, _resident(shape.elements, spec.states), effort)
    del steps, params
    gc.collect()
    return {
        "optimizer": name,
        "shape": shape_name,
        "tensors": len(shape.tensors),
        "elements": shape.elements,
        **case,
        "compile_seconds": None if compile_seconds is None else round(compile_seconds, 1),
        "notes": notes,
    }


def overhead_case(effort: Effort) -> Case:
    """Adam on 400 tensors of one element: what a step costs the host before any work."""
    return step_case("adam", "singles", effort, SINGLES)


def clip_and_average_case(effort: Effort, shape_name: str = "transformer") -> Case:
    """AdamW with clipping by global norm and a weight average; each side has its own parameters and gradients."""
    shape = SHAPES[shape_name]
    makes: dict[str, Callable[[peers.Parameters], peers.Step]] = peers.CLIP_AND_AVERAGE
    steps = {name: make(parameters(shape)) for name, make in makes.items()}
    moved = floor.clip_and_average_bytes(shape.elements, peers.OPTIMIZERS["adamw"].states)
    return {
        "optimizer": "adamw",
        "shape": shape_name,
        "tensors": len(shape.tensors),
        "elements": shape.elements,
        **figures(steps, moved, False, effort),
        "compile_seconds": None,
        "notes": {},
    }


def best_eager(case: Case) -> str | None:
    """The eager peer nearest to ours, or ahead of it, by the median of its ratios."""
    ratios = {name: figures["ratio"] for name, figures in case["peers"].items() if name not in peers.NOT_EAGER}
    return min(ratios, key=ratios.__getitem__, default=None)


def speedup(case: Case) -> float | None:
    """How many times the best eager peer takes what ours takes."""
    best = best_eager(case)
    return None if best is None else case["peers"][best]["ratio"]
