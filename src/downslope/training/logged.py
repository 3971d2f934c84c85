"""The records of a run, told to TensorBoard or Weights & Biases as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SettingError, nearest
from .config import Config
from .loggers import LOGGERS, Logger, _need, by_name

if TYPE_CHECKING:
    from .loop import Loop


class Logged:
    """A callback that passes the numbers of each record on, as train/loss, validation/metric, lr, at its step."""

    def __init__(self, config: Config):
        """Raises SettingError for an unknown logger or a run without a folder, RunError for one not installed."""
        for name in config.loggers:
            if name not in LOGGERS:
                raise SettingError(f"loggers={config.loggers!r}: {nearest(name, LOGGERS)}")
            _need(name)
        if config.loggers and config.out is None:
            raise SettingError(f"loggers={config.loggers!r}: need a folder to write to; give the run one with out")
        self.config = config
        self.loggers: list[Logger] = []

    def on_start(self, loop: Loop) -> None:
        for name in self.config.loggers:
            more = {"config": self.config.as_json()} if name == "wandb" else {}
            self.loggers.append(by_name(name, str(self.config.out), loop.step, **more))

    def on_record(self, loop: Loop, record: dict[str, Any]) -> None:
        values = {name.replace("_", "/", 1): value for name, value in record.items() if isinstance(value, float)}
        for logger in self.loggers:
            logger.log(record["step"], values)

    def close(self) -> None:
        for logger in self.loggers:
            logger.close()
        self.loggers = []
