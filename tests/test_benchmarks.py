"""The benchmarks' bookkeeping. Nothing here asks how long anything takes."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ stands beside src/ and is not installed

from benchmarks import cases, floor, measure, peers, precision, shapes, storage, table, targets  # noqa: E402
from benchmarks.__main__ import chosen, write_docs  # noqa: E402


@pytest.mark.parametrize(
    ("name", "tensors", "elements"),
    [
        ("small", 400, 800_000),
        ("resnet18", 62, 11_689_512),
        ("transformer", 148, 24_538_368),
        ("100m", 1, 100_000_000),
    ],
)
def test_shapes_have_their_counts(name: str, tensors: int, elements: int) -> None:
    shape = shapes.SHAPES[name]
    assert (len(shape.tensors), shape.elements) == (tensors, elements)


def test_small_shape_varies_around_2000_with_odd_sizes() -> None:
    sizes = [size for (size,) in shapes.small()]
    assert sum(sizes) / len(sizes) == 2000
    assert min(sizes) >= 1000 and max(sizes) <= 3000 and len(set(sizes)) > 100
    assert any(size % 2 for size in sizes)


def test_same_seed_gives_the_same_parameters_and_gradients() -> None:
    shape = shapes.Shape("two", [(3, 2), (5,)], large=False)
    for one, other in zip(shapes.parameters(shape, seed=3), shapes.parameters(shape, seed=3)):
        assert torch.equal(one, other) and torch.equal(one.grad, other.grad)
        assert one.grad.abs().max() > 0


@pytest.mark.parametrize("name", peers.OPTIMIZERS)
def test_number_of_states_is_torchs(name: str) -> None:
    spec = peers.OPTIMIZERS[name]
    param = torch.nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = peers.torch_class(spec.title)([param], **spec.settings)
    optimizer.step()
    kept = [value for value in optimizer.state[param].values() if getattr(value, "shape", None) == param.shape]
    assert len(kept) == spec.states


@pytest.mark.parametrize("name", peers.OPTIMIZERS)
@pytest.mark.parametrize("peer", ["foreach", "fused", "zoo"])
def test_peers_compute_the_same(name: str, peer: str) -> None:
    spec = peers.OPTIMIZERS[name]
    try:
        assert peers.disagreement(spec, peer) < cases.AGREEMENT
    except peers.Absent as absent:
        assert peer == "zoo" or not spec.fused, absent


def test_floor_counts_what_a_step_must_move() -> None:
    assert floor.step_bytes(10, states=0) == 10 * 4 * 3  # read p and g, write p
    assert floor.step_bytes(10, states=2) == 10 * 4 * 7  # Adam: read p, g and two states; write p and two states
    assert floor.clip_and_average_bytes(10, states=2) == 10 * 4 * 10
    assert floor.working_set(10, states=2) == 10 * 4 * 4


def test_largest_cache_is_read_from_the_system(tmp_path: Path) -> None:
    for index, size in enumerate(["48K", "2048K", "36M"]):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert floor.last_level_cache(tmp_path) == 36 * 2**20
    assert floor.last_level_cache(tmp_path / "absent") == 32 * 2**20


def test_ratio_is_the_median_within_rounds_not_the_ratio_of_medians() -> None:
    seconds = [(1.0, 2.0), (10.0, 30.0), (2.0, 10.0)]
    rounds = measure.Rounds([{"ours": ours, "loop": loop} for ours, loop in seconds])
    assert rounds.median("ours") == 2.0 and rounds.median("loop") == 10.0
    assert rounds.ratio("loop", "ours") == 3.0


class Clock:
    """Seconds that pass only in the steps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float):
        def step() -> None:
            self.now += seconds

        return step


def test_rounds_time_each_entrant_and_repeat_the_short() -> None:
    clock = Clock()
    rounds = measure.run_rounds(
        {"short": clock.step(0.001), "long": clock.step(1.0)}, rounds=4, budget=1e9, turn=0.1, clock=clock
    )
    assert len(rounds.seconds) == 4
    for each in rounds.seconds:
        assert each == pytest.approx({"short": 0.001, "long": 1.0})
    assert clock.now == pytest.approx(3 * 1.001 + 4 * (1.0 + 101 * 0.001))  # warm-ups; then one lead-in and 100 timed


