"""Every formula in every storage: kernels keep to the definition bit for bit, and steps to the meaning."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch

from downslope import abs, optimizer
from downslope.backends.storage import BLOCK, STORAGES, mix, random_bits, step_key
from downslope.errors import SettingError, StateError
from downslope.optim import CLASSES, Optimizer, Route, fuse_backward
from downslope.optim.storing import values_of
from optim_cases import VARIANTS, WHOLE_VARIANTS, Variant, assert_same_bits, eagerly, give_gradients, parameters
from test_storage import step_of


@optimizer
def keep(p, g, given=0, size=0, other=0, *, lr=0.0):
    """No arithmetic: states are what the gradient is, the parameter what they were."""
    return given, g, abs(g), size


SPECIAL = (0.0, -0.0, 1e-42, -1e-42, 1e-30, 1.0, -1.0, 3e38, -3e38, 1.9375, 1.96875, 2.0, 65504.0, 7e4)
SIZES = (1, 255, 256, 257, 600, 100_000)


def gradient(size: int, kind: str, step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size + step)
    g = torch.randn(size, generator=generator) * 10 ** torch.empty(size).uniform_(-4, 0, generator=generator)
    if kind == "special":
        places = torch.randint(0, size, (size // 20 + 1,), generator=generator)
        g[places] = torch.tensor(SPECIAL)[torch.randint(0, len(SPECIAL), places.shape, generator=generator)]
    elif kind == "bad":
        g[size // 2], g[size // 3] = math.nan, math.inf
    elif kind == "zero":
        g.zero_()
    return g


def assert_bits(found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """The same bits; one nan is as good as another."""
    assert found.dtype is expected.dtype and found.shape == expected.shape, what
    if found.is_floating_point():
        assert torch.equal(found.isnan(), expected.isnan()), what
        found, expected = (t.nan_to_num(0.0).double().view(torch.int64) for t in (found, expected))
    assert torch.equal(found, expected), what


@pytest.mark.parametrize("kind", ["plain", "special", "bad", "zero"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("mode", ["float32", "nearest", "stochastic", "split", "float16"])
def test_kernels_are_the_definition(mode: str, dtype: str, kind: str) -> None:
    of = {"float32": torch.float32, "float16": torch.float16}.get(mode, torch.bfloat16)
    kept_p = {"float32": "float32", "float16": "float16", "nearest": "bfloat16"}.get(mode, mode)
    states = {"bfloat16": ["stochastic"] * 3, "float32": ["float32"] * 3, "int8": ["int8", "uint8", "uint8"]}
    kept = [kept_p, *states[dtype]]
    params = [torch.nn.Parameter(torch.ones(size, dtype=of)) for size in SIZES]
    settings = {"param_mode": mode} if of is torch.bfloat16 else {}
    made = keep(params, state_dtype=dtype, rounding_seed=11, **settings)
    expected = [{"p": p.detach().clone()} for p in params]
    for each, size in zip(expected, SIZES):
        for name in ("given", "size", "other"):
            each[name] = torch.zeros(size)
    random = [i for i, name in enumerate(kept) if STORAGES[name].random]
    for step in range(3):
        for p in params:
            p.grad = gradient(len(p), kind, step).to(of)
        made.step()
        assert not made._batch._slow
        for place, (p, values, size) in enumerate(zip(params, expected, SIZES)):
            g = p.grad.float()
            values |= {"p": values["given"], "given": g, "size": g.abs(), "other": values["size"]}
            for i, (name, storage) in enumerate(zip(("p", "given", "size", "other"), kept)):
                of_storage = STORAGES[storage]
                key = mix(step_key(11, step) ^ place)
                bits = random_bits(key, size, random.index(i)) if i in random else None
                codes, beside = of_storage.encode(values[name], bits)
                where = f"{name} of {size} after step {step}"
                assert_bits(p.detach() if name == "p" else made.state[p][name], codes, where)
                if beside is not None:
                    assert_bits(made.state[p][f"{name}_{of_storage.beside.suffix}"], beside, where)
                values[name] = of_storage.decode(codes, beside)


EVERY = VARIANTS | WHOLE_VARIANTS
# How a parameter and its states are kept.
STORED: dict[str, tuple[torch.dtype, dict[str, Any]]] = {
    "bfloat16 states": (torch.float32, {"state_dtype": "bfloat16"}),
    "int8 states": (torch.float32, {"state_dtype": torch.int8}),
    "bfloat16": (torch.bfloat16, {}),
    "stochastic": (torch.bfloat16, {"param_mode": "stochastic", "state_dtype": "int8"}),
    "split": (torch.bfloat16, {"param_mode": "split"}),
    "float16": (torch.float16, {"state_dtype": "float32"}),
}
every_formula = pytest.mark.parametrize("variant", EVERY.values(), ids=EVERY)
every_storage = pytest.mark.parametrize("stored", STORED.values(), ids=STORED)


def decoded(made: Optimizer) -> list[dict[str, torch.Tensor]]:
    """The values of parameters and states."""
    found = []
    for m in made._batch.members:
        found.append({name: m.tensor(name).detach().double().clone() for name in ("p", *m.plan.states)})
    return found


def twin_of(variant: Variant, made: Optimizer, settings: dict[str, Any]) -> Optimizer:
    """The same optimizer in the same state."""
    cls, own = variant
    params = [torch.nn.Parameter(p.detach().clone()) for p in made.param_groups[0]["params"]]
    twin = cls(params, **own, **settings)
    twin.load_state_dict(copy.deepcopy(made.state_dict()))
    for p, q in zip(params, made.param_groups[0]["params"]):
        p.grad = q.grad.clone()
    return twin


@every_formula
@every_storage
def test_one_step_keeps_to_the_definition(variant: Variant, stored: tuple[torch.dtype, dict[str, Any]]) -> None:
    """Compiled and through torch, one step from the same state. What differs, where arithmetic rounds a bit otherwise
    and that decides which way a code goes, differs by one code, and is little."""
    dtype, settings = stored
    params = parameters((23, 31), (5,), (), dtype=dtype)
    made = variant[0](params, **variant[1], **settings)
    for step in range(3):
        give_gradients(params, step)
        twin = twin_of(variant, made, settings) if step else None
        made.step()
        assert not made._batch._slow, "not compiled"
        if twin is None:
            continue
        with eagerly():
            twin.step()
        off = total = 0
        for m, ours, theirs in zip(made._batch.members, decoded(made), decoded(twin)):
            for name in ours:
                storage = m.storage(name)
                near = step_of(storage, theirs[name].float().flatten()).view(ours[name].shape)
                away = (ours[name] - theirs[name]).abs()
                rough = 1e-5 * theirs[name].abs() + 1e-6
                assert (away <= 2 * near + 30 * rough).double().mean() > 0.99, name
                off, total = off + int((away > rough).sum()), total + away.numel()
        assert off <= 0.03 * total, f"{off} of {total} differ"


def state_of(made: Optimizer, p: torch.Tensor) -> dict[str, torch.Tensor]:
    return {k: v for k, v in made.state[p].items() if isinstance(v, torch.Tensor) and v.shape == p.shape}


@pytest.mark.parametrize("settings", [{"state_dtype": "int8"}, {"state_dtype": "bfloat16"}], ids=str)
def test_the_same_bits_for_any_number_of_threads(settings: dict[str, Any]) -> None:
    ends = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            params = parameters((300_007,), (70,))
            made = CLASSES["AdamW"](params, **settings)
            for step in range(3):
                give_gradients(params, step)
                made.step()
            ends.append(made)
    finally:
        torch.set_num_threads(before)
    assert_same_bits(ends[0], ends[1])
    assert_same_bits(ends[0], ends[2])


@every_storage
def test_resumes_bit_for_bit(stored: tuple[torch.dtype, dict[str, Any]]) -> None:
    dtype, settings = stored
    for name in ("AdamW", "SGD", "Lion"):
        own = {"momentum": 0.9} if name == "SGD" else {}
        straight = CLASSES[name](parameters((40, 30), (5,), dtype=dtype), rounding_seed=3, **own, **settings)
        half = CLASSES[name](parameters((40, 30), (5,), dtype=dtype), rounding_seed=3, **own, **settings)
        for step in range(3):
            for each in (straight, half):
                give_gradients(each.param_groups[0]["params"], step)
                each.step()
        params = [torch.nn.Parameter(p.detach().clone()) for p in half.param_groups[0]["params"]]
        resumed = CLASSES[name](params, **own, **settings)
        resumed.load_state_dict(copy.deepcopy(half.state_dict()))
        cloned = copy.deepcopy(half)
        for step in range(3, 6):
            for each in (straight, resumed, cloned):
                give_gradients(each.param_groups[0]["params"], step)
                each.step()
        assert_same_bits(straight, resumed)
        assert_same_bits(straight, cloned)


def test_another_seed_rounds_otherwise() -> None:
    ends = []
    for seed in (0, 0, 1):
        params = parameters((100,))
        made = CLASSES["Adam"](params, state_dtype="int8", rounding_seed=seed)
        for step in range(3):
            give_gradients(params, step)
            made.step()
        ends.append(made.state[params[0]]["exp_avg"])
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("mode", ["stochastic", "split"])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_small_decays_are_not_lost(mode: str, compiled: bool) -> None:
    """1,000 decays by 1e-4; torch's fused AdamW leaves a bfloat16 weight at 1."""
    p = torch.nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
    made = CLASSES["AdamW"]([p], lr=1e-3, weight_decay=0.1, param_mode=mode)
    for _ in range(1000 if compiled else 100):
        p.grad = torch.zeros_like(p)
        if compiled:
            made.step()
        else:
            with eagerly():
                made.step()
    expected = (1 - 1e-4) ** (1000 if compiled else 100)
    assert math.isclose(float(p.detach().float().mean()), expected, rel_tol=0.01 if compiled else 0.002)
    if mode == "split":
        assert math.isclose(float(made._batch.members[0].tensor("p").mean()), expected, rel_tol=1e-4)
    if compiled:
        q = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
        theirs = torch.optim.AdamW([q], lr=1e-3, weight_decay=0.1, fused=True)
        for _ in range(1000):
            q.grad = torch.zeros_like(q)
            theirs.step()
        assert (q == 1).all(), "torch has mended it: say so in the docs"


