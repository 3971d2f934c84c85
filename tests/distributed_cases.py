"""What the tests of several processes run in each of them. Every case trains a small task, or steps optimizers, and
says what it found; processes are started once for a table of cases."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from downslope import optim, schedules
from downslope.errors import RunError, SettingError, StateError
from downslope.optim import sharding
from downslope.training import shards
from downslope.training.run import train
from downslope.training.task import Task

ROWS, BATCH = 37, 12  # the last batch has one row: fewer than processes


class Unused(nn.Module):
    """One parameter that no step uses, and one that only some do."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.never, self.sometimes = nn.Linear(5, 3), nn.Linear(5, 3), nn.Parameter(torch.ones(3))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.used(x) * (self.sometimes if self.calls % 2 and self.training else 1.0)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Sequential(nn.Linear(7, 6), nn.Tanh()), nn.Linear(6, 3))


def task(model: Callable[[], nn.Module] = mlp, **more: Any) -> Task:
    g = torch.Generator().manual_seed(3)
    x = torch.randn(ROWS + 1100, 5, generator=g)
    y = (x @ torch.randn(5, 3, generator=g)).argmax(1)
    parts = [(x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:]), (x[-50:], y[-50:])]  # validation takes two turns
    return Task.of(model, *parts, loss=F.cross_entropy, metric=accuracy, batch=BATCH, **more)


def accuracy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).float().mean()


def steep() -> Task:
    x = torch.randn(ROWS, 5, generator=torch.Generator().manual_seed(5))
    return Task.of(lambda: nn.Linear(5, 3), (x, x[:, :3]), loss=F.mse_loss, batch=BATCH)


PLAIN = {"optimizer": "adam", "lr": 0.02, "epochs": 3}
# name -> task and options. Each runs copied and in parts, and must be what one process makes of it.
RUNS: dict[str, tuple[Callable[[], Task], dict[str, Any]]] = {
    "adam": (task, PLAIN),
    "accumulate": (task, {**PLAIN, "accumulate": 3}),
    "penalties": (task, {**PLAIN, "optimizer": "sgd", "lr": 0.5, "l1": 0.01, "l2": 0.02, "accumulate": 2}),
    "clipped": (task, {**PLAIN, "optimizer": "sgd", "lr": 0.5, "max_norm": 0.1, "clip_value": 0.03}),
    "average": (task, {**PLAIN, "ema": 0.8}),
    "schedule": (task, {**PLAIN, "optimizer": "lion", "schedule": "cosine", "lr": 0.01}),
    "plateau": (task, {**PLAIN, "schedule": "plateau", "lr": 0.3, "epochs": 5, "schedule_settings": {"patience": 0}}),
    "best": (task, {**PLAIN, "lr": 0.1, "epochs": 30, "patience": 2}),
    "by steps": (task, {**PLAIN, "eval_steps": 3}),
    "full batch": (task, {**PLAIN, "batch": "full"}),
    "drop last": (lambda: task(drop_last=True), PLAIN),
    "muon": (task, {**PLAIN, "optimizer": "muon", "lr": 0.02}),
    "diverges": (lambda: steep(), {**PLAIN, "optimizer": "sgd", "lr": 1e4}),
}
COPIED_ALONE = {"unused": (lambda: task(Unused), PLAIN)}


def runs() -> dict[str, Callable[[], Task]]:
    every = {name: each for name, each in RUNS.items()} | {f"{name}, parts": each for name, each in RUNS.items()}
    return every | COPIED_ALONE


def run_of(name: str) -> tuple[Callable[[], Task], dict[str, Any]]:
    make, options = (RUNS | COPIED_ALONE)[name.removesuffix(", parts")]
    return make, {**options, "shard": True} if name.endswith(", parts") else options


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: (t.full_tensor() if sharding.is_shared(t) else t).clone() for name, t in model.state_dict().items()}


