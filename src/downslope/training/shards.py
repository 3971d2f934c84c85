"""A run's state on disk where its tensors lie in parts in several processes: a folder, through torch's DCP.

`state-N/` holds the parts, which each process writes its own of, and `rest.pt`, all else, with a marker for each tensor
of parts. It is written as `state-N.tmp` and renamed, then the one before is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import RunError
from ..optim import sharding
from . import checkpoint
from .distributed import Team, is_loss
from .files import cannot_write, guard

if TYPE_CHECKING:
    from .loop import Loop

MARK = "__parts__"
REST = "rest.pt"


def newest(path: Path) -> Path | None:
    """The last whole state in a run's folder, if it has one of this kind."""
    found = [each for each in path.glob("state-*") if each.suffix != ".tmp" and (each / REST).exists()]
    return max(found, key=_number, default=None)


def _number(state: Path) -> int:
    digits = state.name.removeprefix("state-").removesuffix(".tmp")
    return int(digits) if digits.isdigit() else -1


def save(path: Path, state: dict[str, Any], team: Team) -> None:
    """Write a state into a run's folder, by all processes of a team together; the one before stays until it is whole.

    Raises RunError, in all of them, when it cannot be written."""
    import torch.distributed.checkpoint as dcp

    before = team.told(None if not team.leads else newest(path))
    final = path / f"state-{0 if before is None else _number(before) + 1}"
    temporary = final.with_name(final.name + ".tmp")
    parts: dict[str, torch.Tensor] = {}
    rest = _taken_apart(state, "", parts)

    def begin() -> None:
        for left in path.glob("state-*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        guard(temporary, os.mkdir)

    def end() -> None:
        checkpoint.save(temporary / REST, rest)
        _synced(temporary)
        guard(final, lambda _: os.rename(temporary, final))
        _synced(path)
        for old in path.glob("state-*"):
            if old != final:
                shutil.rmtree(old, ignore_errors=True)

    team.all_raise(begin if team.leads else _nothing)
    with _failing(lambda error: cannot_write(final, error), final):
        dcp.save(parts, checkpoint_id=temporary)
    team.all_raise(end if team.leads else _nothing)


def _nothing() -> None:
    pass


def _synced(folder: Path) -> None:
    descriptor = guard(folder, os.open, os.O_RDONLY)
    try:
        guard(folder, lambda _: os.fsync(descriptor))
    finally:
        os.close(descriptor)


def load(folder: Path) -> dict[str, Any]:
    """All but the tensors of parts. Raises RunError for a folder that is not whole."""
    return checkpoint.load(folder / REST)


def fill(folder: Path, rest: dict[str, Any], loop: Loop) -> dict[str, Any]:
    """The state of which `load` gave the rest, each tensor cut as the loop's, or whole if those are.

    Works for any number of processes. Raises RunError for a folder that is not whole."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    wanted: dict[str, torch.Tensor] = {}
    with _failing(None, folder):
        sizes = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
        for key in _markers(rest):
            like, found = _like(key, loop), sizes[key]
            assert isinstance(found, TensorStorageMetadata)
            if like is not None and sharding.is_shared(like) and like.shape == found.size:
                wanted[key] = torch.empty_like(like.detach(), dtype=found.properties.dtype)
            else:
                wanted[key] = torch.empty(found.size, dtype=found.properties.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # one process is enough to read
            dcp.load(wanted, checkpoint_id=folder)
    return _put_together(rest, wanted)  # type: ignore[no-any-return]


def fitted(state: dict[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights, whole or cut, as the model takes them."""
    own = model.state_dict()
    return {name: _cut(value, own[name]) if name in own else value for name, value in state.items()}


def _cut(value: Any, like: Any) -> Any:
    if sharding.is_shared(like) and not sharding.is_shared(value) and value.shape == like.shape:
        return sharding.copied(value, like.detach())
    return value


def whole(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights as plain tensors, on the CPU where they were cut. A collective; costs the memory of all of them."""
    return {name: t.full_tensor().cpu() if sharding.is_shared(t) else t for name, t in weights.items()}


# ---- a nested state <-> its tensors of parts and the rest


def _taken_apart(value: Any, path: str, parts: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        return {key: _taken_apart(each, f"{path}/{key}", parts) for key, each in value.items()}
    if isinstance(value, torch.Tensor) and sharding.is_shared(value):
        parts[path] = value.detach()
        return {MARK: path}
    return value


def _markers(rest: Any) -> Iterator[str]:
    if isinstance(rest, dict):
        if MARK in rest:
            yield rest[MARK]
        else:
            for each in rest.values():
                yield from _markers(each)


def _put_together(rest: Any, found: dict[str, torch.Tensor]) -> Any:
    if not isinstance(rest, dict):
        return rest
    if MARK in rest:
        return found[rest[MARK]]
    return {key: _put_together(each, found) for key, each in rest.items()}


def _like(key: str, loop: Loop) -> torch.Tensor | None:
    """What a tensor of a state is cut like: a parameter of the model, or the one that an optimizer's state is of."""
    _, kind, *path = key.split("/")
    if kind == "optimizer":
        params = [p for group in loop.optimizer.param_groups for p in group["params"]]
        return params[int(path[1])] if path[1].isdigit() and int(path[1]) < len(params) else None
    return loop.model.state_dict().get("/".join(path))


@contextlib.contextmanager
def _failing(cannot: Callable[[OSError], RunError] | None, folder: Path) -> Iterator[None]:
    """Inside, what DCP raises, with the failures of all processes in it, is one RunError."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        yield
    except (CheckpointException, RuntimeError, KeyError, ValueError, OSError, EOFError) as error:
        failures = getattr(error, "failures", {})
        first = next((each[0] for each in failures.values()), error)
        if is_loss(first):  # is said where it is caught, by the run
            raise RuntimeError(str(first)) from error
        reason = ": ".join([type(first).__name__, *str(first).splitlines()[:1]])[:160]
        if cannot is not None and isinstance(first, OSError):
            raise cannot(first) from error
        if cannot is not None:
            raise RunError(f"{folder}: cannot be written: {reason}") from error
        raise RunError(
            f"{folder}: is not a whole checkpoint ({reason}); nothing was changed: put a copy of it back, or start "
            "anew with another --out FOLDER"
        ) from error
