"""Every outcome of `critical_point` on points of which the truth is known, and `escape`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, cos, exp, nn, sin

import downslope
from downslope import optim
from downslope.diagnose.curvature import OUTCOMES, CriticalPoint
from downslope.diagnose.curvature.evidence import Mean, sign_flips
from downslope.errors import DownslopeError, RunError, SettingError, StateError
from downslope.optim.escape import escape

ce, mse, pi = nn.functional.cross_entropy, nn.functional.mse_loss, math.pi
MOVING, SADDLE, MAXIMUM, NONE, CANNOT = (
    "not stationary yet", "saddle", "maximum", "no curvature below -tau found", "cannot tell",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


# ---- surfaces whose critical points are known

SURFACES: dict[str, Callable[[Any, Any], Any]] = {
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "beale": lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "booth": lambda x, y: (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2,
    "matyas": lambda x, y: 0.26 * (x**2 + y**2) - 0.48 * x * y,
    "rastrigin": lambda x, y: 20 + x**2 - 10 * cos(2 * pi * x) + y**2 - 10 * cos(2 * pi * y),
    "ackley": lambda x, y: (
        -20 * exp(-0.2 * ((x * x + y * y) / 2).sqrt()) - exp((cos(2 * pi * x) + cos(2 * pi * y)) / 2) + math.e + 20
    ),
    "three-hump camel": lambda x, y: 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2,
    "six-hump camel": lambda x, y: (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2,
    "goldstein-price": lambda x, y: (
        (1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2))
        * (30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2))
    ),
    "styblinski-tang": lambda x, y: (x**4 - 16 * x**2 + 5 * x + y**4 - 16 * y**2 + 5 * y) / 2,
    "easom": lambda x, y: -cos(x) * cos(y) * exp(-((x - pi) ** 2) - (y - pi) ** 2),
    "mccormick": lambda x, y: sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1,
    "griewank": lambda x, y: 1 + (x**2 + y**2) / 4000 - cos(x) * cos(y / math.sqrt(2)),
    "levy 13": lambda x, y: (
        sin(3 * pi * x) ** 2 + (x - 1) ** 2 * (1 + sin(3 * pi * y) ** 2) + (y - 1) ** 2 * (1 + sin(2 * pi * y) ** 2)
    ),
    "branin": lambda x, y: (y - 5.1 / (4 * pi**2) * x**2 + 5 / pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10,
    "zakharov": lambda x, y: x**2 + y**2 + (0.5 * x + y) ** 2 + (0.5 * x + y) ** 4,
    "dixon-price": lambda x, y: (x - 1) ** 2 + 2 * (2 * y**2 - x) ** 2,
    "hyperbolic": lambda x, y: x**2 - y**2,
    "monkey": lambda x, y: x**3 - 3 * x * y**2,
    "wave": lambda x, y: sin(x) + y**2,
    "quartic": lambda x, y: x**4 + y**4,
    "quartic down": lambda x, y: x**2 - y**4,
    "cubic": lambda x, y: x**2 + y**3,
    "trough": lambda x, y: x**2 + 0 * y,
    "level": lambda x, y: 0 * x * y + 3,
    "cone": lambda x, y: x.abs() + y.abs(),
    "ridge": lambda x, y: x.abs() - y.abs(),
    "rectified": lambda x, y: torch.relu(x) + y**2,
}
POINTS = [
    ("rosenbrock", 1, 1, NONE), ("beale", 3, 0.5, NONE), ("beale", 0, 1, SADDLE), ("beale", 0.1005, -2.6445, SADDLE),
    ("himmelblau", 3, 2, NONE), ("himmelblau", -2.8051, 3.1313, NONE), ("himmelblau", -3.073, -0.0814, SADDLE),
    ("himmelblau", -0.128, -1.9537, SADDLE), ("himmelblau", 0.0867, 2.8843, SADDLE),
    ("himmelblau", 3.3852, 0.0739, SADDLE), ("himmelblau", -0.2708, -0.9230, MAXIMUM), ("booth", 1, 3, NONE),
    ("matyas", 0, 0, NONE), ("rastrigin", 0, 0, NONE), ("rastrigin", 0.50254786, 0.50254786, MAXIMUM),
    ("rastrigin", 0, 0.50254786, SADDLE), ("ackley", 0, 0, CANNOT), ("three-hump camel", 0, 0, NONE),
    ("three-hump camel", 1.0705, -0.5353, SADDLE), ("three-hump camel", -1.7476, 0.8738, NONE),
    ("six-hump camel", 0, 0, SADDLE), ("six-hump camel", 0.0898, -0.7126, NONE), ("goldstein-price", 0, -1, NONE),
    ("goldstein-price", -0.4, -0.6, SADDLE), ("goldstein-price", 0.6, 0.4, SADDLE),
    ("goldstein-price", 1.2, -0.2, SADDLE), ("goldstein-price", 1.4, 0.6, SADDLE),
    ("styblinski-tang", -2.9035, -2.9035, NONE), ("easom", pi, pi, NONE), ("easom", -5, -5, NONE),
    ("easom", 0, 0, MOVING), ("mccormick", -0.5472, -1.5472, NONE), ("mccormick", 1.5472, 0.5472, SADDLE),
    ("griewank", 0, 0, NONE), ("levy 13", 1, 1, NONE), ("branin", -pi, 12.275, NONE), ("branin", 0, 6, SADDLE),
    ("branin", 2 * pi, 1.1, SADDLE), ("zakharov", 0, 0, NONE), ("dixon-price", 1 / 3, 0, SADDLE),
    ("dixon-price", 1, 0.70711, NONE), ("hyperbolic", 0, 0, SADDLE), ("monkey", 0, 0, NONE),
    ("wave", pi / 2, 0, SADDLE), ("wave", -pi / 2, 0, NONE),
    ("quartic", 0, 0, NONE), ("quartic down", 0, 0, NONE), ("cubic", 0, 0, NONE),
    ("trough", 0, 0, NONE), ("level", 1, 2, NONE), ("cone", 0, 0, CANNOT), ("ridge", 0, 0, MOVING),
    ("rectified", 0, 0, CANNOT), ("rosenbrock", 0.5, 0.25, MOVING), ("rosenbrock", 0.97, 0.9409, MOVING),
    ("himmelblau", 0, 0, MOVING), ("rastrigin", 0.2, 0.1, MOVING), ("monkey", 0.1, 0, MOVING),
]  # fmt: skip
FLAT = {("easom", -5), ("monkey", 0), ("quartic", 0), ("quartic down", 0), ("cubic", 0), ("trough", 0), ("level", 1)}
FALLS = {"monkey", "quartic down", "cubic"}
PLATEAUS = {("easom", -5), ("level", 1)}


def on(surface: str, x: float, y: float, dtype: torch.dtype = torch.float64, **own: Any) -> tuple[CriticalPoint, Any]:
    p = torch.tensor([x, y], dtype=dtype, requires_grad=True)

    def loss() -> Tensor:
        return SURFACES[surface](p[0], p[1])

    return downslope.critical_point(loss, p, **own), (p, loss)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize(
    ("surface", "x", "y", "outcome"), POINTS, ids=lambda v: v if isinstance(v, str) else f"{v:.3g}"
)
def test_known_points_come_out_as_what_they_are(surface: str, x: float, y: float, outcome: str, dtype: Any) -> None:
    found, (p, loss) = on(surface, x, y, dtype)
    assert found.outcome == outcome, found
    assert found.flat == ((surface, x) in FLAT), found
    assert ("plateau" in found.why) == ((surface, x) in PLATEAUS), found
    assert "minimum:" not in str(found) and "is a minimum" not in str(found)
    falls = outcome in (SADDLE, MAXIMUM) or (surface in FALLS and outcome == NONE) or surface == "ridge"
    assert (found.direction is not None) == falls, found
    if found.direction is not None:
        (along,) = found.direction
        assert along.shape == p.shape and along.dtype == dtype and float(along.norm()) == pytest.approx(1, rel=1e-5)
        assert found.follow is not None
        with torch.no_grad():
            before = float(loss())
            p += found.follow.distance * along
            assert float(loss()) < before, "the loss falls along the direction"
    if outcome in (SADDLE, MAXIMUM, NONE) and not found.flat:
        assert found.exhausted and found.smallest is not None and found.largest is not None
        p = torch.tensor([x, y], dtype=torch.float64)
        function = SURFACES[surface]
        truth = torch.linalg.eigvalsh(torch.autograd.functional.hessian(lambda q: function(q[0], q[1]), p))
        assert found.smallest == pytest.approx(float(truth[0]), rel=1e-3, abs=1e-4 * float(truth.abs().max()))
        assert found.largest == pytest.approx(float(truth[1]), rel=1e-3, abs=1e-4 * float(truth.abs().max()))


def test_what_is_said_of_a_kink_is_true() -> None:
    ackley, cone, ridge = (on(name, 0, 0)[0].why for name in ("ackley", "cone", "ridge"))
    assert "gradient is nan" in ackley and "did not fall" in ackley
    assert "jumps by 2.8" in cone and "did not fall" in cone
    assert "jumps by 2.8" in ridge and "falls beside it" in ridge


# ---- networks and noise


def linear(targets: Tensor, x: Tensor) -> nn.Module:
    """Two linear layers at zero: an exact saddle, unless the targets have nothing to do with the inputs."""
    model = nn.Sequential(nn.Linear(x.shape[1], 6, bias=False), nn.Linear(6, targets.shape[1], bias=False))
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


@pytest.mark.parametrize("seed", range(4))
def test_noise_makes_negative_curvature_and_other_data_deny_it(seed: int) -> None:
    """With targets of pure noise the expected loss has no negative curvature; any sample of it has a lot."""
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(64, 8, generator=generator), torch.randn(64, 3, generator=generator)
    model = linear(noise, x)
    deceived = downslope.critical_point(lambda: mse(model(x), noise), model)
    assert deceived.outcome == SADDLE, "of this very loss it is one"
    assert deceived.witness is not None and not deceived.witness.other_data and "on the same loss" in str(deceived)
    found = downslope.critical_point(mse, model, (x, noise))
    assert found.outcome == CANNOT and "other data do not confirm" in found.why and "at this noise" in found.why
    assert "minimum" not in str(found)
    assert found.direction is None
    assert found.witness is not None and found.witness.searched < -0.05 and not found.witness.certified
    fresh = torch.randn(200, 8, generator=generator), torch.randn(200, 3, generator=generator)
    assert downslope.critical_point(mse, model, (x, noise), held_out=fresh).outcome == CANNOT


def test_a_direction_must_stand_out_of_its_noise() -> None:
    assert not Mean(-1.0, 1.0, 8).below_zero(0.99) and not Mean(-2.9, 1.0, 8).below_zero(0.99)
    assert Mean(-3.1, 1.0, 8).below_zero(0.99) and not Mean(3.1, 1.0, 8).below_zero(0.99)


def test_the_loss_itself_must_bend_down_too() -> None:
    """Kinks 1e-4 away: at the very point the curvature is -2, and the loss rises at any step worth the name."""
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    found = downslope.critical_point(lambda: (50 * torch.relu(p.abs() - 1e-4) - p * p).sum(), p)
    assert found.outcome == CANNOT and "the loss itself does not confirm" in found.why
    assert found.witness is not None and found.witness.curvature.value == pytest.approx(-2) and found.direction is None


@pytest.mark.parametrize("form", ["data", "batches", "closures", "held out", "closures held out"])
def test_a_saddle_is_certified_on_other_data(form: str) -> None:
    x = torch.randn(256, 8)
    y = x @ torch.randn(8, 3) + 0.3 * torch.randn(256, 3)
    model = linear(y, x)
    cuts = [(x[i::16], y[i::16]) for i in range(16)]
    losses = [lambda pair=pair: mse(model(pair[0]), pair[1]) for pair in cuts]
    given: dict[str, tuple[Any, ...]] = {
        "data": (mse, model, (x, y)),
        "batches": (mse, model, cuts),
        "closures": (losses, model),
        "held out": (mse, model, (x[:128], y[:128])),
        "closures held out": (losses[:8], model),
    }
    other: Any = {"held out": (x[128:], y[128:]), "closures held out": losses[8:]}.get(form)
    found = downslope.critical_point(*given[form], held_out=other)
    assert found.outcome == SADDLE, found
    witness = found.witness
    assert witness is not None and witness.other_data and witness.curvature.pieces >= 4
    cross = (2 / 3 * x.T @ y / 256).double()
    assert found.smallest == pytest.approx(-float(torch.linalg.matrix_norm(cross, 2)), rel=0.2)
    assert found.direction is not None and found.follow is not None and found.follow.change.value < 0
    with torch.no_grad():
        before = mse(model(x), y)
        for p, d in zip(model.parameters(), found.direction):
            p += found.follow.distance * d
        assert mse(model(x), y) < before
    assert "certified" in str(found) and "no gradient to follow" in found.why


def test_a_gradient_is_measured_by_its_noise() -> None:
    x = torch.randn(512, 8)
    y = (x @ torch.randn(8, 3)).argmax(1)
    model = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3))
    moving = downslope.critical_point(ce, model, (x, y))
    assert moving.outcome == MOVING and moving.gradient is not None and moving.gradient.p_value is not None
    assert moving.gradient.p_value < 0.01 and "signs" in moving.gradient.test and moving.descend is not None
    assert moving.descend.change.value < 0
    exact = downslope.critical_point(lambda: ce(model(x), y), model)
    assert exact.outcome == MOVING and exact.gradient is not None and exact.gradient.p_value is None
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=800, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def decayed(output: Tensor, target: Tensor) -> Tensor:
        return ce(output, target) + 3e-3 * sum((p**2).sum() for p in model.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = decayed(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    late = downslope.critical_point(decayed, model, (x, y))
    assert late.gradient is not None and late.gradient.stationary and late.outcome == NONE, late
    assert (late.tau is not None and late.tau > 0 and "does not prove a minimum" in late.why) or late.flat
    assert late.products <= 200 and f"{late.products} products" in str(late) and "99%" in str(late)


def test_the_sign_flip_test_keeps_its_level() -> None:
    generator = torch.Generator().manual_seed(0)
    for n in (8, 16):
        p = [sign_flips(torch.randn(n, 20, generator=generator).double(), generator)[0] for _ in range(300)]
        assert sum(v <= 0.05 for v in p) <= 27, "about 15 of 300"
        shifted = [sign_flips(torch.randn(n, 20, generator=generator).double() + 1, generator)[0] for _ in range(20)]
        assert max(shifted) <= 0.01


def test_a_wanted_tau_takes_more_products_and_few_exclude_little() -> None:
    values = torch.linspace(1, 2, 500, dtype=torch.float64)
    p = torch.zeros(500, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        return (values * p * p).sum() / 2

    wide = downslope.critical_point(loss, p, tau=0.5)
    tight = downslope.critical_point(loss, p, tau=1e-9)
    assert wide.outcome == tight.outcome == NONE and wide.products < tight.products
    assert wide.tau is not None and wide.tau <= 0.5
    few = downslope.critical_point(loss, p, products=3)
    assert few.outcome == CANNOT and "give more products" in few.why


def test_batch_norm_dropout_and_attention_are_no_obstacle() -> None:
    x, y = torch.randn(64, 4, 8), torch.randint(3, (64,))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.2, batch_first=True)
            self.norm, self.last = nn.BatchNorm1d(8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.norm(self.block(x).mean(1)))

    model = Net()
    nn.init.zeros_(model.last.weight)
    found = downslope.critical_point(ce, model, (x, y))
    assert found.way == "exact, with math attention" and "running statistics" in "".join(found.notes)
    assert found.outcome in OUTCOMES
    noisy = downslope.critical_point(ce, model, (x, y), train=True)
    assert noisy.outcome == CANNOT and "dropout is on" in noisy.why and "gradient" in noisy.why


def test_nan_is_an_outcome() -> None:
    p = torch.ones(2, requires_grad=True)
    found = downslope.critical_point(lambda: (p - 2).log().sum(), p)
    assert found.outcome == CANNOT and "the loss is nan" in found.why


def test_half_precision_hides_curvature_and_says_so() -> None:
    x, y = torch.randn(64, 8), torch.randint(3, (64,))
    model = nn.Linear(8, 3).bfloat16()
    before = [p.data_ptr() for p in model.parameters()]
    found = downslope.critical_point(lambda: ce(model(x.bfloat16()), y), model)
    assert found.outcome == CANNOT and "bfloat16" in found.why
    double = downslope.critical_point(ce, model, (x.bfloat16(), y))
    assert double.outcome != CANNOT and "double precision; the parameters are bfloat16" in "".join(double.notes)
    assert before == [p.data_ptr() for p in model.parameters()] and model.weight.dtype == torch.bfloat16


def test_a_task_is_looked_at_as_it_is() -> None:
    x = torch.randn(200, 4)
    y = (x[:, 0] > 0).long()
    task = downslope.Task.of(lambda: nn.Linear(4, 2), (x, y), loss=ce, batch=50)
    state = torch.get_rng_state()
    found = downslope.critical_point(task)
    assert found.outcome == MOVING and "before training" in found.notes[0]
    assert torch.equal(state, torch.get_rng_state())
    model = nn.Linear(4, 2)
    assert downslope.critical_point(task, model).parameters[0] is model.weight


BAD: dict[str, tuple[Callable[[], Any], type[DownslopeError], str]] = {
    "no parameters": (lambda: downslope.critical_point(ce, nn.ReLU(), (torch.ones(2, 2), torch.ones(2))),
                      SettingError, "there is nothing to move"),
    "frozen": (lambda: downslope.critical_point(lambda: None, torch.ones(2)), SettingError, "none of the 1 requires"),
    "no model": (lambda: downslope.critical_point(lambda: torch.ones(())), SettingError, "model is None"),
    "no loss": (lambda: downslope.critical_point(3, torch.ones(2, requires_grad=True)), SettingError, "got 3"),
    "no scalar": (lambda: downslope.critical_point(lambda: torch.ones(3), torch.ones(2, requires_grad=True)),
                  SettingError, "scalar"),
    "a float": (lambda: downslope.critical_point(lambda: 1.0, torch.ones(2, requires_grad=True)),
                SettingError, "is a float"),
    "raises": (lambda: downslope.critical_point(lambda: 1 / 0, torch.ones(2, requires_grad=True)),
               RunError, "ZeroDivisionError"),
    "needs data": (lambda: downslope.critical_point(ce, nn.Linear(2, 2)), RunError, "cannot be evaluated"),
    "odd batches": (lambda: downslope.critical_point(ce, nn.Linear(2, 2), [torch.ones(2)]), SettingError, "a batch is"),
    "empty": (lambda: downslope.critical_point(ce, nn.Linear(2, 2), []), SettingError, "no batch"),
    "products": (lambda: on("booth", 1, 3, products=0), SettingError, "products=0"),
    "tau": (lambda: on("booth", 1, 3, tau=-1), SettingError, "tau=-1"),
    "confidence": (lambda: on("booth", 1, 3, confidence=99), SettingError, "confidence=99"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_words(case: str) -> None:
    call, error, words = BAD[case]
    with pytest.raises(error, match=words):
        call()


# ---- escape


def test_escape_leaves_a_saddle_where_descent_cannot() -> None:
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        return p[0] ** 2 - p[1] ** 2 + p[1] ** 4

    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    assert not p.any(), "descent stays"
    found = downslope.critical_point(loss, p)
    held = {k: v.clone() for k, v in optimizer.state[p].items() if isinstance(v, Tensor)}
    done = optimizer.escape(found, loss)
    assert done.moved and done.after < done.before and done.after == pytest.approx(loss().item())
    assert abs(done.distance) == pytest.approx(float(p.detach().norm())) and done.after < -0.2
    assert all(torch.equal(v, optimizer.state[p][k]) for k, v in held.items())
    for _ in range(200):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() == pytest.approx(-0.25, abs=1e-6)


@pytest.mark.parametrize("make", [optim.AdamW, torch.optim.AdamW], ids=["downslope", "torch"])
def test_escape_changes_nothing_where_the_loss_does_not_fall(make: Any) -> None:
    model = nn.Linear(3, 2)
    x, y = torch.randn(20, 3), torch.randn(20, 2)
    optimizer = make(model.parameters(), lr=0.1)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        torch.rand(3)
        optimizer.zero_grad()
        loss = mse(model(x), y) * 0 + sum((p - q).square().sum() for p, q in zip(model.parameters(), start))
        loss.backward()
        return loss

    start = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    along = [torch.randn_like(p) for p in start]
    state = torch.get_rng_state()
    done = escape(optimizer, along, closure)
    assert not done.moved and "nothing was changed" in str(done) and done.evaluations == calls
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), start))
    assert all(bool((p.grad == 1).all()) for p in model.parameters() if p.grad is not None)
    assert torch.equal(state, torch.get_rng_state())


def test_escape_takes_the_better_sign_and_shrinks_to_where_the_loss_falls() -> None:
    p = torch.tensor([0.0, 5.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    done = optimizer.escape([torch.tensor([-3.0, 0.0])], lambda: (p[0] - 0.01) ** 2, distance=1.0)
    assert done.moved and done.distance < 0 and float(p[1].detach()) == 5
    assert abs(float(p[0].detach()) - 0.01) < 0.01


def test_escape_puts_back_what_an_interrupted_loss_left() -> None:
    p = torch.tensor([1.0, 5.0], requires_grad=True)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return -p.sum()

    with pytest.raises(KeyboardInterrupt):
        optim.SGD([p], lr=0.1).escape([torch.ones(2)], closure)
    assert p.tolist() == [1.0, 5.0]


def test_escape_refuses_what_does_not_fit() -> None:
    p = torch.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, ema=0.9)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ([torch.ones(3)], {}, "shape"), ([], {}, "0 tensors for 1"), ([torch.zeros(2)], {}, "length 0"),
        (3, {}, "give a tensor for each"), (on("booth", 1, 3)[0], {}, "without a certified direction"),
        (on("hyperbolic", 0, 0)[0], {}, "none of this optimizer's"), ([torch.ones(2)], {"distance": -1}, "distance=-1"),
    ]  # fmt: skip
    for direction, own, words in cases:
        with pytest.raises(SettingError, match=words):
            optimizer.escape(direction, lambda: p.sum(), **own)
    with pytest.raises(SettingError, match="function of nothing"):
        optimizer.escape([torch.ones(2)], 3.0)  # type: ignore[arg-type]
    p.grad = torch.ones(2)
    optimizer.step()
    with optimizer.swap_average(), pytest.raises(StateError, match="escape"):
        optimizer.escape([torch.ones(2)], lambda: p.sum())