def outcome(result: Any) -> dict[str, Any]:
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in result.records]
    return {"records": records, "weights": weights(result.model), "steps": result.steps, "at": result.diverged_at}


def differences(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-5) -> list[str]:
    """What is not the same, in words."""
    wrong = [f"{k}: {found[k]} for {expected[k]}" for k in ("steps", "at") if found[k] != expected[k]]
    if len(found["records"]) != len(expected["records"]):
        return [*wrong, f"{len(found['records'])} records for {len(expected['records'])}"]
    for ours, theirs in zip(found["records"], expected["records"]):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            near = isinstance(value, float) and abs(ours[key] - value) <= tolerance * max(1.0, abs(value))
            if ours[key] != value and not near:
                wrong.append(f"step {theirs['step']}: {key} is {ours[key]} for {value}")
    for name, value in expected["weights"].items():
        if not torch.allclose(found["weights"][name], value, rtol=tolerance, atol=tolerance):
            wrong.append(f"{name} is {(found['weights'][name] - value).abs().max()} away")
    return wrong


# ---- cases that look at optimizers


def placed(values: list[torch.Tensor], mesh: Any, places: list[Any]) -> list[nn.Parameter]:
    from torch.distributed.tensor import distribute_tensor

    return [nn.Parameter(distribute_tensor(v.clone(), mesh, [p], src_data_rank=None)) for v, p in zip(values, places)]


