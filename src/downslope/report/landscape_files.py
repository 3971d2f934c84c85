"""The files of a network's landscape: slices, what lies between two solutions, what the layers do."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import rng
from ..errors import RunError, SettingError, nearest
from ..landscape import connect, directions, grid, layers, replay
from ..landscape.directions import Plane
from ..landscape.network import Network
from ..training.data import Data
from ..training.files import guard, pretty, write_atomic
from ..training.task import Task, by_name
from .colours import BLUE, COLOURS, ORANGE, Style
from .landscape_layers import frames, strip
from .landscape_png import between
from .surface_frames import gif, mp4
from .surface_html import page
from .surface_png import picture
from .surface_scene import Ground, Track

SLICES = ("random", "trajectory", "hessian")
KNOWN = (*SLICES, "connect")
TRAINED = Style(ORANGE, "solid", "circle")
LINE = Style(BLUE, "dash", "square")
SPAN = 1e3  # heights above the lowest, over their median, from which a log scale shows more


def write_landscape(
    task: str,
    run: Path,
    folder: Path,
    *,
    slices: Sequence[str] = SLICES,
    to: Path | None = None,
    grid: int = 51,
    seed: int = 0,
    samples: int | None = 1000,
    radius: float = 1.0,
    norms: str = "checkpoint",
    tell: grid.Tell | None = None,
) -> list[Path]:
    """Write the slices of the training loss around a run's network: NAME.png, NAME.html and NAME.json of each.

    What was found before a stop is kept in `folder` and not computed again. Raises RunError for the run of another
    task or a folder begun with other settings, SettingError for an unknown slice."""
    for name in slices:
        if name not in KNOWN:
            raise SettingError(f"unknown slice {name!r}; {nearest(name, KNOWN)}")
    if "connect" in slices and to is None:
        raise SettingError("the slice connect lies between two runs; give the second with --to RUN")
    if not 0 < radius < float("inf") or (samples is not None and samples < 1):
        raise SettingError(f"radius={radius:g}, samples={samples}: must be above 0")
    loop, _ = replay.ended(run, task)
    network = Network(loop.task, loop.model, replay.batches(loop.data.train, samples), norms)
    second = None if to is None else _second(loop.task, to, task, network)
    settings = {
        "task": task, "weights": _digest(network), "grid": grid, "seed": seed, "samples": samples, "radius": radius,
        "batch_norm": norms, "to": None if second is None else _digest(second),
    }  # fmt: skip
    keeper = _keeper(folder, settings)
    try:
        written: list[Path] = []
        for name in slices:
            if name == "connect":
                assert second is not None
                written += _between(network, second, keeper, grid, seed, tell, folder)
            else:
                plane = _plane(keeper, name, _makers(network, run, seed, radius)[name])
                written += _slice(network, plane, keeper, grid, tell, folder)
        return written
    finally:
        keeper.close()


def _keeper(folder: Path, settings: dict[str, Any]) -> Any:
    return grid.Keeper(folder, settings)


def _digest(network: Network) -> str:
    return grid.digest(network.point)


def _makers(network: Network, run: Path, seed: int, radius: float) -> dict[str, Callable[[], Plane]]:
    return {
        "random": lambda: directions.random_plane(network, seed, radius),
        "trajectory": lambda: directions.trajectory_plane(network, replay.trajectory(run).to(network.point)),
        "hessian": lambda: directions.hessian_plane(network, seed=seed),
    }


def _plane(keeper: Any, name: str, make: Callable[[], Plane]) -> Plane:
    """A plane is kept as it was first made: an eigenvector found again may differ in its last bits."""
    kept = keeper.made(name, lambda: {f.name: getattr(p, f.name) for p in [make()] for f in dataclasses.fields(p)})
    return Plane(**kept)


def _second(task: Task, to: Path, name: str, first: Network) -> Network:
    loop, _ = replay.ended(to, name)
    second = Network(task, loop.model, first.batches, first.norms)
    if second.sizes != first.sizes:
        raise RunError(f"{to}: its network has other shapes than that of the first run; connect needs the same")
    return second


def ground_of(plane: Plane, losses: Any, title: str) -> Ground:
    """A plane's losses as a surface to be drawn; on a log scale where they span decades."""
    z = losses.numpy()
    if not np.isfinite(z).any():
        raise RunError(f"{title}: no point of the slice has a finite loss; take a smaller --radius")
    above = z[np.isfinite(z)] - z[np.isfinite(z)].min()
    a, b = (t.numpy() for t in grid.coordinates(plane, len(z)))
    log = float(above.max()) > SPAN * 1e-2 * max(float(np.median(above)), 1e-12) or float(above.max()) > SPAN
    floor = 0.0 if log and float(z[np.isfinite(z)].min()) >= 0 else None  # what a loss cannot be below
    return Ground(title, a, b, z, log, floor=floor, names=plane.names, steps="points of the path")