def test_budget_ends_the_rounds_but_leaves_three() -> None:
    clock = Clock()
    assert len(measure.run_rounds({"a": clock.step(1.0)}, rounds=50, budget=0.5, clock=clock).seconds) == 3
    assert len(measure.run_rounds({"a": clock.step(1.0)}, rounds=2, budget=0.5, clock=clock).seconds) == 2
    assert len(measure.run_rounds({"a": clock.step(1.0)}, rounds=50, budget=10.5, clock=clock).seconds) == 8


def test_order_changes_between_rounds() -> None:
    clock, calls = Clock(), []

    def entrant(name: str):
        def step() -> None:
            clock.now += 1.0
            calls.append(name)

        return step

    names = "abcd"
    measure.run_rounds({name: entrant(name) for name in names}, rounds=20, budget=1e9, clock=clock)
    timed = calls[len(names) * (measure.WARM_UPS + 1) :]
    orders = {tuple(timed[start : start + 4]) for start in range(0, len(timed), 4)}
    assert len(orders) > 5
    assert all(sorted(order) == list(names) for order in orders)


def test_geometric_mean() -> None:
    assert measure.geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)


def made_up_case(optimizer: str, shape: str, speedup: float, over_floor: float = 1.1) -> cases.Case:
    ratios = {"ours": 1.0, "loop": 9 * speedup, "foreach": speedup, "compile": 0.5}
    return {
        "optimizer": optimizer,
        "shape": shape,
        "tensors": 2,
        "elements": 10,
        "bytes": 280,
        "resident": False,
        "rounds": 3,
        "peers": {name: {"ms": 2 * ratio, "ratio": ratio} for name, ratio in ratios.items()},
        "floor_ms": {"copy": 2 / over_floor, "in place": 1.5 / over_floor},
        "over_floor": {"copy": over_floor, "in place": over_floor * 4 / 3},
        "compile_seconds": 21.0,
        "notes": {"zoo": "failed: no such thing"},
    }


def made_up_results(**changes: float) -> dict:
    """Results that meet every target, but for the changes: a shape's speed-up, or a figure of its own."""
    speedups = {"small": 9.0, "resnet18": 2.6, "transformer": 2.6, "100m": 2.6}
    figures = {
        "in memory": 1.02,
        "in a folder": 1.02,
        "watched": 1.02,
        "pairs": 99,
        "over_floor": 1.1,
        "clip": 1.9,
        "first_step": 0.1,
        "import_": 0.2,
        "muon": 1.15,
        "int8": 0.6,
        "over int8": 1.8,
        "bfloat16": 0.75,
        "bytes": 2.03,
        "tensors": 0.6,
    }
    figures |= {"mlp": 5.1, "cnn": 1.6, "transformers": 2.1, "watching digits": 1.01, "watching transformer": 1.01}
    assert changes.keys() <= (speedups | figures).keys()
    speedups |= {name: value for name, value in changes.items() if name in speedups}
    figures |= {name: value for name, value in changes.items() if name in figures}
    composite = made_up_case("adamw", "transformer", 1.0)
    composite["peers"] = {
        "ours": {"ms": 3.0, "ratio": 1.0},
        "by hand": {"ms": 3 * figures["clip"], "ratio": figures["clip"]},
    }
    return {
        "machine": dict.fromkeys(
            ["cpu", "cores", "threads", "vector", "system", "python", "torch", "downslope", "date"], "x"
        )
        | {"cache_mib": 32.0},
        "bandwidth": {f"{place} {name}": 40.0 for place in ("memory", "cache") for name in ("copy", "in place")},
        "steps": [
            made_up_case(name, shape, value, figures["over_floor"])
            for shape, value in speedups.items()
            for name in peers.OPTIMIZERS
        ],
        "clip_and_average": composite,
        "overhead": made_up_case("adam", "singles", 12.0),
        "muon": {
            "matrices": 24,
            "width": 512,
            "ms": {"ours": 2.0 * figures["muon"], "products": 2.0, "torch": 9.0},
            "ratio": {"ours": figures["muon"], "torch": 4.5},
        },
        "storage": {
            "shapes": {
                shape: {
                    "ms": dict.fromkeys((*storage.KINDS, storage.FUSED), 9.0),
                    "over float32": {
                        "float32": 1.0,
                        "int8": figures["int8"],
                        "bfloat16": figures["bfloat16"],
                        storage.FUSED: 1.0,
                    },
                    "torch over it": {
                        "float32": 1.0,
                        "int8": figures["over int8"],
                        "bfloat16": 1.3,
                        storage.FUSED: 1.0,
                    },
                    "bytes": {"float32": 8.0, "int8": figures["bytes"], "bfloat16": 2 * figures["bytes"]},
                }
                for shape in ("transformer", "100m")
            },
            "overhead": figures["tensors"],
        },
        "first_step": {"shape": "small", "ours": figures["first_step"], "fused": 0.02},
        "imports": {"import downslope": figures["import_"], "import downslope.optim": 0.25},
        "loop": {
            name: {"seconds": 0.5, "ratio": figures.get(name, 1.0), "pairs": figures["pairs"]}
            for name in ("by hand", "in memory", "in a folder", "watched")
        },
        "watching": {
            name: {"title": name, "steps": 9, "seconds": 0.5, "ratio": figures[key], "processor": 1.01, "said": 0.01}
            | {"report": 0.02, "forks": 1.0, "pairs": 5}
            for name, key in {"digits": "watching digits", "transformer": "watching transformer"}.items()
        },
        "trials": {
            name: {
                "a minute": {"ours": 1234.0, "optuna": 100.0, "optuna, two processes": 150.0},
                "ratio": {"optuna": figures[given], "optuna, two processes": 1.01},
                "trials": 64,
            }
            for name, given in {"mlp": "mlp", "cnn": "cnn", "transformer": "transformers"}.items()
        },
    }


