"""Formulas of whole tensors on parameters that processes share: norms are reduced, matrices gathered."""

from pathlib import Path

import torch
import torch.multiprocessing

import downslope
from downslope.optim import SOAP, Adafactor, AdamW, Kron, Muon, Prodigy, Route, Shampoo
from test_optim_whole import RULES

SHAPES = ((7, 6), (5, 3), (3, 4))
MAKE = {
    "muon": lambda pairs: Muon(pairs, lr=0.1, max_norm=1.0),
    **{
        name: (lambda pairs, made=made, own=own: made(pairs, **own))
        for name, made, own in (
            ("adafactor", Adafactor, {"lr": 0.1}),
            ("shampoo", Shampoo, {"update_freq": 2, "grafted": AdamW()}),
            ("soap", SOAP, {"lr": 0.1, "precondition_frequency": 2}),
            ("kron", Kron, {"lr": 0.1}),
            ("prodigy", Prodigy, {"d0": 1e-2, "centralize": True}),
        )
    },
    "route": lambda pairs: Route(pairs, {"p0": Muon(lr=0.1), "rest": AdamW(lr=0.1)}, max_norm=1.0),
    **{
        name: (lambda pairs, rule=rule: downslope.optimizer(rule)(pairs, weight_decay=0.1))
        for name, rule in RULES.items()
    },
}


def compare(rank: int, world: int, store: str) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world, init_method=f"file://{store}")
    mesh = init_device_mesh("cpu", (world,))
    for name, make in MAKE.items():
        for place in (Shard(0), Shard(1), Replicate()):
            random = torch.Generator().manual_seed(0)
            start = [torch.randn(shape, generator=random) for shape in SHAPES]
            alone = [torch.nn.Parameter(t.clone()) for t in start]
            shared = [torch.nn.Parameter(distribute_tensor(t.clone(), mesh, [place])) for t in start]
            one, other = (make([(f"p{i}", p) for i, p in enumerate(params)]) for params in (alone, shared))
            for _ in range(4):
                for p, q in zip(alone, shared):
                    p.grad = torch.randn(p.shape, generator=random)
                    q.grad = distribute_tensor(p.grad.clone(), mesh, [place])
                one.step()
                other.step()
            assert not other._batch._slow, "not compiled"
            for p, q, before in zip(alone, shared, start):
                found = q.full_tensor().detach()
                torch.testing.assert_close(found, p.detach(), rtol=1e-5, atol=1e-6, msg=f"{name}, {place}")
                assert not torch.equal(found, before)
    dist.destroy_process_group()


def test_two_processes_step_as_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(compare, (2, str(tmp_path / "store")), nprocs=2)