def _slice(network: Network, plane: Plane, keeper: Any, size: int, tell: grid.Tell | None, folder: Path) -> list[Path]:
    losses = grid.over_plane(network, plane, size, keeper, tell)
    title = f"{network.task.name}: training loss, {plane.name}"
    ground = ground_of(plane, losses, title)
    tracks = []
    if plane.path is not None:
        path = plane.path.numpy()
        axes = torch.stack([plane.across, plane.along])

        def projected(i: int, j: int) -> torch.Tensor:
            assert plane.path is not None
            return plane.center + plane.path[i:j].to(plane.center) @ axes

        off = grid.over_points(network, projected, len(path), f"{plane.name}-path", keeper, tell)
        tracks.append(Track("training run", TRAINED, path, off.numpy()))
    else:
        here = np.zeros((1, 2))
        tracks.append(Track("trained network", TRAINED, here, network.losses(plane.center[None]).numpy()))
    return _write(folder, plane, ground, tracks, losses, " ".join(_notes(network, plane)))


def _notes(network: Network, plane: Plane) -> list[str]:
    how = f"Points evaluated {network.way}" + (f" ({network.why})" if network.why else "")
    return [f"{plane.note[0].upper()}{plane.note[1:]}.", *(f"{n}." for n in (network.norm_statistics(), how) if n)]


def _write(
    folder: Path, plane: Plane, ground: Ground, tracks: list[Track], losses: Any, note: str, **more: Any
) -> list[Path]:
    record = {
        "note": note, "across": ground.x.tolist(), "along": ground.y.tolist(), "losses": _plain(losses),
        "path": None if plane.path is None else plane.path.tolist(), **more,
    }  # fmt: skip
    contents: dict[str, str | bytes] = {
        f"{plane.name}.png": picture(ground, tracks, note),
        f"{plane.name}.html": page(ground, tracks, note),
        f"{plane.name}.json": json.dumps(record, allow_nan=False) + "\n",
    }
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]


def _plain(losses: Any) -> Any:
    """Lists, null for what is not finite."""
    array = losses.numpy().astype(object)
    array[~np.isfinite(losses.numpy())] = None
    return array.tolist()


def _between(
    network: Network, second: Network, keeper: Any, size: int, seed: int, tell: grid.Tell | None, folder: Path
) -> list[Path]:
    """Between two solutions: losses along both ways, and the plane of the curve."""
    if network.has_norms and network.norms == "checkpoint":
        raise SettingError(
            "between two runs a checkpoint's batch norm statistics mean nothing; add --batch-norm recompute"
        )
    first, last = network.point, second.point
    bend = keeper.made("bend", lambda: connect.fit(network, first, last, seed=seed, tell=tell))
    found = connect.connect(network, first, last, bend, keeper, tell)
    note = "the plane of two solutions and the control point of the curve between them (Garipov et al. 2018)"
    plane = _plane(
        keeper, "connect", lambda: directions.plane_through(
            network, first, last, bend, name="connect", names=("toward the second run", "toward the curve"), note=note
        ),
    )  # fmt: skip
    losses = grid.over_plane(network, plane, size, keeper, tell)
    ground = ground_of(plane, losses, f"{network.task.name}: training loss between two runs")
    tracks = [
        Track(name, look, _in(plane, points), loss.numpy())
        for name, look, loss, points in (
            ("straight line", LINE, found.line, torch.lerp(first, last, found.t[:, None].to(first))),
            ("Bezier curve", TRAINED, found.curve, connect.bezier(first, bend, last, found.t)),
        )
    ]
    more = {"t": found.t.tolist(), "line": _plain(found.line), "curve": _plain(found.curve)}
    rise = f"Barrier: straight line {found.barrier(found.line):.3g}, curve {found.barrier(found.curve):.3g}."
    text = " ".join([*_notes(network, plane), rise])
    paths = _write(folder, plane, ground, tracks, losses, text, **more)
    write_atomic(folder / "between.png", between(network.task.name, found))
    return [*paths, folder / "between.png"]


def _in(plane: Plane, points: Any) -> np.ndarray:
    moved = (points - plane.center).double()
    axes = torch.stack([plane.across, plane.along]).double()
    return (moved @ axes.T).numpy()  # type: ignore[no-any-return]


# ---- layers


def write_layers(task: str, run: Path | None, folder: Path) -> list[Path]:
    """Write layers.png, layers.gif (.mp4 with ffmpeg) and layers.json: what each layer makes of 500 samples.

    Of a run's network, or of one trained here and now as long as the task says, with Adam at lr 0.01."""
    made, model, data = _trained(task, run)
    (batch,) = replay.batches(data.train, 500, rows=500)[:1]
    found, classes = layers.bends(made, model, batch)
    title = f"{made.name}: what each layer makes of the data"
    moving = list(frames(found, classes.numpy(), title))
    record = [{k: v for k, v in dataclasses.asdict(b).items() if k != "points"} for b in found]
    contents: dict[str, str | bytes] = {
        "layers.png": strip(found, classes.numpy(), title),
        "layers.gif": gif(moving, keep=COLOURS),
        "layers.json": pretty({"task": task, "layers": record}),
    }
    film = mp4(moving)
    if film is not None:
        contents["layers.mp4"] = film
    guard(folder, lambda p: os.makedirs(p, exist_ok=True))
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]


def _trained(task: str, run: Path | None) -> tuple[Task, torch.nn.Module, Data]:
    if run is not None:
        loop, _ = replay.ended(run, task)
        return loop.task, loop.model, loop.data
    from ..training.run import train

    made = by_name(task)
    with rng.seeded(0):
        data = made.make_data()
    return made, train(task, lr=0.01).model, data