def missed(results: dict) -> list[str]:
    return [each.name for each in targets.targets(results) if each.met is False]


def test_good_figures_meet_every_target() -> None:
    assert all(each.met is True for each in targets.targets(made_up_results()))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"small": 7.9}, ["mean speed-up, 400 of ~2,000"]),
        ({"resnet18": 2.4}, ["mean speed-up, ResNet-18"]),
        ({"transformer": 2.4}, ["mean speed-up, transformer"]),
        ({"100m": 2.4}, ["mean speed-up, one of 100 M"]),
        ({"100m": 0.9}, ["time over the best eager peer's, large shapes", "mean speed-up, one of 100 M"]),
        ({"over_floor": 1.2}, ["time over the floor, 100 M"]),
        ({"clip": 1.7}, ["clip + average, transformer"]),
        ({"first_step": 0.3}, ["first step, traced and compiled"]),
        ({"import_": 0.4}, ["import downslope, after torch"]),
        ({"muon": 1.3}, ["Muon's step over its matrix products"]),
        ({"int8": 1.2}, ["int8 states over float32, transformer"]),
        ({"over int8": 1.2}, ["torch's fused AdamW over int8 states, 100 M"]),
        ({"bfloat16": 0.9}, ["bfloat16 states over float32, 100 M"]),
        ({"bytes": 2.11}, ["bytes of int8 states a parameter", "bytes of bfloat16 states a parameter"]),
        ({"tensors": 1.1}, ["a step over 10,000 tensors, for each"]),
        ({"in memory": 1.06}, ["the training loop over the one by hand, digits"]),
        ({"in a folder": 1.06}, ["the same with its folder, digits"]),
        ({"watched": 1.2}, []),
        ({"in memory": 1.06, "pairs": 1}, []),
        ({"watching digits": 1.03}, ["watched over unwatched, digits CNN"]),
        ({"watching transformer": 1.03}, ["watched over unwatched, transformer, 2 layers of width 128"]),
        ({"mlp": 4.9}, ["trials a minute over Optuna's, MLP"]),
        ({"cnn": 1.4}, ["trials a minute over Optuna's, CNN"]),
        ({"transformers": 1.9}, ["trials a minute over Optuna's, transformer"]),
    ],
)
def test_each_target_is_missed_by_its_own_figure(changes: dict[str, float], names: list[str]) -> None:
    assert missed(made_up_results(**changes)) == names


