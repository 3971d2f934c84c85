"""Peak memory of training with the step in the backward pass, beside a step after it.

    python -m benchmarks.backward

Each in a process of its own: 24 linear layers of 2,048 x 2,048, 101 M parameters, AdamW, batches of 8, three steps."""

from __future__ import annotations

import os
import subprocess
import sys

LAYERS, WIDTH, BATCH, STEPS = 24, 2048, 8, 3
WAYS = {"after the backward pass": False, "in the backward pass": True}


def train(fused: bool) -> int:
    """The most memory that this process ever had, in bytes."""
    import resource

    import torch

    from downslope.optim import AdamW, fuse_backward

    model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))
    optimizer = AdamW(model.parameters())
    if fused:
        fuse_backward(optimizer)
    for _ in range(STEPS):
        model(torch.randn(BATCH, WIDTH)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure() -> dict[str, int]:
    """Peak bytes by way."""
    found = {}
    for name, fused in WAYS.items():
        code = f"from benchmarks.backward import train; print(train({fused}))"
        # tensors in pages of their own, which go back when they are freed: what is counted is what is held
        place = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=place)
        found[name] = int(done.stdout)
    return found


if __name__ == "__main__":
    for name, peak in measure().items():
        print(f"step {name}: {peak / 2**20:,.0f} MiB")
