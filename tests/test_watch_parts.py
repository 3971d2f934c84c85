"""A watch of a model that is cut into parts over two processes (FSDP2): sick runs are named, healthy ones are not, and
nobody waits for anybody: the processes look at different steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn import functional as F

import distributed_cases as cases
import downslope
from downslope.diagnose.parts import needs_others
from downslope.errors import SettingError
from downslope.optim.sharding import local
from downslope.training.run import train

STEPS, BAD, SHARED = 90, 70, 64


def parts(hidden: int = 9) -> nn.Module:
    """Cut unevenly: 5 rows and 4; of the last layer's only row one process has nothing."""
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, hidden), nn.ReLU(), nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()), nn.Linear(hidden, 1)
    )
    for block in (model[0], model[2]):
        fully_shard(block)
    return fully_shard(model)


def columns() -> nn.Module:
    """Both processes compute a part of each layer, on the same batches (tensor parallel)."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    return parallelize_module(model, init_device_mesh("cpu", (2,)), {"0": ColwiseParallel(), "2": RowwiseParallel()})


def flat() -> nn.Module:
    """torch's first FSDP."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 1))
    return FullyShardedDataParallel(model, use_orig_params=True, device_id=torch.device("cpu"))


SCORED = ("seldom", "high", "one")  # before they are watched: FSDP has gathered parameters by then
MADE = {"columns": columns, "flat": flat, "flat, nan": flat}
# name -> learning rate, budget of each process, the symptom
MODES: dict[str, tuple[float, tuple[float, float], str | None]] = {
    "well": (0.5, (1.0, 1.0), None),
    "slow": (0.05, (0.02, 1.0), None),  # it hardly moves, and neighbours' gradients turn by chance
    "seldom": (0.5, (0.02, 1.0), None),
    "high": (30.0, (1.0, 1.0), "lr-too-high"),
    "nan": (0.5, (1.0, 1.0), "not-finite"),
    "kept": (0.002, (1.0, 0.02), "gradients-not-zeroed"),
    "columns": (0.5, (1.0, 0.02), None),
    "flat": (0.5, (1.0, 0.02), None),
    "flat, nan": (0.5, (1.0, 0.02), "not-finite"),
    "alike": (0.05, (1.0, 1.0), "init-constant"),
    "one": (0.5, (0.02, 0.0), None),  # the other process does not watch; the last, as watches are told by their number
}


def loop(rank: int, folder: Path, mode: str, watched: bool) -> list[torch.Tensor]:
    """The weights that lie here in the end."""
    lr, budgets, _ = MODES[mode]
    model = MADE.get(mode, parts)()
    if mode == "alike":
        for p in model.parameters():
            p.data.to_local().fill_(0.1)
    optimizer = downslope.optim.SGD(model.parameters(), lr, momentum=0.5)
    generator = torch.Generator().manual_seed(0 if mode == "columns" else rank)
    if mode in SCORED:
        with torch.no_grad():
            model(torch.ones(2, 4))
    seen = downslope.watch(model, optimizer, budgets[rank]) if watched and budgets[rank] else None
    true: dict[str, Any] = {}
    for i in range(STEPS):
        x = torch.randn(16, 4, generator=generator)
        y = (x[:, :1] > 0).float()
        if mode.endswith("nan") and rank == 1 and i == BAD:
            x[3, 2] = torch.nan
        if mode != "kept":
            optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(x), y).backward()
        if mode == "well" and i == SHARED:
            true = {"weight": full(model.parameters()), "grad": full(p.grad for p in model.parameters())}
        optimizer.step()
    if seen is not None and rank == 1:
        seen.close()
    dist.barrier()
    if seen is not None and rank == 0:  # alone: nothing in it may wait for the other
        (folder / f"{mode}.json").write_text(seen.report().to_json())
        if mode == "well":
            check_whole(seen, true)
        seen.close()
    return [local(p).detach().clone() for p in model.parameters()]


def full(tensors: Any) -> list[float]:
    return [float(t.detach().full_tensor().norm()) for t in tensors]