@pytest.mark.parametrize(("ratio", "met"), [(20.5, True), (19.0, False)])
def test_a_gpu_has_a_target_of_its_own_where_there_is_one(ratio: float, met: bool) -> None:
    on_gpu = {"mlp": {"a minute": {"ours": 50_000.0, "optuna": 900.0}, "ratio": {"optuna": ratio}, "trials": 64}}
    results = made_up_results() | {"trials_gpu": on_gpu}
    (found,) = [each for each in targets.targets(results) if each.name.endswith("MLP, GPU")]
    assert found.met is met
    assert "50000" in table.markdown(results)
    assert not any("GPU" in each.name for each in targets.targets(made_up_results() | {"trials_gpu": {}}))


def test_compiled_steps_and_ours_are_no_eager_peers() -> None:
    case = made_up_case("adam", "100m", 2.0)
    assert cases.best_eager(case) == "foreach" and cases.speedup(case) == 2.0


def test_a_partial_run_meets_no_target_but_may_miss_one() -> None:
    results = made_up_results() | {"steps": [made_up_case("adam", "100m", 3.0)]}
    results |= {
        "clip_and_average": None,
        "first_step": None,
        "imports": None,
        "trials": {},
        "loop": None,
        "watching": None,
        "muon": None,
        "storage": None,
    }
    assert all(each.met is None for each in targets.targets(results))
    results["steps"] = [made_up_case("adam", "100m", 0.5, over_floor=2.0)]
    assert missed(results) == ["time over the best eager peer's, large shapes", "time over the floor, 100 M"]
    quick = made_up_results() | {"clip_and_average": made_up_case("adamw", "small", 5.0)}
    assert {each.name: each.met for each in targets.targets(quick)}["clip + average, transformer"] is None


def test_tables_on_screen_and_in_markdown_hold_the_same_figures() -> None:
    results = made_up_results(**{"100m": 3.21})
    console = Console(width=120, record=True, file=io.StringIO())
    table.show(results, console)
    screen, page = console.export_text(), table.markdown(results)
    for text in ("3.21", "geomean", "NAdam", "met", "ResNet-18", "1234", "1.01", "1.020", "in a folder and watched"):
        assert text in screen and text in page
    assert "NOT MET" not in page and "NOT MET" in table.markdown(made_up_results(clip=1.0))
    assert "pytorch_optimizer: failed: no such thing" in page


def test_markdown_rows_are_as_wide_as_their_heads() -> None:
    for _, columns, rows in table.tables(made_up_results()):
        assert {len(cells) for cells in rows} == {len(columns)}


def test_docs_are_replaced_between_their_markers_only() -> None:
    once = table.between_markers(table.PAGE, "first")
    twice = table.between_markers(once, "second")
    assert "first" in once and "first" not in twice and "second" in twice
    assert twice.startswith(table.PAGE.split(table.BEGIN)[0])
    assert table.between_markers(twice, "first") == once
    with pytest.raises(ValueError, match="needs the lines"):
        table.between_markers("no markers", "text")


def test_docs_page_is_made_and_renewed(tmp_path: Path) -> None:
    figures, page = tmp_path / "cpu.json", tmp_path / "docs" / "performance.md"
    with pytest.raises(typer.BadParameter, match="no results"):
        write_docs(figures, page)
    for value in (3.21, 4.56):
        figures.write_text(json.dumps(made_up_results(**{"100m": value})))
        write_docs(figures, page)
        assert f"| {value} |" in page.read_text()
    assert page.read_text().count("# Performance") == 1 and "| 3.21 |" not in page.read_text()
    assert list(page.parent.iterdir()) == [page]


