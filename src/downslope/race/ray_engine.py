"""The engine on a cluster: each job is a task of Ray, which finds a machine for it, and another when that one dies."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import RunError, SettingError
from .bench import Kit
from .engine import Done, Job, NotElsewhere, again
from .parcel import Opened, Parcel, pack
from .worker import answer
from .workers import cores

RETRIES = 2
"""Times that Ray begins a job anew after its process or machine has died, before the race tries it otherwise."""
PATIENCE = 60.0
"""Seconds without any machine that could run a job, after which a race gives up."""
STORE = 200_000_000
"""Bytes of shared memory for objects in a Ray that is started here, whose default is a third of the machine's."""


class OnRay:
    """Runs jobs as tasks of a Ray cluster: the one at `address`, else the one that RAY_ADDRESS names or that `ray
    start` has started on this machine, else one of this machine that ends with the race.

    Each job takes a kit's threads as CPUs, and a GPU where the device is one; `workers` limits how many run at a time.
    Ray retries a job whose process or machine dies; where that does not help, and where memory is short, its trials are
    tried in two halves, a single one once more. Raises RunError where no cluster answers or no machine is large enough.
    """

    def __init__(self, kit: Kit, workers: int | None = None, address: str | None = None) -> None:
        # The owner of a job decides about its retries. By default it begins a job that a machine has no memory for
        # again for ever; the variable is read when Ray is first imported.
        os.environ.setdefault("RAY_task_oom_retries", "0")
        import ray

        self.workers = workers
        self._ray = ray
        self._running: dict[Any, Job] = {}
        self._started = not ray.is_initialized()
        if self._started:
            _connect(ray, address, (workers or 1) * kit.threads)
            _hush(ray)
        cuda = str(kit.common.get("device", "cpu")).startswith("cuda")
        self._need = {"CPU": kit.threads, **({"GPU": 1} if cuda else {})}
        try:
            self.count = workers or self._slots()
            if self._slots() == 0:
                raise RunError(self._too_small())
            if cuda:  # a task of Ray sees the one GPU that it was given
                kit = replace(kit, common={**kit.common, "device": "cuda"})
            self._parcel = ray.put(pack(kit))
            self._train = ray.remote(num_cpus=kit.threads, num_gpus=int(cuda), max_retries=RETRIES)(train)
        except BaseException:
            self.close()
            raise

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        waiting = deque(jobs)
        seen = time.monotonic()
        try:
            while waiting or self._running:
                while waiting and len(self._running) < (self.workers or len(waiting) + len(self._running) + 1):
                    job = waiting.popleft()
                    self._running[self._train.options(name=job.words()).remote(self._parcel, job)] = job
                ended, _ = self._ray.wait(list(self._running), timeout=PATIENCE / 10)
                if ended or self._slots():
                    seen = time.monotonic()
                elif time.monotonic() - seen > PATIENCE:
                    raise RunError(f"{self._too_small()}; what was finished is kept: go on with the same command")
                for ref in ended:
                    yield self._heard(ref, self._running.pop(ref), waiting)
        except BaseException:
            self._cancel()
            raise

    def close(self) -> None:
        """End what runs, and the connection; the cluster too if it was started for this race."""
        self._cancel()
        if self._started:
            self._started = False
            self._ray.shutdown()
            _loud(self._ray)

    def _cancel(self) -> None:
        while self._running:
            ref, _ = self._running.popitem()
            with contextlib.suppress(Exception):  # it may have ended, or its machine
                self._ray.cancel(ref, force=True)

    def _slots(self) -> int:
        """How many jobs the machines can run at the same time."""
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(min(int(has.get(kind, 0) // much) for kind, much in self._need.items()) for has in found)

    def _too_small(self) -> str:
        wanted = " and ".join(f"{much} {kind}{'s' * (much > 1)}" for kind, much in self._need.items())
        return f"no machine of the Ray cluster has {wanted}, which a trial takes (--threads, --device)"

    def _heard(self, ref: Any, job: Job, waiting: deque[Job]) -> Done:
        errors = self._ray.exceptions
        try:
            kind, said = self._ray.get(ref)
        except errors.OutOfMemoryError:
            kind, said = "lost", "its machine ran out of memory"
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError):
            kind, said = "lost", f"its process or machine died, {1 + RETRIES} times"
        except errors.RayError as error:
            raise RunError(f"{job.words()}: {_failed(error)}") from None
        if kind == "elsewhere":
            raise RunError(f"a machine of the Ray cluster cannot train this ({said}); race without --engine ray")
        if kind == "error":
            raise said
        if kind == "done":
            return Done(said)
        found = again(job, "ran out of memory" if kind == "memory" else said)
        if found is None:
            raise RunError(
                f"{job.words()}: {said}, and again; what was finished before is kept: go on with the same command"
            )
        waiting.extend(found[0])
        return Done([], [found[1]])


def train(parcel: Parcel, job: Job) -> tuple[str, Any]:
    """What a task of Ray does: as a worker process of this machine. A process keeps its bench for the next job."""
    from ..errors import DownslopeError

    if parcel.stamp not in _opened:
        _opened.clear()
        try:
            _opened[parcel.stamp] = parcel.open()
        except NotElsewhere as error:
            return "elsewhere", str(error)
        except RunError as error:
            return "error", error
    opened = _opened[parcel.stamp]
    kind, said = answer(opened.bench, job)
    return kind, opened.error(said) if isinstance(said, DownslopeError) else said


_opened: dict[str, Opened] = {}


def _connect(ray: Any, address: str | None, wanted: int) -> None:
    """Join a cluster, or start one of this machine."""
    quiet: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    given = address or os.environ.get("RAY_ADDRESS")
    try:
        try:
            if given:
                _knock(given)
                ray.init(given, **quiet)
                return
            # with no address at all Ray joins what `ray start` has started here, and no other race's own
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(num_cpus=max(cores(), wanted), object_store_memory=STORE, include_dashboard=False, **quiet)
        except ValueError:
            if given:
                raise
            ray.init(**quiet)  # it found one, which has its resources already
    except (OSError, RuntimeError) as error:
        place = given or "the address that `ray start` has left"
        raise RunError(
            f"no Ray cluster answers at {place} ({_first(error)}); start one with `ray start --head`, or leave the "
            "address out to race on this machine"
        ) from None
    except ValueError as error:
        raise SettingError(f"ray_address={given!r}: {_first(error)}") from None


def _knock(address: str) -> None:
    """Check that somebody listens at HOST:PORT: Ray itself would ask there for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _hush(ray: Any) -> None:
    """Keep what Ray says of every process that dies, with pages of its logs, off standard output. No setting of Ray
    does; where it has come to do it otherwise, it says it."""
    module = ray._private.worker
    if _LOUD not in vars(module) and hasattr(module, "print_to_stdstream"):
        setattr(module, _LOUD, module.print_to_stdstream)
        module.print_to_stdstream = lambda *_, **__: None


def _loud(ray: Any) -> None:
    module = ray._private.worker
    if _LOUD in vars(module):
        module.print_to_stdstream = vars(module).pop(_LOUD)


_LOUD = "print_to_stdstream_before_downslope"


def _failed(error: Exception) -> str:
    """Why a task of Ray has failed, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    if any("No module named" in line for line in lines):
        return f"a machine of the Ray cluster has not the same packages ({last}); pip install 'downslope[ray]' there"
    return f"Ray could not run it: {last}"
