"""Loggers, read back with the tools they write for."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from downslope import RunError, SettingError
from downslope.training import loggers
from downslope.training.loggers import LOGGERS, TensorBoard, WandB, by_name

needs_tensorboard = pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard not installed")
needs_wandb = pytest.mark.skipif(not importlib.util.find_spec("wandb"), reason="wandb not installed")


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@needs_tensorboard
def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path)
    logger.log(0, {"train/loss": 2.5, "lr": 1})
    logger.log(7, {"train/loss": 1.25})
    logger.log(8, {"train/loss": math.inf})
    logger.close()
    assert read(tmp_path) == {"train/loss": [(0, 2.5), (7, 1.25), (8, math.inf)], "lr": [(0, 1.0)]}


@needs_tensorboard
def test_a_resumed_run_replaces_what_the_stopped_one_logged_too_far(tmp_path: Path) -> None:
    for first, values in ((0, [1.0, 2.0, 3.0, 4.0]), (2, [30.0, 40.0, 50.0])):
        logger = TensorBoard(tmp_path, first)
        for step, value in enumerate(values, first):
            logger.log(step, {"loss": value})
        logger.close()
    assert read(tmp_path) == {"loss": [(0, 1.0), (1, 2.0), (2, 30.0), (3, 40.0), (4, 50.0)]}


def records(folder: Path) -> list[dict[str, float]]:
    """What the one file of an offline run holds: LevelDB's log of small records, behind 7 bytes of wandb's own."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    data, place, found = file.read_bytes(), 7, []
    while place + 7 <= len(data):
        size, kind = struct.unpack_from("<HB", data, place + 4)  # behind a checksum
        if place + 7 + size > len(data):
            break
        assert kind == 1, "a record in one piece"
        record = wandb_internal_pb2.Record.FromString(data[place + 7 : place + 7 + size])
        items = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
        found += [{name: value for name, value in items.items() if name in ("_step", "loss", "lr")}] if items else []
        place += 7 + size
    return found


@needs_wandb
@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb")
def test_an_offline_wandb_run_holds_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(place, str(tmp_path / "own"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandB(tmp_path, config={"optimizer": "adam"}, mode="offline", project="test")
    assert dict(logger._run.config) == {"optimizer": "adam"}
    assert logger._run.name == tmp_path.name
    logger.log(0, {"loss": 2.5, "lr": 1})
    logger.log(3, {"loss": 1.25})
    logger.close()
    deadline = time.monotonic() + 20  # wandb's own process writes on for a moment after finish()
    while len(records(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert records(tmp_path) == [{"_step": 0, "loss": 2.5, "lr": 1.0}, {"_step": 3, "loss": 1.25}]


class Wandb(ModuleType):
    """A stand-in that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.given: list[dict[str, Any]] = []
        self.told: list[Any] = []

    def init(self, **given: Any) -> Any:
        self.given.append(given)
        name = given.get("id", f"run{len(self.given)}")
        return SimpleNamespace(
            id=name,
            log=lambda values, step: self.told.append((name, step, values)),
            finish=lambda: self.told.append((name, "finish")),
        )


def test_a_resumed_wandb_run_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.setattr(loggers, "find_spec", lambda name: True)
    for first in (0, 5, 0):
        logger = by_name("wandb", tmp_path / "run", first, project="p", config={"lr": 0.1})
        logger.log(first, {"loss": 1})
        logger.close()
    base = {"dir": str(tmp_path / "run"), "config": {"lr": 0.1}, "name": "run", "project": "p"}
    assert stand_in.given == [base, {**base, "id": "run1", "resume": "allow"}, base]
    assert stand_in.told == [
        ("run1", 0, {"loss": 1.0}), ("run1", "finish"), ("run1", 5, {"loss": 1.0}), ("run1", "finish"),
        ("run3", 0, {"loss": 1.0}), ("run3", "finish"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", LOGGERS)
def test_a_missing_package_is_named_with_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=f"^{name}: not installed here; install with: pip install {name}$"):
        by_name(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unknown_logger_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="unknown logger 'tensorbord'; did you mean tensorboard"):
        by_name("tensorbord", tmp_path)
