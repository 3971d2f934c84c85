"""Ours among torch's tools: loss scaling, compiled functions, grad modes, devices, kinds of parameters."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from downslope import StateError
from downslope.optim import CLASSES, SGD, Adam, AdamW
from optim_cases import Variant, assert_close, assert_same_bits, contents, every_variant, parameters, take_steps


def model_of(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).to(dtype)


def loss_of(model: torch.nn.Module) -> torch.Tensor:
    kind = next(model.parameters()).dtype
    x = torch.arange(20.0).view(5, 4).to(kind) / 20
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


# ---- GradScaler


@every_variant
def test_loss_scaling(variant: Variant) -> None:
    """The scale is divided out in the same pass; p.grad stays as backward left it, and the step is as without scale."""
    cls, settings = variant
    plain, scaled = model_of(), model_of()
    ours, with_scale = cls(plain.parameters(), **settings), cls(scaled.parameters(), **settings)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    for _ in range(4):
        ours.zero_grad()
        loss_of(plain).backward()
        ours.step()
        with_scale.zero_grad()
        scaler.scale(loss_of(scaled)).backward()
        before = [p.grad.clone() for p in scaled.parameters()]
        scaler.step(with_scale)
        assert all(torch.equal(p.grad, g) for p, g in zip(scaled.parameters(), before))
        scaler.update()
    assert scaler.get_scale() == 4096
    assert_close(with_scale, ours, rtol=1e-4, atol=1e-6)


def test_loss_scaling_with_clipping_equals_torchs_sequence() -> None:
    ours_model, their_model = model_of(), model_of()
    ours = Adam(ours_model.parameters(), lr=0.01, max_norm=0.1)
    theirs = torch.optim.Adam(their_model.parameters(), lr=0.01)
    one, other = (torch.amp.GradScaler("cpu", init_scale=512.0) for _ in range(2))
    for _ in range(4):
        for model, optimizer, scaler in ((ours_model, ours, one), (their_model, theirs, other)):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            if optimizer is theirs:
                scaler.unscale_(theirs)
                torch.nn.utils.clip_grad_norm_(their_model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
    assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_unscaled_by_hand_before_the_step() -> None:
    plain, scaled = model_of(), model_of()
    ours, with_scale = SGD(plain.parameters(), lr=0.1), SGD(scaled.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    loss_of(plain).backward()
    ours.step()
    scaler.scale(loss_of(scaled)).backward()
    scaler.unscale_(with_scale)
    scaler.step(with_scale)
    assert_close(with_scale, ours, rtol=1e-5, atol=1e-7)


@every_variant
def test_an_overflow_skips_the_step(variant: Variant) -> None:
    cls, settings = variant
    optimizer = cls(parameters(), **settings)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    take_steps(optimizer, 0, 2)
    before = contents(optimizer)
    params = optimizer.param_groups[0]["params"]
    optimizer.zero_grad()
    scaler.scale(sum(p.sum() for p in params)).backward()
    params[1].grad[2] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2 and optimizer.skipped_steps == 1 and optimizer.steps == 2
    torch.testing.assert_close(contents(optimizer), before, rtol=0, atol=0)


# ---- torch.compile


def test_step_in_a_compiled_function() -> None:
    model, plain = model_of(), model_of()
    ours, same = Adam(model.parameters(), lr=0.01), Adam(plain.parameters(), lr=0.01)

    @torch.compile(backend="eager")
    def train() -> None:
        ours.zero_grad()
        loss_of(model).backward()
        ours.step()

    for _ in range(3):
        train()
        same.zero_grad()
        loss_of(plain).backward()
        same.step()
    assert_same_bits(ours, same)
    assert loss_of(model) < loss_of(model_of())


def test_neither_importing_nor_stepping_imports_torchs_compiler() -> None:
    """It takes longer to import than all the rest."""
    code = """
