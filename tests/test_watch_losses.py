"""Members that train together are judged by their losses, and losses alone are judged as those of a watched run are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from downslope import Task
from downslope.cli import app
from downslope.diagnose import course
from downslope.training.run import train

STEPS = 300


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def falling(noise: float = 0.05) -> list[float]:
    g = torch.Generator().manual_seed(0)
    jitter = (noise * torch.randn(STEPS, generator=g)).exp().tolist()
    return [(0.2 + 2.0 * math.exp(-i / 50)) * x for i, x in enumerate(jitter)]


def with_(at: dict[int, float]) -> list[float]:
    return [at.get(i, x) for i, x in enumerate(falling())]


def scored(values: Callable[[int], float]) -> list[tuple[int, float]]:
    return [(step, values(step)) for step in range(20, STEPS + 1, 20)]


LOSSES: dict[str, tuple[list[float], list[tuple[int, float]], str | None]] = {
    "falls": (falling(), scored(lambda i: 0.3 + 2 * math.exp(-i / 50)), None),
    "a little noise": (falling(0.3), [], None),
    "explodes": ([2.2 * 1.02**i for i in range(STEPS)], [], "loss-exploding"),
    "nan": ([*falling()[:200], math.nan], [], "not-finite"),
    "spikes": (with_({150: 9.0, 151: 6.0, 152: 4.0, 220: 30.0}), [], "loss-spikes"),
    "overfits": (falling(), scored(lambda i: 0.5 + abs(i - 60) / 100), "overfitting"),
}


@pytest.mark.parametrize("case", LOSSES)
def test_losses_alone(case: str) -> None:
    losses, validation, symptom = LOSSES[case]
    found = course.report(losses, validation, {}, 0.02, "here is a test")
    assert [f.symptom for f in found] == ([symptom] if symptom else [])
    assert found.steps == len(losses) and found.notes == ["judged by its losses alone: here is a test"]
    if case == "nan":
        assert "step 200" in found.findings[0].verdict and "not looked at" in found.findings[0].cause
    assert all(f.picture is not None for f in found)
    json.loads(found.to_json())


def steep() -> Task:
    """A square whose descent doubles its loss at each step, or overflows at once, by the rate."""
    inputs = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    loss = lambda output, target: (output - target).square().mean()  # noqa: E731
    return Task("steep", lambda: nn.Linear(2, 1), lambda: [(inputs, 3 * inputs[:, :1])] * 2, loss, batch=10)


@pytest.mark.parametrize(
    ("lr", "symptom"), [(0.05, None), (1.6, "loss-exploding"), (1e12, "not-finite")], ids=["well", "explodes", "inf"]
)
def test_members_together_are_watched(lr: float, symptom: str | None, tmp_path: Path) -> None:
    options: dict[str, Any] = {"members": 2, "together": "yes", "optimizer": "sgd", "lr": lr, "epochs": 4}
    result = train(steep(), out=tmp_path / "seen", **options)
    plain = train(steep(), out=tmp_path / "alone", watch=0, **options)
    for number, (seen, unseen) in enumerate(zip(result.members, plain.members)):
        weights = unseen.model.state_dict()
        assert all(t.nan_to_num(7).equal(weights[n].nan_to_num(7)) for n, t in seen.model.state_dict().items())
        folder = tmp_path / "seen" / f"member-{number}"
        found = json.loads((folder / "findings.json").read_text())
        assert found["steps"] == seen.steps + (seen.diverged_at is not None)
        assert (folder / "report.html").exists() and "together" in found["notes"][0]
        if symptom is None or seen.diverged_at == result.diverged_at:
            assert [f["symptom"] for f in found["findings"]][:1] == ([symptom] if symptom else [])
        assert unseen.report is None and not (tmp_path / "alone" / f"member-{number}" / "findings.json").exists()


FILE = """
import torch
from torch import nn

EPOCHS, BATCH = 4, 10

def model():
    return nn.Linear(2, 1)

def data():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    return (x, 3 * x[:, :1]), (x, 3 * x[:, :1])

def loss(output, target):
    return (output - target).square().mean()
"""


@pytest.mark.parametrize(("together", "symptom"), [("yes", "loss-exploding"), ("no", "lr-too-high")])
def test_the_command_line_says_which_member_is_sick(together: str, symptom: str, tmp_path: Path) -> None:
    file = tmp_path / "steep.py"
    file.write_text(FILE)
    words = ["train", str(file), "--members", "2", "--together", together, "--optimizer", "sgd", "--lr", "1.6"]
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")]).output
    assert f"member 0: {symptom}" in said and f"member 1: {symptom}" in said
