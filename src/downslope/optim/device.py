"""One step on a GPU: nothing in it waits for the device, so that it can be captured in a CUDA graph.

Step counts, scalar states, norms, the learning rate (where it is a tensor there) and whether the step is to be skipped
stay on the device; what comes from the host, settings and the gradients' addresses, goes there in one asynchronous
copy, if any of it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..backends import eager, gpu
from ..backends.storage import STORAGES, beside_of, mix, random_numbers
from ..compiler.cut import Call
from ..compiler.graph import Node, walk
from ..compiler.ops import ONE_NUMBER, WHOLE
from ..compiler.plan import Plan
from . import around, sharding
from .member import Member
from .sharding import local
from .stage import note_change, source
from .table import DATA_PTR, PLAIN, dense, laid_out_like

if TYPE_CHECKING:
    from .base import Optimizer

Group = dict[str, Any]
REDUCED = {"norm": True, "mean": False}  # the operations that the kernels reduce, and whether they sum squares
CALLS = frozenset({*REDUCED, "newton_schulz"})
KEPT = {storage.dtype for storage in STORAGES.values()}


def covers(param: torch.Tensor, state: Mapping[str, Any], group: Group, plan: Plan) -> bool:
    """Whether the GPU's kernels cover a parameter and its states."""
    here = local(param)
    return gpu.covers(here.device) and not group.get("differentiable") and fitting(here, state, plan)


def fitting(here: torch.Tensor, state: Mapping[str, Any], plan: Plan) -> bool:
    """Whether a parameter's memory and its states' are such that one index finds the same element in each."""
    states = [local(state[name]) for name in plan.states if state.get(name) is not None]
    return (
        here.dtype in gpu.KINDS
        and type(here) in PLAIN
        and here.layout is torch.strided
        and dense(here)
        and all(call.op in CALLS for each in plan.passes for call in each.calls)
        and not plan.kept
        and not any(each.section for each in plan.passes)
        and all(
            t.dtype in KEPT and t.stride() == here.stride() and t.shape == here.shape and type(t) in PLAIN
            for t in states
        )
    )


