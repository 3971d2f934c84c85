"""The GPU benchmark's bookkeeping, on the CPU: what is measured, how it is judged, what the page says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ stands beside src/ and is not installed

import typer  # noqa: E402
from benchmarks.gpu import entrants, run, table  # noqa: E402
from benchmarks.gpu.__main__ import main, write_docs  # noqa: E402


def case(optimizer: str, over: float, **ratio: float) -> dict[str, Any]:
    label = f"{optimizer}, GPT"
    return {
        "label": label, "optimizer": optimizer, "shape": "gpt", "over_copy": over, "copy_gbs": 3000.0,
        "ms": {"ours": 10.0}, "ratio": {"ours": 1.0, **ratio}, "notes": {},
    }  # fmt: skip


RESULTS: dict[str, Any] = {
    "machine": {"device": "a GPU", "torch": "2", "triton": "3", "date": "2026-01-01"},
    "steps": [case("SGD", 1.02, foreach=2.0, fused=1.0), case("AdamW", 1.09, foreach=2.5, fused=0.99),
              case("RMSprop", 1.05, foreach=2.2), case("NAdam", 1.05, foreach=4.4)],
    "clip_and_average": case("clip", 1.1, **{"by hand": 1.8}),
    "fewer_bits": {"int8 states": case("8", 1.2, torchao=3.0) | {"notes": {"bitsandbytes": "not installed"}}},
    "replayed": None,
}  # fmt: skip


def test_targets_are_judged_by_the_figures() -> None:
    found = {t.name: t for t in table.targets(RESULTS)}
    assert found["time over the copy floor, every element-wise formula, 1 B"].met is True
    assert found["AdamW against torch's fused, 1 B"].met is False
    mean = found["mean speed-up over foreach elsewhere, 1 B"]
    assert mean.met is True and mean.found == "3.11 × (2)"
    assert found["clip + step + average, 1 B"].met is True
    assert found["AdamW with int8 states against torchao"].met is True
    assert found["AdamW with int8 states against bitsandbytes"] == (
        "AdamW with int8 states against bitsandbytes", "≥ 1.2 ×", "not installed", None,
    )  # fmt: skip
    worse = {**RESULTS, "steps": [*RESULTS["steps"], case("Rprop", 1.11)]}
    assert table.targets(worse)[0].met is False and "Rprop" in table.targets(worse)[0].found
    assert all(t.met is None for t in table.targets({"steps": []}))


def test_the_page_says_what_was_found_or_that_nothing_was(tmp_path: Path) -> None:
    docs, results = tmp_path / "page.md", tmp_path / "gpu.json"
    docs.write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    write_docs(results, docs)
    assert "Not measured yet" in docs.read_text()
    results.write_text(json.dumps(RESULTS))
    write_docs(results, docs)
    page = docs.read_text()
    assert page.startswith("before\n") and page.endswith("after\n") and "a GPU, torch 2, triton 3" in page
    assert "| AdamW against torch's fused, 1 B | ≥ 1 × | 0.99 × | NOT MET |" in page
    assert table.BEGIN in (ROOT / "docs" / "performance.md").read_text()


def test_the_shapes_and_the_list() -> None:
    assert 1.0e9 < entrants.SHAPES["gpt"].elements < 1.1e9
    names = entrants.element_wise()
    assert len(names) >= 45 and {"AdamW", "Lion", "ScheduleFreeAdamW"} <= {*names} and "LAMB" not in names


def test_bytes_are_those_of_the_tensors_as_they_are_kept() -> None:
    params = entrants.parameters(entrants.QUICK, torch.device("cpu"))
    optimizer = entrants.ours("AdamW", params)
    optimizer.step()
    assert run.moved_by(optimizer, params) == 28 * entrants.QUICK.elements
    clipped = entrants.ours("SGD", params, max_norm=1.0)
    clipped.step()
    assert run.moved_by(clipped, params) == (20 + 4) * entrants.QUICK.elements


def test_a_run_of_small_tensors_and_a_machine_without_a_gpu(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    out = tmp_path / "gpu.json"
    found = CliRunner().invoke(app, ["--device", "cpu", "--quick", "--only", "sgd,lion", "--out", str(out)])
    assert found.exit_code == 0, found.output
    kept = json.loads(out.read_text())
    assert [c["optimizer"] for c in kept["steps"]] == ["SGD", "Lion", "SGD"]
    assert {*kept["steps"][0]["ratio"]} == {"ours", "foreach", "fused"} and kept["replayed"] is None
    assert kept["steps"][1]["over_copy"] > 0
    if not torch.cuda.is_available():
        missing = CliRunner().invoke(app, ["--only", "sgd"])
        assert missing.exit_code == 2 and "torch finds no cuda device here" in missing.output


def test_a_peer_that_fails_is_a_note() -> None:
    bench = run.Bench(torch.device("cpu"), True, lambda line: None)

    def broken() -> None:
        raise RuntimeError("no kernel image\nfor this device")

    found = bench.case("it", {"ours": lambda: None, "theirs": broken}, 100)
    assert found["notes"] == {"theirs": "failed: no kernel image"} and {*found["ratio"]} == {"ours"}


@pytest.mark.parametrize("name", [*entrants.EIGHT_BITS, *entrants.BFLOAT16])
def test_packages_that_are_not_installed_say_how_to_get_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrants.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(entrants.Absent, match="not installed; pip install"):
        {**entrants.EIGHT_BITS, **entrants.BFLOAT16}[name]([])
