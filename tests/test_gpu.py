"""The GPU's kernels, run by Triton's interpreter on the CPU, against eager float64; and compiled for real devices."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from downslope import optim
from downslope.backends import eager, gpu, gpu_source
from downslope.backends.storage import STORAGES, Kept, beside_of, mix, random_bits, random_numbers, row_keys, step_key
from downslope.compiler.ops import OPS
from downslope.compiler.plan import Plan, program
from downslope.formulas import FORMULAS
from downslope.optim.batch import Several
from downslope.optim.device import DeviceBatch
from test_backends import ALONE, DTYPES, FRACTION, check_operation, numbers_for

pytest.importorskip("triton", reason="Triton has no wheel for this machine")
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # the interpreter computes with numpy

CPU = torch.device("cpu")
WIDE = 3 * gpu.BLOCK + 5
KEY = 0x9ABCDEF0


def run_on_device(
    plan: Plan, tensors: dict[str, torch.Tensor], scalars: dict[str, float], kept: Kept | None = None
) -> dict[str, float]:
    """One step of a plan of one pass, in place, all that is once per step included; the scalar states' new values."""
    bank = torch.tensor([[scalars.get("t", 1.0) - 1.0, *(scalars[name] for name in plan.numbers)]], dtype=torch.float64)
    names = tuple(name for name in plan.scalars if name != "t" and name not in plan.numbers)
    slots = torch.zeros(max(len(plan.slots), 1), 1, dtype=torch.float64)
    first, skip = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int32)
    gpu.run_once(
        gpu.once(plan, names, (), True, True),
        slots=slots,
        keys=first.clone(),
        seed=0,
        bank=bank,
        places=first,
        settings=torch.tensor([[scalars[name]] for name in names] or [[0.0]], dtype=torch.float64),
        measured=torch.zeros(1, 1, dtype=torch.float64),
        group_of=first,
        skip=skip,
    )
    names = (*plan.tensors, *(beside_of(plan.tensors, kept) if kept else ()))
    columns = [[tensors[name].data_ptr()] for name in names]
    launch = gpu.Launch(columns, [tensors["p"].numel()], torch.tensor(columns[1]), CPU)
    kept = kept or tuple(gpu.KINDS[tensors[name].dtype] for name in plan.tensors)
    launch.update(gpu.update(plan, kept, False), slots, torch.tensor([KEY]), skip)
    assert "t" not in scalars or bank[0, 0] == scalars["t"]
    return {name: float(bank[0, 1 + i]) for i, name in enumerate(plan.numbers)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_an_operation_means_the_same_on_a_gpu_and_eager(op: str, dtype: torch.dtype) -> None:
    check_operation(run_on_device, op, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [name for name in FORMULAS if not program(FORMULAS[name]).whole])
def test_a_step_from_a_random_state_equals_eager_float64(name: str, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(1)
    everything = ALONE[-1] - ({"coupled_decay"} if "weight_decay" in FORMULAS[name].__kwdefaults__ else set())
    for transforms, t in ((frozenset(), 1), (everything, 7)):
        cut = program(FORMULAS[name], transforms)
        scalars = numbers_for(name, transforms, t)
        tensors = {n: torch.randn(WIDE, generator=random, dtype=torch.float64) for n in cut.tensors}
        for n in cut.tensors[2:]:
            tensors[n] = tensors[n].abs() + 0.1
        tensors = {n: value.to(dtype) for n, value in tensors.items()}
        meaning = eager.run(cut.graph, {n: v.to(torch.float64, copy=True) for n, v in tensors.items()}, scalars)
        for state, value in run_on_device(cut, tensors, scalars).items():
            assert value == pytest.approx(float(meaning[state]), rel=1e-12)
        for n in cut.writes:
            expected = torch.as_tensor(meaning[n]).expand(WIDE).to(dtype)
            near = torch.isclose(tensors[n], expected, rtol=8 * FRACTION[dtype], atol=2 * FRACTION[dtype])
            near |= expected.isnan() & tensors[n].isnan()
            assert int((~near).sum()) <= WIDE // 50, (transforms, t, n)


# ---- storages

VALUES = [0.0, -0.0, 1.0, -1.0, 1e-30, -3e-39, 1e38, 5e-5, -0.3, 0.9999999, math.inf, -math.inf, math.nan]


def keep(name: str, values: torch.Tensor, tensors: dict[str, torch.Tensor], storage: str, bits: torch.Tensor) -> None:
    """Values in a storage, by its definition."""
    found, beside = STORAGES[storage].encode(values, bits if STORAGES[storage].random else None)
    tensors[name] = found
    if beside is not None:
        tensors[f"{name}_{STORAGES[storage].beside.suffix}"] = beside  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1, 255, 257, 2 * gpu.BLOCK + 300])