class Rows:
    """Members with the same plan and dtypes: one launch for each of its passes."""

    def __init__(self, members: list[Member], upload: gpu.Upload):
        self.members, self.plan = members, members[0].plan
        self._upload, self._count = upload, len(members)
        self._passes = [*self.plan.passes]
        self._storages = dict(zip(self.plan.tensors, members[0].storages))
        self._beside = beside_of(self.plan.tensors, members[0].storages)
        self._locals = [local(m.param) for m in members]
        self._addresses = self._where()
        self._groups = [*{id(m.group): m.group for m in members}.values()]
        self._grads_at = upload.slot(self._count)
        of_calls = [call.result for each in self._passes for call in each.calls if call.op in ONE_NUMBER]
        self._measured = ("rows", "columns", *of_calls)
        apart = {"t", *self.plan.numbers, *self._measured}
        names = dict.fromkeys(name for each in self._passes for name in each.scalars)
        self._settings = tuple(name for name in names if name not in apart)
        self._sources = [source(name) for name in self._settings]
        self._settings_at = upload.slot(len(self._settings) * len(self._groups))
        self._key = sharding.key(members[0].param)

    def place(self, bank: torch.Tensor, skip: torch.Tensor) -> None:
        """Lay the tables out on the device, once the upload knows its size."""
        device, members, groups = bank.device, self.members, len(self._groups)
        self._bank, self._skip = bank, skip
        grads = self._upload.device(self._grads_at, self._count)
        columns = [self._addresses["p"], [0] * self._count, *[*self._addresses.values()][1:]]
        self.launch = gpu.Launch(columns, [t.numel() for t in self._locals], grads, device)
        self._host = self._upload.host(self._settings_at, len(self._settings) * groups, np.float64)
        self._host = self._host.reshape(len(self._settings), groups)
        table = self._upload.device(self._settings_at, max(self._host.size, 1), torch.float64)
        self._table = table[: self._host.size].view(-1, groups) if self._host.size else table.view(1, 1)
        numbers = [[float(m.numbers.get(name, 0.0)) for m in members] for name in self._measured]
        self._numbers = torch.tensor(numbers, dtype=torch.float64, device=device)
        self._sizes = torch.tensor([max(m.param.numel(), 1) for m in members], dtype=torch.float64, device=device)
        self._places = torch.tensor([m.place for m in members], device=device)
        order = {id(group): i for i, group in enumerate(self._groups)}
        self._group_of = torch.tensor([order[id(m.group)] for m in members], device=device)
        slots = max(len(each.slots) for each in self._passes)
        self._slots = torch.zeros(max(slots, 1), self._count, dtype=torch.float64, device=device)
        first = bool(random_numbers(self.plan.tensors, members[0].storages))
        self._keys = torch.zeros(self._count, dtype=torch.int64, device=device)
        self._once = [
            gpu.once(each, self._settings, self._measured, first and i == 0, i == len(self._passes) - 1)
            for i, each in enumerate(self._passes)
        ]
        self._kernels: dict[Any, list[Any]] = {}

    def fits(self) -> bool:
        """Whether parameters and states are still where the table says."""
        try:
            return self._where() == self._addresses
        except KeyError:  # a state is gone
            return False

    def _where(self) -> dict[str, list[int]]:
        """The addresses of all tensors but gradients, by name."""
        names = [name for name in (*self.plan.tensors, *self._beside) if name != "g"]
        return {name: [*map(DATA_PTR, map(local, self._of(name)))] for name in names}

    def _of(self, name: str) -> list[torch.Tensor]:
        if name == "p":
            return [m.param for m in self.members]
        return [m.scratch[name] if name in m.scratch else m.state[name] for m in self.members]

    def take(self, grads: list[torch.Tensor]) -> list[torch.Tensor]:
        """This step's gradients, copied where their memory is laid out differently from their parameter's. Returns what
        must stay alive until the step is over."""
        grads = [
            g if g.stride() == p.stride() and not g.is_neg() and type(g) in PLAIN else laid_out_like(p, g)
            for g, p in zip(grads, self._locals)
        ]
        self._upload.host(self._grads_at, self._count)[:] = [*map(DATA_PTR, grads)]
        self._aligned = self.launch.aligned and not any(g.data_ptr() % 16 for g in grads)
        self._grads = grads
        return grads

    def settings(self, options: Mapping[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Write what the host knows; what the device knows is returned, with where it is to go."""
        there = []
        for line, (name, place) in enumerate(self._sources):
            for column, group in enumerate(self._groups):
                found = options[name] if name in options else group[name]
                value = found if place is None else found[place]
                if isinstance(value, torch.Tensor) and value.device == self._bank.device:
                    there.append((self._table[line, column], value))
                else:
                    # None stands for the precision of the parameter, as in torch's Adafactor
                    self._host[line, column] = torch.finfo(self._locals[0].dtype).eps if value is None else value
        return there

    def sum_of_squares(self) -> torch.Tensor:
        """Of all gradients, over all processes that have another part of them."""
        return self._over_mesh(self.launch.sums(None, self._kind_of_grads, True).sum())

    def _over_mesh(self, sums: torch.Tensor) -> torch.Tensor:
        if self._key is not None:
            mesh: Any = self._key[0]  # type: ignore[index]
            for dim in self._key[1]:  # type: ignore[index]
                torch.distributed.all_reduce(sums, group=mesh.get_group(dim))
        return sums

    @property
    def _kind_of_grads(self) -> str:
        return gpu.KINDS[self._grads[0].dtype]

    def run(self, seed: int) -> None:
        """All passes, and what is between them; `seed` is that of random rounding."""
        for each, once, kernel in zip(self._passes, self._once, self._compiled()):
            gpu.run_once(
                once,
                slots=self._slots,
                keys=self._keys,
                seed=mix(seed & 0xFFFFFFFF),
                bank=self._bank,
                places=self._places,
                settings=self._table,
                measured=self._numbers,
                group_of=self._group_of,
                skip=self._skip,
            )
            self.launch.update(kernel, self._slots, self._keys, self._skip)
            for call in each.calls:
                self._call(call)

    def _compiled(self) -> list[Any]:
        key = self._aligned, self._kind_of_grads
        if key not in self._kernels:
            kept = tuple({**self._storages, "g": self._kind_of_grads}.values())
            self._kernels[key] = [gpu.update(each, kept, self._aligned) for each in self._passes]
        return self._kernels[key]

    def _call(self, call: Call) -> None:
        if call.op not in REDUCED:
            for m, grad in zip(self.members, self._grads):
                here = grad if call.source == "g" else m.tensor(call.source)
                numbers = [_number(n, m.group) for n in call.numbers]
                full = sharding.gathered(here, m.param)
                m.scratch[call.result].copy_(sharding.share(WHOLE[call.op].tensor(full, *numbers), m.param))
            return
        sums = self._over_mesh(self._sums(call.source, REDUCED[call.op]))
        into = self._numbers[self._measured.index(call.result)]
        into.copy_(sums.sqrt() if REDUCED[call.op] else sums / self._sizes)

    def _sums(self, name: str, squares: bool) -> torch.Tensor:
        if name == "g":
            return self.launch.sums(None, self._kind_of_grads, squares)
        kept = self._storages[name]
        beside = [len(self.plan.tensors) + self._beside.index(more) for more in beside_of([name], (kept,))]
        return self.launch.sums(self.plan.tensors.index(name), kept, squares, *beside)


def _number(n: Node, group: Group) -> float:
    """A number that depends on settings alone."""
    leaves = [str(leaf.value) for leaf in walk([n]) if leaf.op == "scalar"]
    known = {name: group[s] if i is None else group[s][i] for name in leaves for s, i in [source(name)]}
    return float(eager.evaluate({"it": n}, {}, known)["it"])


class DeviceBatch:
    """One step of the parameters on one GPU: built again when an address changes."""

    def __init__(self, members: list[Member], bank: torch.Tensor):
        self.members = members
        for m in members:
            sharding.check(m.param)
            m.prepare()
        self._upload = gpu.Upload(bank.device)
        keyed: dict[Any, list[int]] = {}
        for i, m in enumerate(members):
            keyed.setdefault((m.plan, m.storages, sharding.key(m.param)), []).append(i)
        self._of_rows = [*keyed.values()]
        self._rows = [Rows([members[i] for i in places], self._upload) for places in self._of_rows]
        self._upload.build()
        self._skip = torch.zeros(1, dtype=torch.int32, device=bank.device)
        self.skipped = torch.zeros(1, dtype=torch.int64, device=bank.device)
        self._marked = False
        for rows in self._rows:
            rows.place(bank, self._skip)
        self._changed = [t for m in members for t in (m.param, local(m.param))]

    def fits(self, grads: list[torch.Tensor]) -> bool:
        """Whether everything is still where it was."""
        return all(rows.fits() for rows in self._rows)

    def take(self, grads: list[torch.Tensor]) -> None:
        """This step's gradients, in the order of the members."""
        here = [sharding.local_gradient(g, m.param) for g, m in zip(grads, self.members)]
        self._grads = [rows.take([here[i] for i in places]) for rows, places in zip(self._rows, self._of_rows)]

    def options(self, optimizer: Optimizer) -> dict[str, Any]:
        """The scalars of the transforms in this step, on the device where they come from there."""
        scale, found_inf = (getattr(optimizer, name, None) for name in ("grad_scale", "found_inf"))
        options: dict[str, Any] = {
            "seed": optimizer.rounding_seed,
            "unscale": 1.0 if scale is None else 1.0 / _double(scale),
            **around.handed(optimizer),
        }
        max_norm = around.now(optimizer, "max_norm")
        skip = None if found_inf is None else found_inf.reshape(1) > 0
        if max_norm is not None or optimizer.skip_nonfinite:
            norm = self.norm() * options["unscale"]
            if optimizer.skip_nonfinite:
                broken = ~torch.isfinite(norm).reshape(1)
                skip = broken if skip is None else skip | broken
            if max_norm is not None:
                options["clip_coef"] = (float(max_norm) / (norm + 1e-6)).clamp(max=1.0)
        if skip is not None:
            self._skip.copy_(skip)
            self.skipped += self._skip
        elif self._marked:  # by a step before, whose mark is not this one's
            self._skip.zero_()
        self._marked = skip is not None
        return options

    def norm(self) -> torch.Tensor:
        """The global norm of the gradients, a number on the device."""
        self._upload.send()  # the gradients' addresses
        return torch.stack([rows.sum_of_squares() for rows in self._rows]).sum().sqrt()

    def finite(self) -> bool:
        """Whether the norm is finite; a look at it waits for the device."""
        return bool(torch.isfinite(self.norm()))

    def run(self, options: Mapping[str, Any]) -> None:
        """Update every parameter and state."""
        there = [pair for rows in self._rows for pair in rows.settings(options)]
        self._upload.send()
        for place, value in there:
            place.copy_(value.detach().reshape(()))
        for rows in self._rows:
            rows.run(options["seed"])
        note_change(self._changed)
        self._grads = []


def _double(value: Any) -> Any:
    return value.detach().double().reshape(()) if isinstance(value, torch.Tensor) else float(value)