def check_whole(seen: Any, true: dict[str, Any]) -> None:
    """What is known of all parts together, at a step at which both have looked and of the start; and what is said."""
    with seen._pooled():
        sample = next(x for x in seen.signals.samples if x.step == SHARED)
        known = list(seen.signals.parameters)
    for kind, norms in true.items():
        assert np.allclose(getattr(sample, kind), norms, rtol=1e-5), (kind, getattr(sample, kind), norms)
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Sequential(nn.Linear(9, 9), nn.ReLU()), nn.Linear(9, 1))
    for p, t in zip(known, (t.detach() for t in whole.parameters())):
        assert np.isclose(p.mean, float(t.mean()), atol=1e-6)
        assert t.numel() == 1 or np.isclose(p.std, float(t.std()), rtol=1e-5), p.name
    assert [p.follows for p in known] == ["relu", "relu", "relu", "relu", "", ""]
    assert [p.order for p in known] == sorted(p.order for p in known) and known[0].order >= 0
    with pytest.raises(SettingError, match="cut into parts over several processes"):
        seen.whatif(lr=(10,))


def trained(folder: Path, rank: int) -> None:
    """The loop of `downslope.train` with --shard, watched as by default, and closely."""
    plain = cases.outcome(train(cases.task(), **cases.PLAIN, shard=True))
    for budget in (0.02, 1.0):
        out = folder / f"watched-{budget}"
        result = train(cases.task(), **cases.PLAIN, shard=True, out=str(out), watch=budget)
        assert cases.differences(cases.outcome(result), plain, 0.0) == []
        assert (result.report is None) == (rank == 1)
    steep = {**cases.PLAIN, "optimizer": "sgd", "lr": 1e4, "shard": True}
    train(cases.steep(), **steep, out=str(folder / "steep"), watch=1.0)


def gathered() -> None:
    """After a forward pass without gradients the model holds other tensors than the optimizer, which is said where
    torch does not tell which part is behind which."""
    model = parts()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with torch.no_grad():
        model(torch.ones(2, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.diagnose.watch.behind", lambda model: {})
        with pytest.raises(SettingError, match=r"has gathered its parts .* model.reshard\(\) in every process"):
            downslope.watch(model, optimizer)
    downslope.watch(model, optimizer).close()
    model.reshard()
    downslope.watch(model, optimizer).close()


def process(rank: int, folder: Path) -> None:
    cases.begin(rank, 2, folder)
    for mode in MODES:
        if mode == "one":
            trained(folder, rank)
        a, b = (loop(rank, folder, mode, watched) for watched in (True, False))
        same = [torch.equal(x.nan_to_num(7.0), y.nan_to_num(7.0)) for x, y in zip(a, b)]
        assert all(same), f"{mode}: a watch changes the weights in process {rank}"
    gathered()
    dist.barrier()
    dist.destroy_process_group()


def test_parts_are_watched(tmp_path: Path) -> None:
    mp.spawn(process, (tmp_path,), nprocs=2)
    for mode, (_, budgets, symptom) in MODES.items():
        found = json.loads((tmp_path / f"{mode}.json").read_text())
        assert [f["symptom"] for f in found["findings"]] == ([symptom] if symptom else []), mode
        notes = " ".join(found["notes"])
        assert "nothing was tried in forked runs: the model is cut into parts" in notes
        assert ("losses there: process 1" in notes) == (budgets[1] > 0), mode
        assert "failed" not in notes and "ended" not in notes, notes
        assert not any(f["tried"] for f in found["findings"])
    nan, flat = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("nan", "flat, nan"))
    assert "shows none of them" in " ".join(flat["notes"]) and "shows none of them" not in " ".join(nan["notes"])
    nan = nan["findings"][0]
    assert nan["verdict"] == f"the loss was not finite at step {BAD} in process 1" and "inputs" in nan["cause"]
    for folder in ("watched-0.02", "watched-1.0", "steep"):
        found = json.loads((tmp_path / folder / "findings.json").read_text())
        assert [f["symptom"] for f in found["findings"]] == (["lr-too-high"] if folder == "steep" else [])
        assert "losses there: process 1" in " ".join(found["notes"])


def test_what_waits_for_others_is_not_forked() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2))
    assert needs_others(model, team=False) == ""
    assert "SyncBatchNorm waits" in needs_others(model, team=True)
    assert needs_others(nn.Linear(2, 2), team=True) == ""