@pytest.mark.parametrize("storage", ["stochastic", "split", "int8", "uint8"])
def test_a_storage_is_its_definition_bit_for_bit(storage: str, size: int) -> None:
    """Two tensors of it, each stored twice what it was: random bits of their own, every block a scale of its own."""

    def doubled(p, g, a="p", b=0):
        return p, a + a, b + g

    cut = program(doubled)
    random = torch.Generator().manual_seed(size)
    a = torch.randn(size, generator=random) * 10 ** torch.randint(-6, 4, (size,), generator=random)
    a[: len(VALUES)] = torch.tensor(VALUES)[:size]
    if size > 300:
        a[-40:] = 0.0
        a[256:] = a[256:].nan_to_num(0.5, 3.0, -2.0)
    b, g = torch.rand(size, generator=random), torch.rand(size, generator=random)
    kept = ("float32", "float32", storage, storage)
    number = random_numbers(cut.tensors, kept)
    bits = {n: random_bits(KEY, size, number[n]) for n in number}
    tensors = {"p": torch.zeros(size), "g": g}
    for name, values in (("a", a), ("b", b)):
        keep(name, values, tensors, storage, bits.get(name))
    decoded = {
        n: STORAGES[storage].decode(tensors[n], next((tensors[m] for m in beside_of([n], (storage,))), None))
        for n in ("a", "b")
    }
    expected: dict[str, torch.Tensor] = {}
    keep("a", decoded["a"] + decoded["a"], expected, storage, bits.get("a"))
    keep("b", decoded["b"] + g, expected, storage, bits.get("b"))
    run_on_device(cut, tensors, {}, kept)
    for name, found in expected.items():
        whole = torch.int32 if found.dtype == torch.float32 else torch.int16 if found.dtype.itemsize == 2 else None
        same = torch.equal(tensors[name].view(whole), found.view(whole)) if whole else torch.equal(tensors[name], found)
        nans = found.is_floating_point() and torch.equal(tensors[name].isnan(), found.isnan())
        assert same or (nans and torch.equal(tensors[name].nan_to_num(), found.nan_to_num())), name


def test_the_keys_of_random_bits_are_those_of_the_definition() -> None:
    plan, seed, step, count = program(FORMULAS["adam"]), 2**31 + 11, 4711, 300
    names = tuple(name for name in plan.scalars if name != "t")
    places = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    keys = torch.zeros(count, dtype=torch.int64)
    gpu.run_once(
        gpu.once(plan, names, (), True, True),
        slots=torch.zeros(len(plan.slots), count, dtype=torch.float64),
        keys=keys,
        seed=mix(seed),
        bank=torch.full((count, 1), float(step)),
        places=places,
        settings=torch.full((len(names), 1), 0.5, dtype=torch.float64),
        measured=torch.zeros(1, count, dtype=torch.float64),
        group_of=torch.zeros(count, dtype=torch.int64),
        skip=torch.zeros(1, dtype=torch.int32),
    )
    assert keys.tolist() == row_keys(step_key(seed, step), places.numpy()).tolist()


# ---- whole optimizers


def test_what_torch_runs_on_a_gpu_stands_beside_what_kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adafactor's matrices need sections on whole tensors, its vectors do not."""

    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        return optim.Adafactor(model.parameters(), max_norm=0.5)

    here, _ = trained(make, 3)
    monkeypatch.setattr(gpu, "DEVICES", frozenset({"cpu"}))
    there, optimizer = trained(make, 3)
    assert isinstance(optimizer._batch, Several)
    assert_same(here, there)


