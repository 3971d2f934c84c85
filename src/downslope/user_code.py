"""A user's Python file: run as a module, and what goes wrong in it or in its functions, with its line."""

from __future__ import annotations

import contextlib
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

from .errors import DownslopeError, RunError

OTHERS = ("site-packages", "dist-packages", "<frozen", sysconfig.get_path("stdlib"), str(Path(__file__).parent))
EXTRAS = {"sklearn": "'downslope[race]'"}  # what brings a package that is not installed under its own name


def run(path: Path, name: str, error: type[DownslopeError] = RunError) -> ModuleType:
    """The module of a name that a file makes. What it prints goes to stderr; its folder is searched for what it
    imports, then and when its functions are called.

    Raises `error` for a file that cannot be read or run, with the line; an error of downslope's own goes through."""
    module = sys.modules[name] = ModuleType(name)  # so that pickle and dataclasses find it
    module.__file__ = str(path)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except DownslopeError:
        raise
    except SyntaxError as wrong:
        text = f": `{wrong.text.strip()}`" if wrong.text else ""
        place = f"line {wrong.lineno}" if wrong.filename == str(path) else f"{wrong.filename}, line {wrong.lineno}"
        raise error(f"{path}: {place}: {wrong.msg}{text}") from wrong
    except OSError as wrong:
        reason = f"cannot be read: {wrong.strerror}" if wrong.filename == str(path) else where(wrong)
        raise error(f"{path}: {reason}") from wrong
    except ModuleNotFoundError as wrong:
        raise error(f"{path}: {missing(wrong)}") from wrong
    except (Exception, SystemExit) as wrong:
        raise error(f"{path}: {where(wrong)}") from wrong
    finally:
        sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)
    return module


def own(module: ModuleType) -> list[str]:
    """The names of what was made in a module, and not imported there."""
    return [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]


def where(error: BaseException) -> str:
    """An error of a user's code with the file and line it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(path in f.filename for path in OTHERS)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}: `{frames[-1].line}`)" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def missing(error: ModuleNotFoundError) -> str:
    """What is to be installed where an import failed."""
    name = (error.name or str(error)).split(".")[0]
    place = where(error).removeprefix(f"{type(error).__name__}: {error}")
    return f"needs {name}, not installed here; install with: pip install {EXTRAS.get(name, name)}{place}"