def test_a_second_moment_in_bfloat16_falls() -> None:
    p = torch.nn.Parameter(torch.ones(4096))
    made = CLASSES["Adam"]([p], state_dtype="bfloat16")
    p.grad = torch.full_like(p, 100.0)
    made.step()
    for _ in range(999):
        p.grad = torch.zeros_like(p)
        made.step()
    assert math.isclose(float(values_of(made.state[p], "exp_avg_sq").float().mean()), 10 * 0.999**999, rel_tol=0.02)


@pytest.mark.parametrize(("dtype", "most"), [("int8", 2.1), ("bfloat16", 4.1)])
def test_memory(dtype: str, most: float) -> None:
    p = torch.nn.Parameter(torch.zeros(50, 1000))
    made = CLASSES["AdamW"]([p], state_dtype=dtype)
    p.grad = torch.ones_like(p)
    made.step()
    assert sum(t.nbytes for t in made.state[p].values() if t.ndim) <= most * p.numel()


def test_blocks_are_in_the_order_of_memory() -> None:
    """A parameter in channels_last: through torch the codes lie where the kernel puts them."""
    ends = []
    for compiled in (True, False):
        (p,) = parameters((4, 8, 5, 6))
        p = torch.nn.Parameter(p.detach().contiguous(memory_format=torch.channels_last))
        made = keep([p], state_dtype="int8")
        for step in range(2):
            give_gradients([p], step)
            p.grad = p.grad.contiguous(memory_format=torch.channels_last)
            if compiled:
                made.step()
                assert not made._batch._slow
            else:
                with eagerly():
                    made.step()
        ends.append(made)
        assert made.state[p]["given_scale"].numel() == math.ceil(p.numel() / BLOCK)
    assert_same_bits(*ends)


