"""What a program pays once: the import, and the first step with its tracing and compiling. Each in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
IMPORTS = ["import downslope", "import downslope.optim"]
IMPORT = """
import time
import torch
start = time.perf_counter()
import downslope
alone = time.perf_counter() - start
import downslope.optim
print(alone, time.perf_counter() - start)
"""

# An optimizer of torch is made and stepped first: it pays for what torch itself loads with the first of any optimizer.
FIRST_STEP = """
import time
import torch
import {package}
from benchmarks.shapes import SHAPES, parameters
warm = torch.nn.Parameter(torch.ones(2))
warm.grad = torch.ones(2)
torch.optim.SGD([warm], lr=0.1).step()
params = parameters(SHAPES["{shape}"])
start = time.perf_counter()
{package}.Adam(params{settings}).step()
print(time.perf_counter() - start)
"""
FIRST_STEPS = {"ours": ("downslope.optim", ""), "fused": ("torch.optim", ", fused=True")}


def _fresh(code: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"a fresh process failed:\n{done.stderr[-2000:]}")
    return [float(figure) for figure in done.stdout.splitlines()[-1].split()]


def import_seconds(times: int) -> dict[str, float]:
    """Seconds that each import adds once torch is there, median of several."""
    return {name: median(found) for name, found in zip(IMPORTS, zip(*(_fresh(IMPORT) for _ in range(times))))}


def first_step_seconds(times: int, shape: str = "small") -> dict[str, Any]:
    """Seconds to make Adam and take its first step, interleaved, median of several."""
    codes = {
        name: FIRST_STEP.format(package=package, settings=settings, shape=shape)
        for name, (package, settings) in FIRST_STEPS.items()
    }
    rounds = [{name: _fresh(code)[0] for name, code in codes.items()} for _ in range(times)]
    return {"shape": shape, **{name: median(each[name] for each in rounds) for name in codes}}
