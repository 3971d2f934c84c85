"""The command line: `downslope VERB`. One verb per file; nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from ..errors import DownslopeError
from ..version import __version__

# A verb is the function of its name in the module of its name; EXAMPLE there ends its help.
VERBS = ("check", "diagnose", "landscape", "new", "play", "race", "show", "tasks", "textbook", "train", "whatif")

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="downslope",
    help="The optimizer workbench for PyTorch.",
    epilog="Example: downslope race digits",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help wraps in 40 columns, boxes cut the options off
)


def _version(asked: bool) -> None:
    if asked:
        print(f"downslope {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for _verb in VERBS:
    _module = import_module(f".{_verb}", __name__)
    _example = f"\b\n{_module.EXAMPLE}"  # \b keeps it on one line, to be copied
    app.command(epilog=_example)(getattr(_module, _verb))


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 a verdict that fails, 2 wrong use, 130 interrupted."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        from .together import run

        run(app)
    try:
        app()
    except DownslopeError as error:
        print(f"downslope: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("downslope: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        print(f"downslope: {unforeseen(error)}", file=sys.stderr)
        sys.exit(1)


def unforeseen(error: Exception) -> str:
    """What to say of an error that nobody thought of, in one line; its traceback is kept in a file."""
    import tempfile
    import traceback

    said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="downslope-", suffix=".txt", delete=False) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return said
    return f"{said}; nobody foresaw this: the traceback is in {file.name}, please report it with what you did"