@pytest.mark.parametrize(
    "settings",
    [
        {"param_mode": "split", "ema": 0.9},
        {"state_dtype": {"ema": "float32"}, "ema": 0.9},
        {"state_dtype": {"ema": "int8", "exp_avg": "bfloat16"}, "ema": 0.9},
    ],
    ids=str,
)
def test_an_average_goes_in_and_out(settings: dict[str, Any]) -> None:
    params = parameters((40, 30), (5,), dtype=torch.bfloat16)
    made, plain = (
        CLASSES["AdamW"](params, **settings),
        CLASSES["AdamW"](parameters((40, 30), (5,), dtype=torch.bfloat16), **settings),
    )
    for step in range(4):
        for each in (made, plain):
            give_gradients(each.param_groups[0]["params"], step)
            each.step()
        trained = [p.detach().clone() for p in params]
        averages = [values_of(made.state[p], "ema").bfloat16().clone() for p in params]
        with made.swap_average():
            assert all(torch.equal(p, average) for p, average in zip(params, averages))
        assert all(torch.equal(p, q) for p, q in zip(params, trained))
    assert_same_bits(made, plain)


def test_schedule_free_scores_with_its_values() -> None:
    ends = []
    for settings in ({}, {"state_dtype": {"z": "int8"}}):
        params = parameters((50, 40))
        made = CLASSES["ScheduleFreeSGD"](params, lr=0.1, **settings)
        give_gradients(params, 0)
        made.step()
        made.eval()
        ends.append(params[0].detach().clone())
    assert (ends[0] - ends[1]).abs().max() < 1.0 and not torch.equal(*ends)


