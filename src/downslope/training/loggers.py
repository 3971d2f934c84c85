"""Numbers of a run to TensorBoard or Weights & Biases, where these are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ..errors import RunError, SettingError, nearest


class Logger(Protocol):
    """What a run tells its numbers to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The values of some names at a step; steps do not decrease."""

    def close(self) -> None:
        """End the log; what is still held is written, for wandb by its own process a moment later."""


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise RunError(f"{package}: not installed here; install with: pip install {package}")


class TensorBoard:
    """Scalars in event files under `folder/tensorboard`; `tensorboard --logdir folder` shows them.

    Names may be grouped with a slash: `train/loss`. A resumed run gives its first step: TensorBoard then drops what the
    stopped run has logged from there on. Raises RunError if tensorboard is not installed.
    """

    def __init__(self, folder: str | Path, first_step: int = 0):
        _need("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(Path(folder) / "tensorboard"), purge_step=first_step or None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A Weights & Biases run, its files under `folder/wandb`, named after the folder.

    `config` is shown beside it; other keywords go to `wandb.init`: `project`, `entity`, `mode="offline"`. Where
    `WANDB_MODE`, or a login, is not set, wandb itself asks or complains. A resumed run (`first_step` above 0) goes on
    under the id that the first one left in the folder; wandb then takes no step that it has had. Raises RunError if
    wandb is not installed.
    """

    def __init__(
        self, folder: str | Path, first_step: int = 0, *, config: Mapping[str, Any] | None = None, **given: Any
    ):
        _need("wandb")
        import wandb

        folder = Path(folder)
        held = folder / "wandb" / "id.txt"
        if first_step and held.is_file():
            given = {"id": held.read_text().strip(), "resume": "allow", **given}
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(dir=str(folder), config=dict(config or {}), **{"name": folder.resolve().name, **given})
        held.parent.mkdir(exist_ok=True)
        held.write_text(f"{self._run.id}\n")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({name: float(value) for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


LOGGERS: dict[str, Callable[..., Logger]] = {"tensorboard": TensorBoard, "wandb": WandB}


def by_name(name: str, folder: str | Path, first_step: int = 0, **settings: Any) -> Logger:
    """The logger of a name. Raises SettingError with the nearest names, and RunError if its package is missing."""
    if name not in LOGGERS:
        raise SettingError(f"unknown logger {name!r}; {nearest(str(name), LOGGERS)}")
    return LOGGERS[name](folder, first_step, **settings)
