"""A kit for machines that share no files: the sources it needs travel with it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import DownslopeError, RunError
from ..version import __version__
from .bench import Bench, Kit
from .engine import NotElsewhere

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Parcel:
    """A kit, the text of every file of the user's that it was loaded from, by its full path, and where that was.

    Data files do not travel: a task that reads some finds them on each machine at the path that it names."""

    kit: Kit
    files: Mapping[str, bytes]
    folder: str
    version: str = __version__
    names: Mapping[str, str] = field(default_factory=dict)
    stamp: str = field(default_factory=lambda: uuid.uuid4().hex)

    def open(self) -> Opened:
        """The bench on this machine. Raises NotElsewhere where the task or an optimizer cannot be had, RunError for
        another version of downslope, which would train otherwise."""
        if self.version != __version__:
            raise RunError(
                f"the machine {os.uname().nodename} has downslope {__version__}, the race runs on {self.version}; "
                "install the same on both"
            )
        root = "" if all(_holds(path, text) for path, text in self.files.items()) else _written(self.files)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)  # where paths that a task names are read from
        paths = [root + os.path.abspath(path) for path in self.kit.path]
        sys.path += [path for path in paths if path not in sys.path and os.path.exists(path)]
        task = self.kit.task
        kit = replace(
            self.kit,
            task=root + _full(task) if isinstance(task, str) and task.endswith(".py") else task,
            origins={name: _moved(origin, root) for name, origin in self.kit.origins.items()},
        )
        opened = Opened(self, root)
        try:
            opened.bench = kit.bench()
        except NotElsewhere as error:
            raise NotElsewhere(opened.words(str(error))) from None
        return opened


class Opened:
    """A bench, made from a parcel. `words` says a text with the paths that the user knows."""

    bench: Bench

    def __init__(self, parcel: Parcel, root: str) -> None:
        self.parcel, self.root = parcel, root

    def words(self, text: str) -> str:
        for path, name in self.parcel.names.items():
            text = text.replace(self.root + path, name)
        return text.replace(self.root, "") if self.root else text

    def error(self, error: DownslopeError) -> DownslopeError:
        return type(error)(self.words(str(error)))


def pack(kit: Kit) -> Parcel:
    """The parcel of a kit. Of what is loaded here, everything travels that no installation brings: the task's file and
    those of the optimizers, and whatever of the user's they have imported."""
    named = [str(kit.task)] if isinstance(kit.task, str) else []
    named = [name for name in [*named, *map(_place, kit.origins.values())] if name.endswith(".py")]
    loaded = [getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if name != "__main__"]
    paths = {_full(name) for name in [*named, *(file for file in loaded if file and file.endswith(".py"))]}
    files = {path: Path(path).read_bytes() for path in sorted(paths) if not _installed(path) and os.path.isfile(path)}
    return Parcel(kit, files, os.getcwd(), names={_full(name): name for name in named})


def _installed(path: str) -> bool:
    where = Path(path).resolve()
    return any(where.is_relative_to(folder) for folder in (PACKAGE, *_FOLDERS)) or "site-packages" in where.parts


_FOLDERS = [Path(path).resolve() for name, path in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))]


def _full(path: str) -> str:
    return os.path.abspath(path)


def _place(origin: str) -> str:
    return origin.rpartition(":")[0]


def _moved(origin: str, root: str) -> str:
    place, _, name = origin.rpartition(":")
    return f"{root}{_full(place)}:{name}" if place.endswith(".py") else origin


def _holds(path: str, text: bytes) -> bool:
    try:
        return Path(path).read_bytes() == text
    except OSError:
        return False


def _written(files: Mapping[str, bytes]) -> str:
    """A folder of this process alone that has the files at their full paths below it."""
    root = tempfile.mkdtemp(prefix="downslope-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for path, text in files.items():
        place = Path(root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
    return root