@pytest.fixture
def as_if_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parameters on the CPU go the way of those on a GPU."""
    monkeypatch.setattr(gpu, "DEVICES", frozenset({"cpu"}))
    yield


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(20, 48), torch.nn.Tanh(), torch.nn.Linear(48, 3))


X, Y = torch.randn(32, 20, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 3
Make = Callable[[torch.nn.Module], torch.optim.Optimizer]


def trained(make: Make, steps: int = 4) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = network()
    optimizer = make(model)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
    return model, optimizer


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=4e-5)


def covered(name: str) -> bool:
    """Whether the kernels run a class: what needs sections on whole tensors is torch's own operations there."""
    kind = getattr(optim, name)
    if not (isinstance(kind, type) and hasattr(kind, "formula")):
        return False
    cut = program(kind.choose(dict(kind.setting_defaults)))
    return not cut.kept and not any(each.section for each in cut.passes)


CLASSES = [name for name in optim.__all__ if covered(name)]
AROUND = {"max_norm": 0.1, "ema": 0.9, "clip_value": 0.05, "cautious": True}


@pytest.mark.parametrize("name", CLASSES)
def test_every_optimizer_trains_as_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrices = getattr(optim, name).__name__ == "Muon"

    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        params = [p for p in model.parameters() if p.ndim == 2 or not matrices]
        return getattr(optim, name)(params, **AROUND)

    here, _ = trained(make, 3)
    monkeypatch.setattr(gpu, "DEVICES", frozenset({"cpu"}))
    there, optimizer = trained(make, 3)
    assert isinstance(optimizer._batch, DeviceBatch)
    assert_same(here, there)


def waits(*_: object, **__: object) -> None:
    raise AssertionError("the host waits for the device")


def test_a_step_never_waits_for_the_device(as_if_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that may be on the device: a learning rate, norms, a loss scale, a mark of infinite gradients. Only the
    interpreter, in the kernels' stead, may look at values."""
    model = network()
    optimizer = optim.LAMB(model.parameters(), lr=torch.tensor(0.01), max_norm=0.1, skip_nonfinite=True)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(2.0), torch.tensor(0.0)  # type: ignore[attr-defined]
    torch.nn.functional.cross_entropy(model(X), Y).backward()
    optimizer.step()
    before = [p.detach().clone() for p in model.parameters()]
    reading = {name: getattr(torch.Tensor, name) for name in ("item", "tolist", "__float__", "__bool__", "__int__")}

    def allowed(kernels: Callable) -> Callable:
        def call(*args: object, **named: object) -> object:
            with monkeypatch.context() as patch:
                for name, function in reading.items():
                    patch.setattr(torch.Tensor, name, function)
                return kernels(*args, **named)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((gpu, "run_once"), (gpu.Launch, "update"), (gpu.Launch, "sums")):
            patch.setattr(owner, name, allowed(getattr(owner, name)))
        for name in reading:
            patch.setattr(torch.Tensor, name, waits)
        optimizer.step()
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before))


def test_what_lies_on_the_device_is_read_there(as_if_on_a_gpu: None) -> None:
    lr = torch.tensor(0.5)
    p = torch.nn.Parameter(torch.zeros(5))
    optimizer = optim.SGD([p], lr=lr)
    p.grad = torch.ones(5)
    optimizer.step()
    lr.fill_(0.25)
    optimizer.step()
    assert torch.equal(p, torch.full((5,), -0.75))


def test_a_bad_step_is_left_out_on_the_device(as_if_on_a_gpu: None) -> None:
    model = network()
    optimizer = optim.Adam(model.parameters(), skip_nonfinite=True)
    for bad in (False, True, False):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X), Y).backward()
        if bad:
            next(model.parameters()).grad[0, 0] = math.nan  # type: ignore[index]
            before = [p.detach().clone() for p in model.parameters()]
        optimizer.step()
        if bad:
            assert all(map(torch.equal, model.parameters(), before))
    assert optimizer.skipped_steps == 1
    assert all(float(state["step"]) == 2 for state in optimizer.state.values())
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    assert optimizer.skipped_steps == 2
    assert optimizer.state_dict()["downslope"]["skipped_steps"] == 2


def test_a_step_after_one_left_out_is_taken(as_if_on_a_gpu: None) -> None:
    """GradScaler takes its mark away again; what comes then is a step like any other."""
    p = torch.nn.Parameter(torch.zeros(5))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = torch.ones(5)
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    assert torch.equal(p, torch.zeros(5))
    del optimizer.found_inf  # type: ignore[attr-defined]
    optimizer.step()
    assert torch.equal(p, torch.full((5,), -1.0)) and optimizer.skipped_steps == 1