def check_formulas() -> None:
    """Every optimizer on DTensors, cut evenly, unevenly, along another dimension, and copied, against plain tensors."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    places = [Shard(0), Shard(1), Shard(0), Replicate(), Shard(0)]
    shapes = [(5, 3), (4, 6), (1, 8), (3, 4), (9, 2)]
    wrong = []
    for dtype in (torch.float32, torch.bfloat16):
        for name, made in optim.OPTIMIZERS.items():
            g = torch.Generator().manual_seed(1)
            start = [torch.randn(shape, generator=g).to(dtype) for shape in shapes]
            plain, parts = [nn.Parameter(t.clone()) for t in start], placed(start, mesh, places)
            settings = {"max_norm": 0.7, "ema": 0.9, "lr": schedules.linear(0.05, 0.01, steps=4)}
            ours, theirs = made(parts, **settings), made(plain, **settings)
            for _ in range(3):
                for p, q in zip(parts, plain):
                    q.grad = torch.randn(q.shape, generator=g).to(dtype)
                    p.grad = distribute_tensor(q.grad, mesh, p.placements, src_data_rank=None)
                # gradients as autograd may leave them: cut along another dimension, or not summed up
                parts[1].grad = distribute_tensor(plain[1].grad, mesh, [Shard(0)], src_data_rank=None)
                parts[3].grad = DTensor.from_local(plain[3].grad / mesh.size(), mesh, [Partial()])
                version = parts[0]._version
                ours.step()
                theirs.step()
                if parts[0]._version == version:
                    wrong.append(f"{name} {dtype}: autograd does not hear of the step")
            compiled = ours._batch is not None and not ours._batch._slow
            if not compiled:
                wrong.append(f"{name} {dtype}: is not compiled")
            close = {"rtol": 1e-5, "atol": 1e-6} if dtype is torch.float32 else {"rtol": 0.02, "atol": 0.02}
            if name == "kate" and dtype is torch.bfloat16:  # divides by g²: a gradient's last bit is a long step
                continue
            for i, (p, q) in enumerate(zip(parts, plain)):
                if not torch.allclose(p.full_tensor(), q, **close):
                    wrong.append(f"{name} {dtype}: parameter {i} is {(p.full_tensor() - q).abs().max()} away")
            with ours.swap_average(), theirs.swap_average():
                if not all(torch.allclose(p.full_tensor(), q, **close) for p, q in zip(parts, plain)):
                    wrong.append(f"{name} {dtype}: the averages differ")
            if name in ("adam", "lion"):  # states pass from plain tensors to parts, and from parts to parts
                for source in (theirs, ours):
                    fresh = made(placed([q.detach() for q in plain], mesh, places), **settings)
                    fresh.load_state_dict(source.state_dict())
                    for p, q in zip(fresh.param_groups[0]["params"], plain):
                        for key in made.formula.states:
                            if not torch.allclose(fresh.state[p][key].full_tensor(), theirs.state[q][key], **close):
                                wrong.append(f"{name} {dtype}: {key} is lost on the way")
    assert not wrong, wrong


def check_norms() -> None:
    """Norms and nan over two meshes and plain parameters in one optimizer; one process's nan skips the step in all."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    size = dist.get_world_size()
    line, square = init_device_mesh("cpu", (size,)), init_device_mesh("cpu", (2, size // 2))
    values = [torch.randn(5, 3), torch.randn(8), torch.randn(3), torch.randn(4, 4)]
    for value in values:
        dist.broadcast(value, 0)
    layouts = [(line, [Shard(0)]), (square, [Replicate(), Shard(0)]), None, (square, [Shard(1), Shard(0)])]

    def spread(value: torch.Tensor, layout: Any) -> torch.Tensor:
        return value.clone() if layout is None else distribute_tensor(value, *layout, src_data_rank=None)

    params = [nn.Parameter(spread(v, layout)) for v, layout in zip(values, layouts)]
    plain = [nn.Parameter(v.clone()) for v in values]
    ours = optim.SGD(params, lr=1.0, max_norm=0.1, skip_nonfinite=True)
    theirs = optim.SGD(plain, lr=1.0, max_norm=0.1, skip_nonfinite=True)
    for p, q, layout in zip(params, plain, layouts):
        q.grad = torch.linspace(-1, 2, q.numel()).reshape(q.shape)
        p.grad = spread(q.grad, layout)
    ours.step()
    theirs.step()
    full = [p.full_tensor() if sharding.is_shared(p) else p for p in params]
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(full, plain)), (full, plain)
    before = [p.clone() for p in full]
    params[0].grad.to_local()[:1] *= float("nan") if dist.get_rank() == 0 else 1.0
    ours.step()
    full = [p.full_tensor() if sharding.is_shared(p) else p for p in params]
    assert ours.skipped_steps == 1 and all(map(torch.equal, full, before))
    total = [sharding.reduce_sum(float(sharding.local(p).numel()), p) for p in params]
    assert total == [15, 8, 3, 16], total
    for p in params:
        part = sharding.local(p).detach()
        assert torch.equal(sharding.share(sharding.gathered(part, p), p), part)


def check_checkpoint_functions() -> None:
    """torch.distributed.checkpoint.state_dict on our drop-ins as on torch's; with a schedule, which has not begun."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
    from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict as set_state
    from torch.distributed.fsdp import fully_shard

    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(4))

    def model() -> nn.Module:
        torch.manual_seed(0)
        return fully_shard(mlp())

    def steps(model: nn.Module, optimizer: Any, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

    def same(a: nn.Module, b: nn.Module) -> bool:
        return all(
            torch.allclose(p.full_tensor(), q.full_tensor(), atol=1e-6) for p, q in zip(a.parameters(), b.parameters())
        )

    for name, more in (("Adam", {}), ("SGD", {"momentum": 0.9}), ("Adagrad", {}), ("RMSprop", {"centered": True})):
        for options in (
            None,
            StateDictOptions(full_state_dict=True),
            StateDictOptions(flatten_optimizer_state_dict=True),
        ):
            a, b, c = model(), model(), model()
            torchs, ours = getattr(torch.optim, name)(a.parameters(), lr=0.01, **more), None
            ours = getattr(optim, name)(b.parameters(), lr=0.01, **more)
            for fresh in (True, False):
                if not fresh:
                    steps(a, torchs, 3)
                    steps(b, ours, 3)
                theirs, found = (get_optimizer_state_dict(*pair, options=options) for pair in ((a, torchs), (b, ours)))
                flat = [_flat(theirs), _flat(found)]
                assert flat[0].keys() == flat[1].keys(), (name, flat[0].keys() ^ flat[1].keys())
                for key, value in flat[0].items():
                    if isinstance(value, torch.Tensor):
                        assert torch.allclose(_full(value), _full(flat[1][key]), atol=1e-6), (name, key, fresh)
            c.load_state_dict(a.state_dict())
            third = getattr(optim, name)(c.parameters(), lr=0.01, **more)
            set_state(c, third, theirs, options=options)  # torch's goes into ours
            steps(a, torchs, 1)
            steps(c, third, 1)
            assert same(a, c), name
    for name in ("Adam", "Lion", "ScheduleFreeAdamW"):
        made = lambda m: getattr(optim, name)(m.parameters(), lr=schedules.cosine(0.01, steps=10))  # noqa: E731, B023
        a, b = model(), model()
        first, second = made(a), made(b)
        get_optimizer_state_dict(b, second)
        assert second.steps == 0 and same(a, b), name
        steps(a, first, 3)
        b.load_state_dict(a.state_dict())
        set_state(b, second, get_optimizer_state_dict(a, first))
        assert second.steps == 3, name
        steps(a, first, 1)
        steps(b, second, 1)
        assert same(a, b), name


def _full(t: torch.Tensor) -> torch.Tensor:
    return t.full_tensor() if sharding.is_shared(t) else t


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in _flat(each, f"{path}/{key}").items()}
    return {path: value}


def check_wrong() -> None:
    """Errors that name what was found."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    shared = distribute_tensor(torch.ones(4), mesh, [Shard(0)], src_data_rank=None)
    for param, grad, word in (
        (nn.Parameter(torch.ones(4)), shared, "is a plain tensor and its gradient a DTensor"),
        (nn.Parameter(DTensor.from_local(torch.ones(4), mesh, [Partial()])), None, "Partial"),
    ):
        param.grad = torch.ones_like(param).detach() if grad is None else grad
        try:
            optim.Adam([param]).step()
        except StateError as error:
            assert word in str(error), error
        else:
            raise AssertionError(word)
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.ones(4, 5), torch.zeros(4, dtype=torch.long)))
    bad = Task.of(mlp, loader, loss=F.cross_entropy)
    for call, kind, word in (
        (lambda: train(bad, epochs=1), SettingError, "DataLoader, whose batches"),
        (lambda: train(task(), members=2), SettingError, "members=2"),
        (lambda: train(task(), sync_batchnorm=True), SettingError, "sync_batchnorm"),
        (lambda: train(_nan_in_the_last_row(), batch="full"), RunError, "nan: 5 of"),
    ):
        try:
            call()
        except kind as error:
            assert word in str(error), error
        else:
            raise AssertionError(word)


