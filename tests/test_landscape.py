"""Landscapes of networks, and the command: directions, grids, curves, resuming, files, refusals."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from downslope import train
from downslope.cli import app
from downslope.errors import RunError, SettingError
from downslope.landscape import connect, directions, grid, layers, replay
from downslope.landscape.network import Network
from downslope.report import landscape_files
from downslope.report.landscape_files import write_landscape
from downslope.training import Task


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two short runs of the spirals."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train("spirals", epochs=3, lr=0.01, seed=seed, out=str(folder / str(seed)))
    return folder


def small(model: nn.Module, **more) -> Network:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 1, 6, 6, generator=random), torch.arange(40) % 3
    task = Task.of(model, (x, y), loss=nn.functional.cross_entropy)
    return Network(task, model, [(x[:25], y[:25]), (x[25:], y[25:])], **more)


def network(norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(nn.Conv2d(1, 4, 3), *middle, nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3))


def direct(net: Network, point: torch.Tensor) -> float:
    """The loss as anybody would compute it, in evaluation mode."""
    model = network().eval()
    model.load_state_dict(net.model.state_dict())
    nn.utils.vector_to_parameters(point, model.parameters())
    with torch.no_grad():
        sums = [net.task.loss(model(x), y) * len(y) for x, y in net.batches]
    return float(sum(sums)) / 40


def test_filter_normalised_directions_have_the_networks_lengths() -> None:
    net = small(network())
    parts = net.shaped(directions.filter_normalised(net, torch.Generator().manual_seed(3)))
    for name, parameter in net.model.named_parameters():
        if parameter.ndim == 1:
            assert not parts[name].any(), name
        else:
            torch.testing.assert_close(parts[name].flatten(1).norm(dim=1), parameter.flatten(1).norm(dim=1))


def test_a_grid_is_what_direct_evaluation_gives() -> None:
    net = small(network())
    plane = directions.random_plane(net, seed=1)
    losses = grid.over_plane(net, plane, 5)
    assert net.way == "together"
    a, b = grid.coordinates(plane, 5)
    for i, j in [(0, 0), (2, 2), (1, 3), (4, 0)]:
        point = net.point + a[j].float() * plane.across + b[i].float() * plane.along
        assert float(losses[i, j]) == pytest.approx(direct(net, point), rel=1e-5)
    assert float(losses[2, 2]) == pytest.approx(direct(net, net.point), rel=1e-6)


def test_batch_norm_by_the_checkpoint_or_recomputed() -> None:
    by_checkpoint, anew = small(network()), small(network(), norms="recompute")
    point = anew.point * 3
    assert anew.way == "one at a time"
    assert "checkpoint" in by_checkpoint.norm_statistics() and "each point" in anew.norm_statistics()
    # a convolution before a batch norm with statistics of its own does not feel its scale, but for eps
    scaled = anew.shaped(anew.point.clone())
    flat = torch.cat([(t * (3 if n.startswith("0.") else 1)).reshape(-1) for n, t in scaled.items()])
    here, there = anew.losses(torch.stack([anew.point, flat])).tolist()
    assert there == pytest.approx(here, rel=1e-3)
    here, there = by_checkpoint.losses(torch.stack([anew.point, flat])).tolist()
    assert there != pytest.approx(here, rel=1e-2)
    assert torch.isfinite(anew.losses(point[None])).all()
    with pytest.raises(SettingError, match="checkpoint, recompute"):
        small(network(), norms="none")


class Branches(nn.Module):
    """Does what torch.func.vmap cannot follow: branches on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.inner(x.flatten(1))
        return out if out.sum() > 1e9 else -out


def test_a_layer_that_cannot_be_stacked_goes_one_at_a_time() -> None:
    net = small(Branches())
    losses = grid.over_plane(net, directions.random_plane(net), 3)
    assert net.way == "one at a time" and net.why
    model = Branches()
    nn.utils.vector_to_parameters(net.point, model.parameters())
    with torch.no_grad():
        sums = [net.task.loss(model(x), y) * len(y) for x, y in net.batches]
    assert float(losses[1, 1]) == pytest.approx(float(sum(sums)) / 40, rel=1e-5)


def test_the_hessian_plane_has_the_extreme_eigenvectors() -> None:
    torch.manual_seed(0)
    net = small(nn.Sequential(nn.Flatten(), nn.Linear(36, 3, bias=False)).double())
    net.batches = [(x.double(), y) for x, y in net.batches]
    plane = directions.hessian_plane(net, products=200)
    x, y = (torch.cat(parts) for parts in zip(*net.batches))
    whole = torch.autograd.functional.hessian(lambda w: net.task.loss(x.flatten(1) @ w.view(3, 36).T, y), net.point)
    values = torch.linalg.eigvalsh(whole)
    assert float(plane.across @ whole @ plane.across) == pytest.approx(float(values[-1]), rel=0.02)
    assert float(plane.along @ whole @ plane.along) == pytest.approx(float(values[0]), abs=0.02 * float(values[-1]))