def test_absent_and_failing_peers_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_):
        raise RuntimeError("broke\nat length")

    monkeypatch.setitem(peers.PEERS, "ours", peers.PEERS["loop"])
    monkeypatch.setitem(peers.PEERS, "foreach", failing)
    shape = shapes.Shape("two", [(3, 2), (5,)], large=False)
    case = cases.step_case("rmsprop", "tiny", cases.Effort(rounds=2, budget=0.0, quick=True), shape)
    assert set(case["peers"]) == {"ours", "loop"}
    assert case["notes"]["foreach"] == "failed: broke" and "no fused kernel" in case["notes"]["fused"]
    assert case["bytes"] == floor.step_bytes(11, states=1) and case["rounds"] == 2


def test_ours_computing_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.PEERS, "ours", lambda spec, params: torch.optim.SGD(params, lr=0.5).step)
    with pytest.raises(RuntimeError, match=r"Adam: .* ours"):
        cases.check_agreement(["adam"])


def test_a_compilation_beyond_its_limit_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="not done"), cases._time_limit(0.05):
        for _ in count():
            pass


def has_optimizers() -> bool:
    spec = importlib.util.find_spec("downslope.optim")
    return spec is not None and spec.origin is not None  # a folder without __init__.py has no origin


@pytest.mark.skipif(not has_optimizers(), reason="downslope.optim is not there yet")
def test_quick_run_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "figures" / "cpu.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "adam", "--out", str(out)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1"
    }  # teams of threads stall each other where tests run side by side
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Targets" in done.stdout and "Adam" in done.stdout
    results = json.loads(out.read_text())
    assert [case["optimizer"] for case in results["steps"]] == ["adam"]
    assert {"ours", "loop", "foreach", "fused"} <= results["steps"][0]["peers"].keys()
    assert results["imports"]["import downslope"] > 0 and results["first_step"]["ours"] > 0
    assert list(out.parent.iterdir()) == [out]  # no draft left behind
    assert table.BEGIN in table.between_markers(table.PAGE, table.markdown(results))


@pytest.mark.parametrize("arguments", [["--only", "adan"], ["--shapes", "huge"]])
def test_unknown_names_are_refused_with_the_known(arguments: list[str]) -> None:
    option, name = arguments
    known = {"--only": peers.OPTIMIZERS, "--shapes": shapes.SHAPES}[option]
    with pytest.raises(typer.BadParameter, match=f"'{name}' is not one of {', '.join(known)}"):
        chosen(f"{next(iter(known))},{name}", known, option)
    assert chosen(", ".join(reversed(known)), known, option) == list(known)


def test_states_in_fewer_bits_are_timed_and_judged() -> None:
    quick = cases.Effort(rounds=1, budget=0.1, quick=True)
    case = storage.step_case("100m", quick, shapes.Shape("little", [(3000,), (5,)], large=False))
    assert case["bytes"]["int8"] < 2.1 < case["bytes"]["bfloat16"] < 4.1 < case["bytes"]["float32"] <= 8.0
    found = {"shapes": {"100m": case}, "overhead": storage.overhead(quick, 10)}
    assert [row[0] for row in storage.rows(found)] == ["float32", "bfloat16", "int8", storage.FUSED]
    case["torch over it"]["int8"], case["over float32"]["bfloat16"], found["overhead"] = 1.2, 0.8, 0.5
    verdicts = {each.name: each.met for each in targets.targets({"steps": [], "storage": found})}
    assert verdicts["torch's fused AdamW over int8 states, 100 M"] is False
    assert verdicts["bfloat16 states over float32, 100 M"] is True
    assert verdicts["int8 states over float32, transformer"] is None
    assert verdicts["a step over 10,000 tensors, for each"] is True


def test_where_training_ends_is_compared_with_its_own_error() -> None:
    runs = {
        name: {str(seed): [loss + 0.1 * seed, 0.5] for seed in range(4)}
        for name, loss in (("float32", 1.0), ("int8", 1.2))
    }
    rows = precision.rows({"digits": runs})
    assert [row[-1] for row in rows] == ["–", "no: worse", "–", "yes"]
    assert rows[1][3:6] == ["4", "1.3500 ± 0.0645", "+0.2000"]
    assert "| digits | validation loss | int8 |" in precision.markdown({"digits": runs})
    runs["int8"] = {str(seed): [0.8 + 0.1 * seed, 0.5] for seed in range(4)}
    assert precision.rows({"digits": runs})[1][-1] == "no: better"
