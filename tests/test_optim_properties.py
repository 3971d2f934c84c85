"""Compiled equals eager, whatever the shapes, groups, settings and precisions."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optim_cases import VARIANTS, eagerly

shapes = st.lists(st.lists(st.integers(0, 9), max_size=3).map(tuple), min_size=1, max_size=5)
dtypes = st.sampled_from([torch.float32, torch.float64])
rates = st.floats(1e-4, 0.5)
options = st.fixed_dictionaries(
    {},
    optional={
        "max_norm": st.floats(0.01, 10),
        "clip_value": st.floats(0.01, 10),
        "ema": st.floats(0, 0.999),
        "maximize": st.booleans(),
        "skip_nonfinite": st.booleans(),
    },
)
groups = st.lists(st.tuples(shapes, dtypes, rates, st.booleans()), min_size=1, max_size=3)


def built(variant: str, groups: list[Any], options: dict[str, Any], seed: int) -> torch.optim.Optimizer:
    cls, chosen = VARIANTS[variant]
    generator = torch.Generator().manual_seed(seed)
    return cls(
        [
            {
                "params": [
                    torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in group_shapes
                ],
                "lr": lr,
            }
            for group_shapes, dtype, lr, _ in groups
        ],
        **chosen,
        **options,
    )


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(VARIANTS)), groups, options, st.integers(0, 2**31), st.integers(1, 3))
def test_compiled_equals_eager(
    variant: str, groups: list[Any], options: dict[str, Any], seed: int, threads: int
) -> None:
    """Gradients stay away from 0, where rounding alone may change a sign; some parameters get none."""
    compiled, eager = built(variant, groups, options, seed), built(variant, groups, options, seed)
    generator = torch.Generator().manual_seed(seed)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for step in range(3):
            for ours, theirs, (*_, late) in zip(compiled.param_groups, eager.param_groups, groups):
                for p, q in zip(ours["params"], theirs["params"]):
                    g = torch.randn(p.shape, generator=generator)
                    g = (g.sign() * (0.1 + g.abs())).to(p.dtype)
                    p.grad, q.grad = (None, None) if late and step == 0 else (g, g.clone())
            compiled.step()
            with eagerly():
                eager.step()
    finally:
        torch.set_num_threads(before)
    assert compiled.steps == eager.steps == 3
    assert compiled._batch is None or not compiled._batch._slow
    for ours, theirs in zip(compiled.param_groups, eager.param_groups):
        for p, q in zip(ours["params"], theirs["params"]):
            close = {"rtol": 2e-4, "atol": 2e-5} if p.dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
            torch.testing.assert_close(p, q, **close)
            assert compiled.state[p].keys() == eager.state[q].keys()
            for name, value in eager.state[q].items():
                torch.testing.assert_close(compiled.state[p][name], value, **close, msg=name)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(VARIANTS)), groups, options, st.integers(0, 2**31))
def test_state_dicts_round_trip(variant: str, groups: list[Any], options: dict[str, Any], seed: int) -> None:
    one, other = built(variant, groups, options, seed), built(variant, groups, options, seed)
    for optimizer in (one, one, other):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.ones_like(p)
        optimizer.step()
    other.load_state_dict(one.state_dict())
    a, b = one.state_dict(), other.state_dict()
    assert a["param_groups"] == b["param_groups"]
    torch.testing.assert_close(a["state"], b["state"], rtol=0, atol=0, equal_nan=True)
