"""Test surfaces: values, minima, gradients and critical points as verified; own expressions; walkers."""

from __future__ import annotations

import math

import pytest
import torch

from downslope.compiler.functions import Symbol
from downslope.compiler.graph import node
from downslope.errors import RunError, SettingError
from downslope.landscape.expression import parse, read
from downslope.landscape.surface import Surface
from downslope.landscape.surfaces import SURFACES, by_name, noisy, quadratic
from downslope.landscape.trajectories import walk

ALL = [pytest.param(s, id=s.name) for s in SURFACES.values()]
# Values by the papers' tables, computed by hand or from the first sources.
VALUES = {
    "beale": {(0, 1): 14.203125, (3, 0.5): 0.0, (0.1005, -2.6445): 9.8645},
    "rosenbrock": {(0, 0): 1.0, (-1.2, 1): 24.2},
    "himmelblau": {(-0.270845, -0.923039): 181.6165, (0, 0): 170.0, (3.3852, 0.0739): 13.3119},
    "booth": {(0, 0): 74.0},
    "matyas": {(1, 0): 0.26},
    "three-hump-camel": {(1.0705, -0.5353): 0.8774, (1.7476, -0.8738): 0.2986},
    "six-hump-camel": {(0.0898, -0.7126): -1.031628},
    "goldstein-price": {(0, -1): 3.0, (-0.4, -0.6): 35.0, (0.6, 0.4): 990.0, (1.2, -0.2): 99.0, (1.4, 0.6): 980.0},
    "styblinski-tang": {(-2.903534, -2.903534): -78.33233},
    "rastrigin": {(0, 0): 0.0, (1, 0): 1.0},
    "ackley": {(0, 0): 0.0},
    "easom": {(math.pi, math.pi): -1.0},
    "mccormick": {(-0.54719, -1.54719): -1.913223, (1.5472, 0.5472): 1.9132, (2.5944, 1.5944): 1.2284},
    "levy-13": {(1, 1): 0.0, (0, 0): 2.0},
    "branin": {(math.pi, 2.275): 0.397887, (0, 6): 19.602},
    "dixon-price": {(1 / 3, 0): 2 / 3},
    "saddle": {(1, 1): 4.0},
}
# Hessian eigenvalues at the first minimum, to three digits.
CURVATURES = {
    "rosenbrock": (0.399, 1002), "beale": (0.301, 49.0), "booth": (2, 18), "matyas": (0.04, 1.0),
    "rastrigin": (397, 397), "three-hump-camel": (1.59, 4.41), "six-hump-camel": (7.68, 16.5),
    "goldstein-price": (403, 965), "styblinski-tang": (34.6, 34.6), "easom": (3, 3), "mccormick": (1.73, 4.0),
    "levy-13": (2, 180),
    "griewank": (0.5, 1.0), "zakharov": (2, 4.5), "dixon-price": (1.77, 36.2),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_the_sources(name: str) -> None:
    for point, value in VALUES[name].items():
        assert float(SURFACES[name](*(torch.tensor(float(c), dtype=torch.float64) for c in point))) == pytest.approx(
            value, rel=2e-4, abs=1e-9
        )


@pytest.mark.parametrize("surface", ALL)
def test_minima_are_the_lowest_points_of_the_domain(surface: Surface) -> None:
    lowest = float(surface.grid(301)[2].min())
    for point in surface.minima:
        at = torch.tensor(point, dtype=torch.float64)
        assert surface.holds(at)
        assert float(surface.values(at)) <= lowest + 1e-9
        if surface.name == "ackley":
            continue  # a kink, with no gradient
        assert float(surface.gradient(at).norm()) < 1e-4
        low, _ = torch.linalg.eigvalsh(surface.hessian(point)).tolist()
        assert low > 0


@pytest.mark.parametrize("name", CURVATURES)
def test_curvatures_at_the_minimum_are_the_verified_ones(name: str) -> None:
    surface = SURFACES[name]
    found = torch.linalg.eigvalsh(surface.hessian(surface.minima[0])).tolist()
    assert found == pytest.approx(CURVATURES[name], rel=0.01)


@pytest.mark.parametrize("surface", ALL)
def test_saddles_are_critical_points_that_go_up_and_down(surface: Surface) -> None:
    for point in surface.saddles:
        low, high = torch.linalg.eigvalsh(surface.hessian(point)).tolist()
        slope = float(surface.gradient(torch.tensor(point, dtype=torch.float64)).norm())
        assert slope < 2e-3 * max(abs(low), abs(high), 1.0)
        if surface.name == "monkey-saddle":
            assert low == high == 0
        else:
            assert low < 0 < high


@pytest.mark.parametrize("surface", ALL)
def test_gradients_are_differences_of_values(surface: Surface) -> None:
    at = torch.tensor(surface.start, dtype=torch.float64)
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    numeric = (surface.values(at + step) - surface.values(at - step)) / 2e-6
    torch.testing.assert_close(surface.gradient(at), numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("surface", ALL)
def test_a_surface_takes_symbols_and_numbers_as_well(surface: Surface) -> None:
    x, y = (Symbol(node("load", value=name)) for name in "xy")
    assert isinstance(surface(x, y), Symbol)
    number = float(surface(*surface.start))
    assert number == pytest.approx(float(surface.values(torch.tensor(surface.start, dtype=torch.float64))), rel=1e-12)


@pytest.mark.parametrize(("condition", "angle"), [(1, 0), (100, 30), (1e4, -75)])
def test_the_quadratic_has_its_condition_number_and_angle(condition: float, angle: float) -> None:
    values, vectors = torch.linalg.eigh(quadratic(condition, angle).hessian((0, 0)))
    assert float(values[1] / values[0]) == pytest.approx(condition)
    if condition > 1:
        flat = math.degrees(math.atan2(float(vectors[1, 0]), float(vectors[0, 0])))
        assert (flat - angle + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)


def test_a_family_takes_its_settings_in_brackets() -> None:
    found = read("quadratic(1000, angle=20)")
    assert found.name == "quadratic" and "1000" in found.formula and "20°" in found.formula
    low, high = torch.linalg.eigvalsh(found.hessian((0.3, -0.2))).tolist()
    assert high / low == pytest.approx(1000)
    assert read("noisy-quadratic(0.25)").noise == 0.25 and read("quadratic()").formula == quadratic().formula
    with pytest.raises(SettingError, match=r"'slope=1' is no setting of quadratic; .*\(condition=100, "):
        read("quadratic(slope=1)")
    for wrong in ("quadratic(1, 2, 3)", "quadratic(steep)", "noisy-quadratic(-1)"):
        with pytest.raises(SettingError, match="quadratic"):
            read(wrong)


def test_settings_that_make_no_surface_are_refused() -> None:
    with pytest.raises(SettingError, match=r"condition=0\.5"):
        quadratic(0.5)
    with pytest.raises(SettingError, match="noise=-1"):
        noisy(-1)
    with pytest.raises(SettingError, match="did you mean beale"):
        by_name("beal")


# ---- the user's own


def test_an_expression_is_what_it_says() -> None:
    x, y = torch.tensor(0.7, dtype=torch.float64), torch.tensor(-1.3, dtype=torch.float64)
    assert float(parse("(x-1)**2 + 10*(y-x**2)**2")(x, y)) == float((x - 1) ** 2 + 10 * (y - x**2) ** 2)
    assert float(parse("where(x > 0, -x^2, sin(pi*y))")(x, y)) == pytest.approx(-0.49)
    assert read("x**2 + 3*y**2").gradient(torch.tensor([1.0, 1.0])).tolist() == [2.0, 6.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x**2 +", "is no expression"),
        ("__import__('os').system('true') + x", "is not allowed"),
        ("x.__class__ + y", "is not allowed"),
        ("(lambda: x)() + y", "is not allowed"),
        ("[x for x in (1, 2)] + y", "is not allowed"),
        ("open(x) + y", "knows no function 'open'"),
        ("x + z*y", "knows no name 'z'"),
        ("cosh(x) + y", "did you mean cos"),
        ("sin(x, y) + 1", "takes 1 value, given 2"),
        ("x + 'a'", "is not allowed"),
        ("log(x) + y", "give another --start"),
    ],
)
def test_an_expression_that_is_none_is_quoted(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read(text)


def test_a_function_in_a_file(tmp_path) -> None:
    file = tmp_path / "my_surfaces.py"
    file.write_text("def bowl(x, y):\n    return x**2 + y**2\n\ndef flat(x, y):\n    return x.sum()\n")
    assert float(read(f"{file}:bowl").values(torch.tensor([1.0, 2.0]))) == 5
    with pytest.raises(RunError, match="did you mean bowl"):
        read(f"{file}:bowls")
    with pytest.raises(RunError, match="work element by element"):
        read(f"{file}:flat")
    with pytest.raises(RunError, match="there is no such file"):
        read(f"{tmp_path}/none.py:bowl")


# ---- walkers


def test_a_path_is_what_the_optimizer_does_alone() -> None:
    surface = SURFACES["beale"]
    (path,) = walk(surface, {"adam": {"lr": 0.05}}, steps=30)
    p = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([p], lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        surface.values(p).backward()
        optimizer.step()
    torch.testing.assert_close(path.points[-1], p.detach(), rtol=1e-9, atol=1e-12)
    assert path.chosen == "given"


def test_radfords_first_steps_on_beale() -> None:
    """Adagrad's first step at lr 1 is 1 in both coordinates, as seen in the frames."""
    (path,) = walk(SURFACES["beale"], ["adagrad"], steps=2)
    torch.testing.assert_close(path.points[1], torch.tensor([0.0, 0.6], dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["rosenbrock", "quadratic", "booth"])
def test_a_rate_that_is_tried_stays_and_gets_down(name: str) -> None:
    surface = SURFACES[name]
    for path in walk(surface, ["sgd", "adam", "lion"], steps=60):
        assert path.chosen == "tried"
        assert surface.holds(path.points, 0.1).all()
        assert float(path.values[-1]) < 0.25 * float(path.values[0])


def test_noise_is_the_same_for_all_and_by_the_seed() -> None:
    surface = noisy(1.0)
    one, two = walk(surface, {"sgd": {"lr": 0.1}, "momentum": {"lr": 0.1, "momentum": 0.0}}, steps=10)
    torch.testing.assert_close(one.points, two.points, rtol=1e-12, atol=1e-12)
    (other,) = walk(surface, {"sgd": {"lr": 0.1}}, steps=10, seed=1)
    assert not torch.equal(one.points, other.points)


def test_a_rule_of_the_users_walks_by_its_file(tmp_path) -> None:
    file = tmp_path / "my_rules.py"
    file.write_text("def half(p, g, *, lr=0.01):\n    return p - lr * g / 2\n")
    mine, usual = walk(SURFACES["booth"], {f"{file}:half": {"lr": 0.02}, "sgd": {"lr": 0.01}}, steps=5)
    assert (mine.name, mine.label, mine.chosen) == ("half", "half", "given")
    torch.testing.assert_close(mine.points, usual.points, rtol=1e-14, atol=1e-14)
    with pytest.raises(RunError, match="has no third"):
        walk(SURFACES["booth"], [f"{file}:third"])


def test_a_rule_for_matrices_sees_a_point_as_a_row() -> None:
    (path,) = walk(SURFACES["booth"], {"muon": {"lr": 0.1, "weight_decay": 0.0}}, steps=3)
    lengths = (path.points[1:] - path.points[:-1]).norm(dim=-1)
    assert ((lengths > 0.06) & (lengths < 0.13)).all()  # of one row, Newton-Schulz makes a vector of about length 1


def test_a_path_that_explodes_ends_and_what_cannot_walk_is_refused() -> None:
    (path,) = walk(SURFACES["rosenbrock"], {"sgd": {"lr": 1.0}}, steps=50)
    assert path.finite and len(path.points) < 51
    with pytest.raises(SettingError, match="did you mean adam"):
        walk(SURFACES["booth"], ["adamm"])
    with pytest.raises(SettingError, match="has no setting 'rate'"):
        walk(SURFACES["booth"], {"sgd": {"rate": 1}})