def test_only_what_has_changed_goes_to_the_device(as_if_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = trained(lambda m: optim.Adam(m.parameters()), 1)
    torch.nn.functional.cross_entropy(model(X), Y).backward()
    optimizer.step()
    batch = optimizer._batch
    assert isinstance(batch, DeviceBatch)
    copies: list[None] = []
    real = torch.Tensor.copy_
    monkeypatch.setattr(torch.Tensor, "copy_", lambda *a, **k: (copies.append(None), real(*a, **k))[1])
    optimizer.step()  # the same gradients at the same addresses
    assert not copies
    optimizer.param_groups[0]["lr"] = 1e-4
    optimizer.step()
    assert len(copies) == 1
    for p in model.parameters():
        p.grad = p.grad.clone()  # type: ignore[union-attr]
    optimizer.step()
    assert len(copies) == 2 and optimizer._batch is batch


def test_moved_memory_is_noticed(as_if_on_a_gpu: None) -> None:
    model, optimizer = trained(lambda m: optim.Adam(m.parameters()), 2)
    for p in model.parameters():
        p.data = p.data.clone()
    torch.nn.functional.cross_entropy(model(X), Y).backward()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before))


def test_low_precision_parameters_are_computed_in_float32(as_if_on_a_gpu: None) -> None:
    """The interpreter cuts bfloat16 off where a device rounds, so that is held within one place."""
    for dtype, places in ((torch.bfloat16, 2**-7), (torch.float16, 0.0)):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 2000).to(dtype))
        start = p.detach().float()
        optimizer = optim.SGD([p], lr=0.1)
        p.grad = torch.full_like(p, 0.3)
        optimizer.step()
        expected = (start - 0.1 * torch.full_like(p, 0.3).float()).to(dtype)
        torch.testing.assert_close(p.detach(), expected, rtol=places, atol=0)


