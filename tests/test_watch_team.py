"""A watch in two processes: the first reports, the other contributes, nobody waits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import downslope


def process(rank: int, folder: Path, mode: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{mode}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(
        torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    )
    optimizer = torch.optim.SGD(model.parameters(), 50.0 if mode == "high" else 0.1)
    generator = torch.Generator().manual_seed(0 if mode == "same" else rank)
    seen = downslope.watch(model, optimizer, budget=1.0, out=folder / f"out-{mode}")
    for i in range(90):
        x = torch.randn(16, 4, generator=generator)
        if mode == "nan" and rank == 1 and i == 70:
            x[3, 2] = torch.nan
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
        optimizer.step()
    if rank == 1:
        seen.close()
        assert not (folder / f"out-{mode}").exists()
    assert seen.leads == (rank == 0)
    dist.barrier()
    if rank == 0:  # alone: forks must not wait for the other either
        (folder / f"{mode}.json").write_text(seen.report().to_json())
        seen.close()
        assert (folder / f"out-{mode}" / "findings.json").exists()
    if mode == "well":
        fails(rank, folder, model, optimizer)
    dist.barrier()
    dist.destroy_process_group()


def fails(rank: int, folder: Path, model: Any, optimizer: Any) -> None:
    """A crash in one process leaves what that one has seen."""
    try:
        with downslope.watch(model, optimizer, out=folder / "failed"):
            model(torch.ones(2, 4)).sum().backward()
            optimizer.step()
            if rank == 1:
                raise ValueError
    except ValueError:
        kept = json.loads((folder / "failed" / "process-1" / "findings.json").read_text())
        assert any("ended by ValueError after 1 steps" in note for note in kept["notes"])


def several(rank: int, folder: Path) -> None:
    for mode in EXPECTED:
        process(rank, folder, mode)


EXPECTED = {"well": None, "high": "lr-too-high", "same": "same-batches", "nan": "not-finite"}


def test_the_first_process_reports_and_the_other_contributes(tmp_path: Path) -> None:
    mp.spawn(several, (tmp_path,), nprocs=2)
    found: dict[str, Any] = {mode: json.loads((tmp_path / f"{mode}.json").read_text()) for mode in EXPECTED}
    for mode, symptom in EXPECTED.items():
        assert [f["symptom"] for f in found[mode]["findings"]] == ([symptom] if symptom else []), mode
        assert found[mode]["steps"] == 90 and "process 1" in " ".join(found[mode]["notes"])
    assert found["nan"]["findings"][0]["verdict"] == "the loss was not finite at step 70 in process 1"
    assert "inputs of that batch" in found["nan"]["findings"][0]["cause"]
    assert "lr x" in found["high"]["findings"][0]["tried"]


def test_alone_there_is_no_team() -> None:
    from downslope.diagnose.team import Team, joined

    assert joined() is None
    due = [i for i in range(1100) if Team.due(None, i)]  # type: ignore[arg-type]
    assert due == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024]