import sys, torch, downslope
from downslope.optim import Adam
p = torch.nn.Parameter(torch.ones(3))
optimizer = Adam([p], max_norm=1.0, ema=0.9)
for _ in range(2):
    optimizer.zero_grad()
    p.sum().backward()
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
print([name for name in ("torch._dynamo", "triton", "rich", "plotly", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- gradients that are not dense


@pytest.mark.parametrize("name", CLASSES)
def test_sparse_gradients_are_refused(name: str) -> None:
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = CLASSES[name](embedding.named_parameters())
    embedding(torch.tensor([1, 2])).sum().backward()
    before = embedding.weight.detach().clone()
    message = rf"{name}: 'weight' has a gradient of layout torch.sparse_coo; .* torch.optim.SparseAdam"
    with pytest.raises(StateError, match=message):
        optimizer.step()
    assert torch.equal(embedding.weight, before)


# ---- grad modes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode], ids=lambda m: m.__name__)
def test_grad_modes(mode: type) -> None:
    model, plain = model_of(), model_of()
    ours, same = Adam(model.parameters()), Adam(plain.parameters())
    for _ in range(3):
        for m, optimizer in ((model, ours), (plain, same)):
            optimizer.zero_grad()
            loss_of(m).backward()
        with mode():
            ours.step()
        same.step()
    assert_same_bits(ours, same)
    assert all(p.requires_grad and p.is_leaf and not p.is_inference() for p in model.parameters())
    assert not any(value.requires_grad for state in ours.state.values() for value in state.values())


def test_everything_made_in_inference_mode() -> None:
    with torch.inference_mode():
        optimizer = Adam(parameters(), ema=0.9)
        take_steps(optimizer, 0, 3)
    take_steps(same := Adam(parameters(), ema=0.9), 0, 3)
    assert_same_bits(optimizer, same)


# ---- kinds of parameters


def test_ways_to_give_parameters() -> None:
    model = model_of()
    generator = Adam(p for p in model.parameters())
    named = Adam(model.named_parameters())
    groups = Adam([{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].weight}])
    assert [len(o.param_groups[0]["params"]) for o in (generator, named, groups)] == [4, 4, 2]
    assert named.param_groups[0]["param_names"][0] == "0.weight"
    assert [g["lr"] for g in groups.param_groups] == [0.5, 0.001]
    with pytest.raises(ValueError, match="empty parameter list"):
        Adam([])
    with pytest.raises(TypeError, match="iterable of Tensors"):
        Adam(model[0].weight)
    with pytest.raises(ValueError, match="non-leaf"):
        Adam([model[0].weight * 2])


def test_frozen_parameters_are_left_alone() -> None:
    model = model_of()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = AdamW(model.parameters(), weight_decay=0.5)
    loss_of(model).backward()
    optimizer.step()
    assert torch.equal(model[0].weight, before) and len(optimizer.state) == 2


def test_the_model_becomes_double_after_the_optimizer_was_made() -> None:
    late, early = model_of(), model_of(torch.float64)
    ours, same = Adam(late.parameters(), lr=0.01), Adam(early.parameters(), lr=0.01)
    late.double()
    for model, optimizer in ((late, ours), (early, same)):
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
    assert_same_bits(ours, same)


def test_the_model_becomes_double_between_steps() -> None:
    """The states stay as they are, in single precision; the step is computed in double."""
    model, single = model_of(), model_of()
    ours, same = Adam(model.parameters(), lr=0.01), Adam(single.parameters(), lr=0.01)
    for step in range(4):
        if step == 2:
            model.double()
        for m, optimizer in ((model, ours), (single, same)):
            optimizer.zero_grad()
            loss_of(m).backward()
            optimizer.step()
    for p, q in zip(model.parameters(), single.parameters()):
        torch.testing.assert_close(p.float(), q, rtol=1e-4, atol=1e-5)
        assert ours.state[p]["exp_avg"].dtype == torch.float32


def test_precisions_in_one_optimizer() -> None:
    kinds = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64)
    together = Adam([p for kind in kinds for p in parameters((5,), dtype=kind)], lr=0.1)
    take_steps(together, 0, 1)
    together_params = together.param_groups[0]["params"]
    for place, kind in enumerate(kinds):
        alone = Adam([p := parameters((5,), dtype=kind)[0]], lr=0.1)
        p.grad = together_params[place].grad.clone()
        alone.step()
        assert torch.equal(p, together_params[place]), kind


def test_float16_with_a_zero_gradient_stays_finite() -> None:
    """torch's loop gives nan: its eps of 1e-8 is 0 in float16."""
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float16))
    p.grad = torch.tensor([0.0, 1e-4, 1.0], dtype=torch.float16)
    optimizer = Adam([p], lr=0.1)
    optimizer.step()
    torch.testing.assert_close(p.detach().float(), torch.tensor([1.0, 0.9, 0.9]), rtol=2e-3, atol=0)


@every_variant
def test_meta_tensors(variant: Variant) -> None:
    cls, settings = variant
    with torch.device("meta"):
        model = torch.nn.Linear(3, 2)
        optimizer = cls(model.parameters(), **settings)
        model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert all(p.is_meta for p in model.parameters())


def test_devices_in_one_optimizer() -> None:
    """Each parameter is updated where it is. (`meta` stands for a second device: it computes nothing.)"""
    (p,), (alone,) = parameters((5,)), parameters((5,))
    far = torch.nn.Parameter(torch.empty(3, device="meta"))
    together, single = Adam([far, p]), Adam([alone])
    for step in range(3):
        far.grad = torch.empty(3, device="meta")
        p.grad = torch.arange(5.0) - step
        alone.grad = p.grad.clone()
        together.step()
        single.step()
    assert torch.equal(p, alone) and together.state[far]["exp_avg"].is_meta


def test_two_optimizers_on_one_model() -> None:
    model = model_of()
    one, other = Adam(model[0].parameters()), SGD(model[2].parameters(), lr=0.1)
    before = loss_of(model)
    for _ in range(20):
        model.zero_grad()
        loss_of(model).backward()
        one.step()
        other.step()
    assert loss_of(model) < before


def test_zero_grad() -> None:
    optimizer = Adam(parameters())
    take_steps(optimizer, 0, 1)
    optimizer.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in optimizer.param_groups[0]["params"])
    optimizer.zero_grad()
    assert all(p.grad is None for p in optimizer.param_groups[0]["params"])
