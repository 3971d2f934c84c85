"""The processes that train one model together, as torchrun starts them."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import numpy
import torch

from .. import rng
from ..errors import DownslopeError, RunError, SettingError

T = TypeVar("T")
SHUT_DOWN = timedelta(minutes=30)  # how long a collective waits for a process that is busy, torch's own default


class Team:
    """This process among `size`, of which the one of rank 0 leads: it alone prints and writes.

    What they tell each other beside gradients goes over the CPU, by gloo."""

    def __init__(self, rank: int, size: int, local_rank: int, group: Any = None):
        self.rank, self.size, self.local_rank, self.group = rank, size, local_rank, group

    @property
    def leads(self) -> bool:
        return self.rank == 0

    # ---- what they tell each other

    def total(self, *values: float) -> list[float]:
        """The sums over all processes, the same bits in each."""
        tensor = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(tensor, group=self.group)
        return tensor.tolist()  # type: ignore[no-any-return]

    def told(self, value: T | None) -> T:
        """The leader's value, in every process."""
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0, group=self.group)
        return box[0]  # type: ignore[return-value]

    def collected(self, value: T) -> list[T]:
        """Every process's value, in every process."""
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value, group=self.group)
        return found

    def leader_first(self, call: Callable[[], T]) -> T:
        """What a call gives in each process; the leader's is done before the others begin, as for a download."""
        if self.leads:
            result = call()
        self.total(0.0)
        if not self.leads:
            result = call()
        return result

    def all_raise(self, call: Callable[[], object]) -> None:
        """Run a call in each process. Where it raises a DownslopeError in one, all raise it."""
        own: DownslopeError | None = None
        try:
            call()
        except DownslopeError as error:
            own = error
        texts = self.collected(None if own is None else str(own))
        if own is not None:
            raise own
        if (text := next((text for text in texts if text is not None), None)) is not None:
            raise RunError(text)

    # ---- who does what

    def rows(self, count: int) -> tuple[int, int]:
        """The first row and the end of this process's share of a batch: shares differ by one row at most, and some are
        empty where there are fewer rows than processes."""
        return count * self.rank // self.size, count * (self.rank + 1) // self.size

    def share(self, index: torch.Tensor) -> torch.Tensor:
        """This process's rows of a batch. One row where there is none for it, which is to count nothing: every process
        has a part in every step."""
        first, end = self.rows(len(index))
        return index[first:end] if end > first else index[:1]

    def device(self, name: str) -> torch.device:
        """Where this process computes: the GPU of its number on its machine. Raises SettingError without one."""
        device = torch.device(name)
        if device.type != "cuda" or device.index is not None:
            return device
        if self.local_rank >= torch.cuda.device_count():
            raise SettingError(
                f"device={name!r}: process {self.local_rank} of this machine finds {torch.cuda.device_count()} GPUs; "
                "start one process for each GPU, or add --device cpu"
            )
        device = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(device)
        return device

    def rng_of(self, state: dict[str, Any], step: int) -> dict[str, Any]:
        """This process's random state in a saved one. After a change of their number only the leader has one; the
        others begin anew, from the step."""
        if self.leads:
            return state["rng"]  # type: ignore[no-any-return]
        if len(state.get("rngs", ())) == self.size:
            return state["rngs"][self.rank]  # type: ignore[no-any-return]
        with rng.kept():
            self.spread(step)
            return rng.capture()

    def spread(self, seed: int) -> None:
        """Let the processes draw differently from now on; the leader goes on as one process alone would."""
        if not self.leads:
            own = (seed + 1_000_003 * self.rank) % 2**32
            torch.manual_seed(own)
            random.seed(own)
            numpy.random.seed(own)


# ---- from torchrun's environment


def from_torchrun() -> bool:
    """Whether torchrun, or what sets the same variables, started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def leads() -> bool:
    """Whether this process is the one that prints; known before it has met the others."""
    return not from_torchrun() or os.environ["RANK"] == "0"


def join() -> Team | None:
    """Meet the other processes; None where there are none. Raises RunError where they cannot be reached."""
    import torch.distributed as dist

    if not dist.is_available() or not (dist.is_initialized() or from_torchrun()):
        return None
    if not dist.is_initialized():
        _begin("cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo")
    if dist.get_world_size() == 1:
        return None
    return _team()


def alone() -> Team:
    """A team of this one process, for what only a team can do, such as sharded parameters."""
    import torch.distributed as dist

    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        atexit.register(_leave)
    return _team()


def _begin(backend: str) -> None:
    import torch.distributed as dist

    try:
        dist.init_process_group(backend, timeout=SHUT_DOWN)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"{os.environ['WORLD_SIZE']} processes cannot meet: {str(error).splitlines()[0]}; start them with torchrun "
            "--nproc-per-node N -m downslope train ..."
        ) from error
    atexit.register(_leave)


_TEAMS: dict[int, Team] = {}  # one for a process group, whose gloo group is made once


def _team() -> Team:
    import torch.distributed as dist

    key = id(dist.group.WORLD)
    if key not in _TEAMS:
        group = None if "gloo" in dist.get_backend_config() else dist.new_group(backend="gloo")
        rank = dist.get_rank()
        _TEAMS.clear()
        _TEAMS[key] = Team(rank, dist.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)), group)
    return _TEAMS[key]


def _leave() -> None:
    with contextlib.suppress(Exception):  # the others may be gone
        torch.distributed.destroy_process_group()


# ---- when one fails


def first_to_fail() -> bool:
    """Whether no other process has said yet why it ends. Costs a message to the store that the processes met at."""
    import torch.distributed as dist

    if not dist.is_initialized() or dist.get_world_size() == 1:
        return leads()
    try:
        store: Any = dist.distributed_c10d._get_default_store()  # type: ignore[attr-defined]
        return bool(store.add("downslope/failed", 1) == 1)
    except Exception:  # the process that kept it is gone, and has said why
        return False


@contextlib.contextmanager
def lost(team: Team | None) -> Iterator[None]:
    """Inside, the loss of another process is a RunError that says so."""
    try:
        yield
    except RuntimeError as error:
        if team is None or not is_loss(error):
            raise
        raise RunError(
            f"process {team.rank} of {team.size} lost another one ({str(error).splitlines()[0][:100]}); if it was "
            "killed, go on from the last checkpoint with --resume FOLDER"
        ) from error


def is_loss(error: BaseException) -> bool:
    """Whether an error is what is heard of a process that is gone."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in LOST)


LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "Timed out", "recvBytes")