def _nan_in_the_last_row() -> Task:
    """Only one process finds it, and all say so."""
    x = torch.randn(20, 5)
    x[-1] = float("nan")
    return Task.of(mlp, (x, torch.zeros(20, dtype=torch.long)), loss=F.cross_entropy, batch=20)


def check_dropout() -> None:
    """Processes draw differently, and a run is the same each time it is made with as many."""
    drops: list[list[torch.Tensor]] = []

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                drops[-1].append(torch.rand(3))
            return F.dropout(self.inner(x), 0.3, self.training)

    found = []
    for _ in range(2):
        drops.append([])
        found.append(outcome(train(task(Noisy), **PLAIN)))
    assert differences(found[0], found[1], 0.0) == []
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, drops[0][0])
    assert all(not torch.equal(a, b) for i, a in enumerate(every) for b in every[:i])
    assert torch.equal(drops[0][0], drops[1][0])


def check_batchnorm() -> None:
    """Each process normalises by its share; the scores and statistics are one and the same in all all the same."""

    def normed() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))

    for more in ({}, {"shard": True}, {"batchnorm": True}):
        own = outcome(train(task(normed), **PLAIN, batch=10, **more))
        every: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(every, own)
        assert all(differences(each, own, 0.0) == [] for each in every), more


CHECKS = (check_formulas, check_norms, check_checkpoint_functions, check_wrong, check_dropout, check_batchnorm)


