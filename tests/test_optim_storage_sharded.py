"""States in fewer bits of parameters that processes share: blocks of the own part, checkpoints with the same bits."""

from pathlib import Path

import torch
import torch.multiprocessing

from downslope.optim import AdamW

SHAPES = ((5, 300), (3,), (1, 7))  # parts of several blocks and of none
SETTINGS = ({"state_dtype": "int8"}, {"state_dtype": "bfloat16"}, {"param_mode": "split"})


def compare(rank: int, world: int, store: str) -> None:
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world, init_method=f"file://{store}")
    mesh = init_device_mesh("cpu", (world,))
    for number, settings in enumerate(SETTINGS):
        dtype = torch.bfloat16 if "param_mode" in settings else torch.float32

        def shared(values: list[torch.Tensor]) -> list[torch.nn.Parameter]:
            return [torch.nn.Parameter(distribute_tensor(v.clone(), mesh, [Shard(0)])) for v in values]

        random = torch.Generator().manual_seed(0)
        params = shared([torch.randn(shape, generator=random).to(dtype) for shape in SHAPES])
        made = AdamW(params, lr=0.01, max_norm=1.0, **settings)
        folder = f"{store}.{number}"
        for step in range(4):
            grads = [torch.randn(shape, generator=random).to(dtype) for shape in SHAPES]
            if step == 2:  # from here on twice: as it is, and from a checkpoint
                kept = {f"{i}.{k}": v for i, s in made.state_dict()["state"].items() for k, v in s.items() if v.ndim}
                dcp.save(kept, checkpoint_id=folder)
                loaded = {name: torch.zeros_like(v) for name, v in kept.items()}
                dcp.load(loaded, checkpoint_id=folder)
                copies = shared([p.full_tensor().detach() for p in params])
                resumed = AdamW(copies, lr=0.01, max_norm=1.0, **settings)
                state_dict = made.state_dict()
                for i, state in state_dict["state"].items():
                    state_dict["state"][i] = {k: loaded.get(f"{i}.{k}", v) for k, v in state.items()}
                resumed.load_state_dict(state_dict)
            for each in (params, *([copies] if step >= 2 else [])):
                for p, grad in zip(each, grads):
                    p.grad = distribute_tensor(grad, mesh, [Shard(0)])
            made.step()
            if step >= 2:
                resumed.step()
        assert not made._batch._slow, settings
        for p, q in zip(params, copies):
            assert torch.equal(p.to_local(), q.to_local()), settings
            for name, value in made.state[p].items():
                if isinstance(value, DTensor):
                    assert torch.equal(value.to_local(), resumed.state[q][name].to_local()), (settings, name)
        float32 = made.float32_state_dict()["state"][0]
        assert float32.keys() == {"step", "exp_avg", "exp_avg_sq"} and float32["exp_avg"].dtype is torch.float32
        assert isinstance(float32["exp_avg"], DTensor) and float32["exp_avg"].shape == SHAPES[0]
    dist.destroy_process_group()


def test_blocks_are_of_the_own_part(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(compare, args=(2, str(tmp_path / "store")), nprocs=2)