BAD: dict[str, tuple[dict[str, Any], torch.dtype, str]] = {
    "a dtype": (
        {"state_dtype": "int4"},
        torch.float32,
        "state_dtype is 'int4'; states are kept in float32, bfloat16, int8",
    ),
    "no dtype": ({"state_dtype": 8}, torch.float32, "state_dtype is 8"),
    "float16": ({"state_dtype": torch.float16}, torch.float32, "torch.float16; float16 has no room"),
    "uint8": (
        {"state_dtype": {"exp_avg_sq": "uint8"}},
        torch.float32,
        r"state_dtype\['exp_avg_sq'\] is 'uint8'; int8 is",
    ),
    "a state": (
        {"state_dtype": {"exp_avgs": "int8"}},
        torch.float32,
        "'exp_avgs', which is no state here; did you mean exp_avg",
    ),
    "a mode": (
        {"param_mode": "kahan"},
        torch.bfloat16,
        "param_mode is 'kahan'; it is one of 'nearest', 'stochastic', 'split'",
    ),
    "a seed": ({"rounding_seed": 0.5}, torch.bfloat16, "rounding_seed is 0.5; give a whole number"),
    "double": ({"state_dtype": "int8"}, torch.float64, r"parameter 0 of shape \(3,\) is torch.float64; its states"),
    "complex": (
        {"state_dtype": "bfloat16"},
        torch.complex64,
        r"parameter 0 of shape \(3,\) is torch.complex64; its states",
    ),
    "a graph": ({"state_dtype": "int8", "differentiable": True}, torch.float32, "differentiable=True keeps a graph"),
    "half": ({"param_mode": "split"}, torch.float16, "param_mode='split' is for bfloat16 parameters, and parameter 0"),
}