# ---- in each process


def begin(rank: int, size: int, folder: Path) -> None:
    warnings.simplefilter("error")
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store{size}"), size)
    patience = timedelta(seconds=300)  # so that what waits for ever is a failure
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=patience)


WARNINGS = ("TypedStorage is deprecated", ".*is deprecated", "Profiler.*")


def work(rank: int, size: int, folder: Path, names: list[str]) -> None:
    """Run what is named, each with the others, and write down how it went."""
    begin(rank, size, folder)
    found: dict[str, Any] = {}
    for name in names:
        try:
            if name in STAGES:
                found[name] = STAGES[name](folder)
            elif name.startswith("check_"):
                found[name] = globals()[name]()
            else:
                make, options = run_of(name)
                found[name] = outcome(train(make(), **options))
        except Exception:
            found[name] = traceback.format_exc()
            break  # the others may wait in another place
    torch.save(found, folder / f"found-{size}-{rank}.pt")
    dist.destroy_process_group()


# ---- stages of runs that go on in another number of processes

LONG = {"optimizer": "adam", "lr": 0.02, "epochs": 6, "schedule": "cosine", "ema": 0.9, "save_seconds": 0.0}


class StopAt:
    """One of the processes wishes to stop; all do, after the same step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, loop: Any) -> None:
        if loop.step == self.step and (not dist.is_initialized() or dist.get_rank() == dist.get_world_size() - 1):
            loop.stop()


def begin_runs(folder: Path) -> Any:
    """Two processes: a run copied and one in parts, each whole, then the same ones stopped."""
    ends = {}
    for kind in ("copied", "parts"):
        options = {**LONG, "shard": kind == "parts"}
        ends[kind] = outcome(train(task(), out=str(folder / f"{kind}-whole"), **options))
        stopped = train(task(), out=str(folder / kind), callbacks=[StopAt(7)], **options)
        assert stopped.steps == 7, stopped.steps
        again = train(task(), resume=folder / kind)
        wrong = differences(outcome(again), ends[kind], 0.0)  # the same number goes on bit by bit
        assert wrong == [], (kind, wrong)
        train(task(), out=str(folder / f"{kind}-2"), callbacks=[StopAt(7)], **options)
    return ends


def go_on(folder: Path) -> Any:
    """Four processes: what two began, the other way too."""
    steps = {}
    for kind in ("copied", "parts"):
        other = train(task(), resume=folder / f"{kind}-2", callbacks=[StopAt(13)])
        steps[kind] = other.steps
    changed = train(task(), resume=folder / "copied-2", shard=True, callbacks=[StopAt(17)])
    steps["changed"] = changed.steps
    return steps


def full_disk(folder: Path) -> Any:
    """The disk is full for the process that leads: all say so, and the state before is kept, from which they go on."""
    path, calls, rename = folder / "full", [], os.rename

    def failing(*names: Any) -> None:
        calls.extend([names] if os.path.isdir(names[0]) else [])  # DCP renames a file of its own
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        rename(*names)

    os.rename = failing
    try:
        train(task(), out=str(path), shard=True, **LONG)
    except RunError as error:
        said = str(error)
    finally:
        os.rename = rename
    assert "state-2: cannot be written: No space left on device" in said, said
    dist.barrier()
    kept = shards.newest(path)
    assert kept is not None and kept.name == "state-1", kept
    return outcome(train(task(), resume=path))


STAGES: dict[str, Callable[[Path], Any]] = {"begin_runs": begin_runs, "go_on": go_on, "full_disk": full_disk}