def test_the_trajectorys_plane_holds_what_lies_in_a_plane() -> None:
    net = small(network(norm=False))
    random = torch.Generator().manual_seed(0)
    one, two = torch.randn(2, len(net.point), generator=random)
    t = torch.linspace(1, 0, 20)[:, None]
    weights = net.point + t * one + t**2 * two
    plane = directions.trajectory_plane(net, weights)
    assert plane.path is not None
    back = plane.center + plane.path.float() @ torch.stack([plane.across, plane.along])
    torch.testing.assert_close(back, weights, rtol=0, atol=1e-3)
    with pytest.raises(RunError, match="does not span a plane"):
        directions.trajectory_plane(net, net.point + t * one)


def test_a_bezier_curve_ends_at_the_solutions_and_is_lower_between() -> None:
    net = small(network(norm=False))
    first, random = net.point, torch.Generator().manual_seed(0)
    second = first + 0.6 * torch.randn(len(first), generator=random)
    bend = connect.fit(net, first, second, steps=60)
    curve = connect.bezier(first, bend, second, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert torch.equal(curve[0], first) and torch.equal(curve[2], second)
    torch.testing.assert_close(curve[1], (first + 2 * bend + second) / 4)
    found = connect.connect(net, first, second, bend)
    assert float(found.curve.mean()) < float(found.line.mean())
    assert float(found.curve[0]) == pytest.approx(float(found.line[0]), rel=1e-6)


# ---- runs


def test_a_trajectory_is_replayed_from_its_start_to_its_end(runs: Path) -> None:
    weights = replay.trajectory(runs / "0", points=10)
    loop, _ = replay.ended(runs / "0", "spirals")
    end = torch.cat([p.detach().reshape(-1) for p in loop.model.parameters()])
    assert torch.equal(weights[-1], end)
    assert 10 <= len(weights) <= 13 and not torch.equal(weights[0], end)


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


class Stopped(Exception):
    pass


def test_what_was_stopped_goes_on_to_the_same_files(runs: Path, tmp_path: Path, monkeypatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    how = {"slices": ["random"], "grid": 7, "samples": 60}
    write_landscape("spirals", runs / "0", whole, **how)

    def stop(name: str, done: int, of: int) -> None:
        if done >= 24:
            raise Stopped

    with pytest.raises(Stopped):
        write_landscape("spirals", runs / "0", parts, **how, tell=stop)
    journal = parts / "points.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # a crash in the middle of a line
    asked = []
    losses = Network.losses
    monkeypatch.setattr(Network, "losses", lambda net, points: (asked.append(len(points)), losses(net, points))[1])
    write_landscape("spirals", runs / "0", parts, **how)
    assert sum(asked) == 49 - 16 + 1  # the rest of the grid, and the network itself
    for name in ("points.jsonl", "random.json", "random.png", "random.html"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    with pytest.raises(RunError, match="grid was 7, now 9"):
        write_landscape("spirals", runs / "0", parts, **{**how, "grid": 9})


def test_all_slices_of_a_run_and_what_lies_between_two(runs: Path, tmp_path: Path) -> None:
    slices = ["trajectory", "hessian", "connect"]
    paths = write_landscape("spirals", runs / "0", tmp_path / "out", slices=slices, to=runs / "1", grid=5, samples=60)
    assert {p.name for p in paths} >= {f"{s}.{e}" for s in slices for e in ("png", "html", "json")} | {"between.png"}
    for path in paths:
        if path.suffix == ".png":
            assert opened(path).size[0] > 600
    record = json.loads((tmp_path / "out" / "trajectory.json").read_text())
    assert record["path"][-1] == [0.0, 0.0] and "principal components" in record["note"]
    page = (tmp_path / "out" / "connect.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "") and len(page) < 200_000


def test_layers_of_the_spirals_come_apart(runs: Path, tmp_path: Path) -> None:
    loop, _ = replay.ended(runs / "0")
    found, classes = layers.bends(loop.task, loop.model, replay.batches(loop.data.train, 200)[0])
    assert [b.name for b in found] == ["input", "1: Linear", "2: ReLU", "3: Linear", "4: ReLU", "5: Linear"]
    assert found[0].separable < 0.75 < found[-2].separable
    assert found[1].separable == pytest.approx(found[0].separable, abs=0.02)  # a linear layer untangles nothing
    assert found[0].points.shape == (200, 2) and classes.shape == (200,)
    paths = landscape_files.write_layers("spirals", runs / "0", tmp_path / "layers")
    moving = opened(tmp_path / "layers" / "layers.gif")
    assert len(paths) >= 3 and moving.n_frames > 50
    with pytest.raises(RunError, match="has no classes"):
        layers.bends(loop.task, loop.model, (torch.zeros(4, 2), torch.zeros(4)))


# ---- the command


def ask(*words: str):
    return CliRunner().invoke(app, ["landscape", *words])


def test_the_command_draws_a_surface(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["x**2 + 4*y**2", "--optimizers", "sgd,adam", "--set", "sgd.lr=0.1", "--steps", "8", "--grid", "21"]
    result = ask(*given, "--out", str(out))
    assert result.exit_code == 0, result.output
    moving = opened(out / "surface.gif")
    assert moving.n_frames == 9 and moving.size == (640, 480)
    picture = opened(out / "surface.png").convert("RGB")
    assert len(picture.getcolors(1 << 24)) > 500
    page = (out / "surface.html").read_text()
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert [p["name"] for p in data["paths"]] == ["SGD", "Adam"] and len(data["paths"][0]["points"]) == 9
    numbers = json.loads((out / "paths.json").read_text())
    first = numbers["paths"][0]
    assert first["settings"]["lr"] == 0.1 and first["lr"] == "given"
    x, y = first["points"][0]
    assert first["points"][1] == pytest.approx([0.8 * x, 0.2 * y])


def test_a_rule_in_a_file_is_set_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text("def half(p, g, *, lr=0.01):\n    return p - lr * g / 2\n")
    given = [
        "booth",
        "--optimizers",
        f"{tmp_path}/rules.py:half",
        "--set",
        "half.lr=0.02",
        "--steps",
        "2",
        "--grid",
        "9",
    ]
    result = ask(*given, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    (path,) = json.loads((tmp_path / "out" / "paths.json").read_text())["paths"]
    assert path["optimizer"] == "half" and path["settings"] == {"lr": 0.02}


def test_an_mp4_is_made_where_ffmpeg_is(tmp_path: Path, monkeypatch) -> None:
    import numpy as np

    from downslope.report.surface_frames import mp4

    pictures = [np.zeros((4, 6, 3), np.uint8)] * 2
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mp4(pictures) is None
    fake = tmp_path / "ffmpeg"
    fake.write_text('#!/bin/sh\nfor last; do :; done\n/bin/cat > "$last"\n')
    fake.chmod(0o755)
    assert mp4(pictures) == bytes(4 * 6 * 3 * 2)
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert mp4(pictures) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["beel"], "did you mean beale"),
        (["x**2 +"], "is no expression"),
        (["__import__('os')"], "knows no function '__import__'"),
        (["beale", "--optimizers", "adma"], "did you mean"),
        (["beale", "--set", "adam=1"], "as in --set adam.lr=0.1"),
        (["beale", "--start", "1"], "give 2 numbers"),
        (["beale", "--start", "99,0"], "outside the domain"),
        (["beale", "--to", "nowhere"], "--to: is of a network"),
        (["beale", "--grid", "2"], "give 5 to 1001"),
        (["spirals", "--run", "nowhere"], "holds no run"),
    ],
)
def test_the_command_says_what_does_not_fit(words: list[str], message: str, tmp_path: Path) -> None:
    result = ask(*words, "--out", str(tmp_path / "out"))
    assert isinstance(result.exception, SettingError | RunError)
    assert message in str(result.exception)


def test_runs_that_do_not_fit_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is a run of spirals, not of digits"):
        write_landscape("digits", runs / "0", tmp_path / "a")
    with pytest.raises(SettingError, match="did you mean random"):
        write_landscape("spirals", runs / "0", tmp_path / "a", slices=["randm"])
    with pytest.raises(SettingError, match="--to RUN"):
        write_landscape("spirals", runs / "0", tmp_path / "a", slices=["connect"])
    begun = tmp_path / "begun"
    shutil.copytree(runs / "0", begun)
    (begun / "last.pt").unlink()
    with pytest.raises(RunError, match=r"no last\.pt"):
        write_landscape("spirals", begun, tmp_path / "a")
    with pytest.raises(RunError, match="holds something else"):
        write_landscape("spirals", runs / "0", runs / "1")


def test_gifs_have_the_colours_of_the_optimizers() -> None:
    """Exactly, whatever the ground takes of the 256: pale mixtures of all shades, as surfaces are."""
    import numpy as np
    from PIL import ImageColor

    from downslope.report.colours import COLOURS
    from downslope.report.surface_frames import gif

    shades = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for i, colour in enumerate(COLOURS):
        shades[10:14, 10 * i : 10 * i + 4] = ImageColor.getrgb(colour)
    shown = np.asarray(Image.open(io.BytesIO(gif([shades, shades], keep=COLOURS))).convert("RGB"))
    for i, colour in enumerate(COLOURS):
        assert (shown[10:14, 10 * i : 10 * i + 4] == ImageColor.getrgb(colour)).all(), colour


def test_gifs_rest_at_their_end() -> None:
    import numpy as np

    from downslope.report.surface_frames import gif

    pictures = [np.full((8, 8, 3), v, np.uint8) for v in (0, 120, 240)]
    moving = Image.open(io.BytesIO(gif(pictures)))
    times = []
    for k in range(moving.n_frames):
        moving.seek(k)
        times.append(moving.info["duration"])
    assert times == [40, 40, 1200]