@pytest.mark.parametrize(("settings", "dtype", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_one_clear_error(settings: dict[str, Any], dtype: torch.dtype, message: str) -> None:
    with pytest.raises(SettingError, match=f"AdamW: .*{message}"):
        CLASSES["AdamW"]([torch.nn.Parameter(torch.ones(3, dtype=dtype))], **settings)


def test_a_number_is_no_state_to_be_kept_otherwise() -> None:
    with pytest.raises(SettingError, match="names 'mu_product', which is one number"):
        CLASSES["NAdam"](parameters((3,)), state_dtype={"mu_product": "int8"})


def test_a_device_that_cannot_hold_a_dtype_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = CLASSES["AdamW"](params := parameters((3,)), state_dtype="int8")
    give_gradients(params, 0)

    def refuse(*args: Any, **settings: Any) -> Any:
        raise TypeError("Cannot convert a tensor to int8: this backend has no such type\nmore")

    monkeypatch.setattr(torch, "zeros_like", refuse)
    with pytest.raises(
        StateError, match=r"AdamW: parameter 0 .* its device cpu cannot hold the state exp_avg as torch.int8"
    ):
        made.step()


def stepped(dtype: torch.dtype, **settings: Any) -> Optimizer:
    made = CLASSES["AdamW"](parameters((40, 30), (5,), dtype=dtype), **settings)
    for step in range(2):
        give_gradients(made.param_groups[0]["params"], step)
        made.step()
    return made


PRECISIONS: dict[str, tuple[torch.dtype, dict[str, Any]]] = {"float32": (torch.float32, {}), **STORED}


@pytest.mark.parametrize("into", PRECISIONS)
@pytest.mark.parametrize("of", PRECISIONS)
def test_a_checkpoint_of_another_precision_is_cast_only_when_asked(of: str, into: str) -> None:
    saved = stepped(PRECISIONS[of][0], **PRECISIONS[of][1])
    state_dict = saved.state_dict()
    dtype, settings = PRECISIONS[into]
    made = CLASSES["AdamW"](parameters((40, 30), (5,), dtype=dtype), **settings)
    kinds = [
        {k: v.dtype for k, v in stepped(each[0], **each[1]).state_dict()["state"][0].items()}
        for each in (PRECISIONS[of], PRECISIONS[into])
    ]
    if kinds[0] != kinds[1]:
        with pytest.raises(StateError, match=r"AdamW: the saved .* of parameter 0 .*cast=True"):
            made.load_state_dict(copy.deepcopy(state_dict))
        assert not made.state
    made.load_state_dict(copy.deepcopy(state_dict), cast=True)
    give_gradients(made.param_groups[0]["params"], 2)
    for p, q in zip(made.param_groups[0]["params"], saved.param_groups[0]["params"]):
        assert {k: v.dtype for k, v in made.state[p].items()} == kinds[1]
        for name in ("exp_avg", "exp_avg_sq"):
            values, found = (values_of(s, name).float().flatten() for s in (saved.state[q], made.state[p]))
            storage = STORAGES[str(made.state[p][name].dtype).removeprefix("torch.")]
            near = step_of(storage, values) if storage.name != "float32" else 0.0
            assert ((found - values).abs() <= near + 1e-12).all(), name
    made.step()
    assert not made._batch._slow


def test_torch_goes_on_from_the_float32_form() -> None:
    ours = stepped(torch.float32, state_dtype="int8")
    state_dict = ours.float32_state_dict()
    assert {k: v.dtype for k, v in state_dict["state"][0].items()} == dict.fromkeys(
        ("step", "exp_avg", "exp_avg_sq"), torch.float32
    )
    params = [torch.nn.Parameter(p.detach().clone()) for p in ours.param_groups[0]["params"]]
    theirs = torch.optim.AdamW(params)
    theirs.load_state_dict(copy.deepcopy(state_dict))
    for each in (ours, theirs):
        give_gradients(each.param_groups[0]["params"], 2)
        each.step()
    for p, q in zip(params, ours.param_groups[0]["params"]):
        torch.testing.assert_close(p.detach(), q.detach(), rtol=1e-5, atol=1e-6)
    back = CLASSES["AdamW"](params, state_dtype="int8")
    back.load_state_dict(theirs.state_dict(), cast=True)
    assert back.state[params[0]]["exp_avg"].dtype is torch.int8


def test_a_broken_scale_is_an_error() -> None:
    state_dict = copy.deepcopy(stepped(torch.float32, state_dtype="int8").state_dict())
    made = CLASSES["AdamW"](parameters((40, 30), (5,)), state_dtype="int8")
    state_dict["state"][0]["exp_avg_scale"] = torch.ones(2)
    with pytest.raises(
        StateError, match=r"exp_avg_scale of parameter 0 .* is torch.float32 of shape \(2,\); to exp_avg"
    ):
        made.load_state_dict(state_dict)
    del state_dict["state"][0]["exp_avg_scale"]
    with pytest.raises(StateError, match=r"exp_avg_scale of parameter 0 .* is None"):
        made.load_state_dict(state_dict)


@optimizer
def bounded(p, g, size=0, drift=0, *, lr=0.1, share=0.9):
    """A user's own: the first state is never negative, the second may be."""
    size = share * size + (1 - share) * abs(g)
    return p - lr * g / (size + 1e-3), size, drift + g


def test_a_users_own_formula_has_every_storage() -> None:
    for settings in ({"state_dtype": "int8"}, {"state_dtype": {"size": "int8"}}, {"state_dtype": torch.bfloat16}):
        params = parameters((60, 50))
        made = bounded(params, max_norm=1.0, weight_decay=0.01, **settings)
        for step in range(2):
            give_gradients(params, step)
            made.step()
        assert not made._batch._slow and torch.isfinite(params[0]).all()
        coded = "int8" in str(settings)
        assert made.state[params[0]]["size"].dtype is (torch.uint8 if coded else torch.bfloat16)


@every_storage
def test_steps_in_the_backward_pass_have_the_same_bits(stored: tuple[torch.dtype, dict[str, Any]]) -> None:
    dtype, settings = stored
    ends = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 40), torch.nn.Tanh(), torch.nn.Linear(40, 3)).to(dtype)
        made = CLASSES["AdamW"](model.parameters(), lr=1e-2, **settings)
        if fused:
            fuse_backward(made)
        for step in range(3):
            x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step)).to(dtype)
            model(x).square().mean().backward()
            made.step()
            made.zero_grad()
        ends.append(made)
    assert_same_bits(*ends)