def test_groups_and_dtypes_side_by_side(as_if_on_a_gpu: None) -> None:
    """Two groups with settings of their own, float32 and float64, a transposed parameter and one without elements."""

    def make(device_batch: bool) -> list[torch.Tensor]:
        gpu.DEVICES = frozenset({"cpu"}) if device_batch else frozenset()
        random = torch.Generator().manual_seed(3)
        shapes = [(7, 5), (1500,), (0,), (4, 6)]
        params = [torch.randn(s, generator=random, dtype=d) for s in shapes for d in DTYPES]
        params[0] = params[0].t()
        params = [torch.nn.Parameter(p) for p in params]
        groups = [{"params": params[:3], "lr": 0.1}, {"params": params[3:], "betas": (0.5, 0.6)}]
        optimizer = optim.AdamW(groups, lr=0.01, max_norm=1.0)
        for _ in range(3):
            for p in params:
                p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)
            optimizer.step()
        assert isinstance(optimizer._batch, DeviceBatch) == device_batch
        return [p.detach() for p in params]

    for a, b in zip(make(True), make(False), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_passes_between_devices(as_if_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = trained(lambda m: optim.NAdam(m.parameters()), 3)
    saved, weights = optimizer.state_dict(), {k: v.clone() for k, v in model.state_dict().items()}

    def go_on() -> torch.nn.Module:
        other = network()
        other.load_state_dict(weights)
        again = optim.NAdam(other.parameters())
        again.load_state_dict(saved)
        torch.nn.functional.cross_entropy(other(X), Y).backward()
        again.step()
        return other

    there = go_on()
    monkeypatch.setattr(gpu, "DEVICES", frozenset())
    assert_same(there, go_on())


# ---- for real devices

SCRIPT = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from downslope.backends import gpu
from downslope.compiler.plan import program
from downslope.formulas import FORMULAS

def compiled(kernel, pointers, numbers, block, target):
    types = {**{n: "*" + t for n, t in pointers.items()}, **{n: "i32" for n in numbers}, "BLOCK": "constexpr"}
    return triton.compile(ASTSource(fn=kernel, signature=types, constexprs={"BLOCK": block}), target=target)

for target, assembly in ((GPUTarget("cuda", 90, 32), "ptx"), (GPUTarget("hip", "gfx942", 64), "amdgcn")):
    for name in sys.argv[1:]:
        plan = program(FORMULAS[name])
        kinds = ("float32",) * len(plan.tensors)
        addresses = dict(rows="i64", grads="i64", chunks="i64", slots="fp64", keys="i64", skip="i32")
        found = compiled(gpu.update(plan, kinds, True), addresses, ["count"], gpu.BLOCK, target)
        names = tuple(s for s in plan.scalars if s != "t" and s not in plan.numbers)
        tables = dict(slots="fp64", keys="i64", bank="fp32", places="i64", settings="fp64", measured="fp64",
                      group_of="i64", skip="i32")
        compiled(gpu.once(plan, names, (), True, True), tables, ["seed", "count", "width", "groups"], gpu.SIDE, target)
        text = found.asm[assembly]
        print(name, target.backend, text.count("ld.global.v4") + text.count("global_load_dwordx4"),
              text.count("st.global.v4") + text.count("global_store_dwordx4"))
"""


def test_kernels_compile_for_cuda_and_rocm_and_move_16_bytes_at_a_time() -> None:
    """No GPU is needed to compile for one. Triton's own libraries for powers and arctangents are linked."""
    names = ["adam", "madgrad", "adam_atan2", "nadam"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(Path(gpu.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *names],
        capture_output=True, text=True, timeout=600, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(names)
    for name, _, loads, stores in lines:
        cut = program(FORMULAS[name])
        assert int(loads) >= len(cut.reads) and int(stores) >= len(cut.writes)


def test_names_of_formulas_do_not_meet_those_of_kernels() -> None:
    def awkward(p, g, rows=0, BLOCK=0, *, t, tl=0.5, skip=0.1):
        rows = rows + g * tl
        BLOCK = BLOCK + rows / t
        return p - skip * BLOCK, rows, BLOCK

    tensors = {"p": torch.zeros(9), "g": torch.ones(9), "rows": torch.ones(9), "BLOCK": torch.ones(9)}
    run_on_device(program(awkward), tensors, {"t": 2.0, "tl": 0.5, "skip": 0.1})
    torch.testing.assert_close(tensors["p"], torch.full((9,), -0.175))


def test_the_source_is_the_golden_one() -> None:
    golden = Path(__file__).parent / "golden" / "adam.triton"
    text = gpu_source.sources(program(FORMULAS["adam"]), "float32")
    assert text == golden.read_text(), "write it anew if the change is meant"


# ---- fewer bits


@pytest.mark.parametrize("name", ["Adam", "LAMB", "Lion", "Muon", "Adamax"])
@pytest.mark.parametrize("state_dtype", ["bfloat16", "int8"])
def test_states_of_fewer_bits_are_kept_as_on_the_cpu(
    name: str, state_dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same random bits; sums may be added in another order, so a rounding may fall the other way, rarely."""

    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        params = [p for p in model.parameters() if p.ndim == 2 or name != "Muon"]
        return getattr(optim, name)(params, lr=0.01, state_dtype=state_dtype, rounding_seed=5)

    here, before = trained(make, 3)
    monkeypatch.setattr(gpu, "DEVICES", frozenset({"cpu"}))
    there, after = trained(make, 3)
    assert isinstance(after._batch, DeviceBatch)
    apart, all_of = 0, 0
    for p, q in zip(here.parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0.02, atol=0.003)
        for key, value in before.state[p].items():
            other = after.state[q][key]
            assert value.dtype is other.dtype and value.shape == other.shape
            apart, all_of = apart + int((value != other).sum()), all_of + value.numel()
    assert apart <= all_of / 50, (apart, all_of)


@pytest.mark.parametrize("mode", ["stochastic", "split"])
def test_small_decays_of_bfloat16_weights_are_not_lost(mode: str, as_if_on_a_gpu: None) -> None:
    p = torch.nn.Parameter(torch.ones(600, dtype=torch.bfloat16))
    optimizer = optim.AdamW([p], lr=1e-2, weight_decay=0.1, param_mode=mode)
    p.grad = torch.zeros_like(p)
    for _ in range(100):
        optimizer.step()
    assert isinstance(optimizer._batch, DeviceBatch)
    assert float(p.detach().float().mean()) == pytest.approx(0.999**100, rel=0.01)
