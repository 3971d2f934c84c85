"""The cases: entrants that take turns on the same parameters, and the copy that is the floor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch

from .. import measure
from ..peers import AVERAGE, MAX_NORM, Absent, Parameters, Step, clip_and_average_by_hand
from ..shapes import Shape
from . import entrants

Case = dict[str, Any]
ROUNDS, SECONDS = 15, 4.0


class Bench:
    """Where to measure, and how long."""

    def __init__(self, device: torch.device, quick: bool, say: Callable[[str], None]):
        self.device, self.quick, self.say = device, quick, say
        size = (1 << 20) if quick else (1 << 30)  # floats: 4 GiB each way
        self._source = torch.ones(size, device=device)
        self._target = torch.empty_like(self._source)

    def copy(self) -> None:
        self._target.copy_(self._source)

    def clock(self) -> float:
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()

    def shape(self, name: str) -> Shape:
        return entrants.QUICK if self.quick else entrants.SHAPES[name]

    def case(self, label: str, steps: dict[str, Step], moved: int, notes: dict[str, str] | None = None) -> Case:
        """Time the steps in rounds with the copy among them; what each took, and its ratio to ours."""
        for name in [n for n in steps if n != "ours"]:
            try:
                steps[name]()
            except Exception as error:  # a peer that does not run here is a note
                notes = {
                    **(notes or {}),
                    name: f"failed: {(str(error) or repr(error)).splitlines()[0]:.160}",
                }
                del steps[name]
        rounds, seconds = (2, 0.5) if self.quick else (ROUNDS, SECONDS)
        timed = measure.run_rounds(
            {**steps, "copy": self.copy}, rounds=rounds, budget=seconds, turn=0.0 if self.quick else 0.03,
            clock=self.clock,
        )  # fmt: skip
        bytes_of_copy = 2 * self._source.numel() * 4
        found = {
            "label": label,
            "bytes": moved,
            "rounds": len(timed.seconds),
            "ms": {name: _short(1e3 * timed.median(name)) for name in steps},
            "ratio": {name: _short(timed.ratio(name, "ours")) for name in steps},
            "over_copy": _short(timed.ratio("ours", "copy") * bytes_of_copy / moved) if moved else None,
            "copy_gbs": _short(bytes_of_copy / timed.median("copy") / 1e9),
            "notes": notes or {},
        }
        peers = ", ".join(f"{name} {ratio:.2f} ×" for name, ratio in found["ratio"].items() if name != "ours")
        floor = f"{found['over_copy']:.3f} × the copy floor" if moved else "no floor"
        self.say(f"{label:<40} {found['ms']['ours']:9.3f} ms, {floor}; {peers or 'alone'}")
        gc.collect()
        return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def moved_by(optimizer: torch.optim.Optimizer, params: Parameters) -> int:
    """The bytes that a step of ours must move: what its passes load and store, as large as they are kept."""
    from downslope.compiler.plan import cost

    total = 0
    for group in optimizer.param_groups:
        plan = optimizer._plan(group)  # type: ignore[attr-defined]
        counted = cost(plan)
        for p in group["params"]:
            kept = {"p": p, "g": p.grad, **optimizer.state[p]}
            names = [*counted.loads, *counted.stores, *(["g"] if counted.norm else [])]
            total += sum(kept[n].numel() * kept[n].element_size() for n in names if n in kept)
    return total


def steps(bench: Bench, names: list[str], shape_name: str) -> list[Case]:
    """A plain step of each optimizer."""
    made = []
    for name in names:
        params = entrants.parameters(bench.shape(shape_name), bench.device)
        optimizer = entrants.ours(name, params)
        optimizer.step()
        case = bench.case(
            f"{name}, {bench.shape(shape_name).title}",
            {"ours": optimizer.step, **entrants.torchs(name, params)},
            moved_by(optimizer, params),
        )
        made.append({"optimizer": name, "shape": shape_name, **case})
        del params, optimizer
    return made


def clip_and_average(bench: Bench) -> Case:
    shape = bench.shape("gpt")
    params, others = entrants.parameters(shape, bench.device), entrants.parameters(shape, bench.device)
    ours = entrants.ours("AdamW", params, max_norm=MAX_NORM, ema=AVERAGE)
    ours.step()
    return bench.case(
        "AdamW + clip + average", {"ours": ours.step, "by hand": clip_and_average_by_hand(others)},
        moved_by(ours, params),
    )  # fmt: skip


def fewer_bits(bench: Bench) -> dict[str, Case]:
    """8-bit states beside other packages' 8-bit AdamW, and bfloat16 weights beside optimi's."""
    shape = bench.shape("gpt")
    made = {}
    for label, ours, peers, dtype in (
        ("int8 states", {"state_dtype": "int8"}, entrants.EIGHT_BITS, torch.float32),
        ("bfloat16 weights", {"param_mode": "stochastic"}, entrants.BFLOAT16, torch.bfloat16),
    ):
        params = entrants.parameters(shape, bench.device, dtype)
        optimizer = entrants.ours("AdamW", params, **ours)
        optimizer.step()
        taken: dict[str, Step] = {"ours": optimizer.step}
        notes = {}
        for name, make in peers.items():
            try:
                taken[name] = make(params)
            except Absent as absent:
                notes[name] = str(absent)
            except Exception as error:
                notes[name] = f"failed: {error!s:.160}"
        made[label] = bench.case(f"AdamW, {label}", taken, moved_by(optimizer, params), notes)
        del params, optimizer, taken
    return made


def replayed(bench: Bench) -> Case | None:
    """A step of many tensors captured in a CUDA graph, beside the same step launched from the host."""
    if bench.device.type != "cuda":
        return None
    params = entrants.parameters(bench.shape("transformer"), bench.device)
    lr = torch.tensor(1e-3, device=bench.device)
    optimizer = entrants.ours("AdamW", params, lr=lr, max_norm=1.0, capturable=True)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    return bench.case("AdamW + clip, replayed", {"ours": graph.replay, "launched": optimizer.step}, 0)