def test_rules_of_a_route_keep_their_states_by_name() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 40), torch.nn.Tanh(), torch.nn.Linear(40, 40), torch.nn.Linear(40, 3)
    )
    rules = {"matrices": CLASSES["Muon"](lr=0.02), "rest": CLASSES["AdamW"](lr=1e-3)}
    made = Route(model, rules, state_dtype={"momentum_buffer": "int8", "exp_avg": "bfloat16"}, skip_nonfinite=True)
    for broken in (False, True, False):
        model(torch.randn(4, 8)).square().mean().backward()
        before = copy.deepcopy(made.state_dict()["state"])
        if broken:
            model[0].bias.grad[0] = math.inf
        made.step()
        if broken:
            after = made.state_dict()["state"]
            assert all(torch.equal(v, after[name][k]) for name, state in before.items() for k, v in state.items())
        made.zero_grad()
    assert made.skipped_steps == 1 and not made._batch._slow
    found = {
        str(v.dtype) for state in made.state.values() for k, v in state.items() if k in ("momentum_buffer", "exp_avg")
    }
    assert found == {"torch.int8", "torch.bfloat16"}
    again = pickle.loads(pickle.dumps(made))
    assert again.state_dtype == made.state_dtype
    with pytest.raises(SettingError, match="Route: state_dtype is of all rules together"):
        Route(model, {"rest": CLASSES["AdamW"](lr=1e-3, state_dtype="int8")})
