"""What a run tells others as it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SettingError

if TYPE_CHECKING:
    from .loop import Loop

MOMENTS = ("on_start", "on_step", "on_epoch", "on_record", "on_end")


class Callback:
    """Is told how a run goes on; leave out what you do not need, any object with some of these methods will do.

    Each gets the loop: its model, optimizer, epoch, step, loss of the last step, records. `loop.stop()` ends the run
    after the step. on_step comes after each step of the optimizer, on_epoch at the end of an epoch before its score,
    on_record with each line of records.jsonl.
    """

    def on_start(self, loop: Loop) -> None: ...
    def on_step(self, loop: Loop) -> None: ...
    def on_epoch(self, loop: Loop) -> None: ...
    def on_record(self, loop: Loop, record: dict[str, Any]) -> None: ...
    def on_end(self, loop: Loop) -> None: ...


class Callbacks:
    """The methods of several callbacks by their moment; those that nobody fills are empty and cost nothing."""

    def __init__(self, callbacks: Any) -> None:
        callbacks = list(callbacks)
        for callback in callbacks:
            if not any(hasattr(callback, moment) for moment in MOMENTS):
                name = getattr(callback, "__name__", type(callback).__name__)
                raise SettingError(f"callbacks: {name} has none of {', '.join(MOMENTS)}, so it would never be called")
        self.on_start, self.on_step, self.on_epoch, self.on_record, self.on_end = (
            [
                getattr(callback, moment)
                for callback in callbacks
                if hasattr(callback, moment) and getattr(type(callback), moment, None) is not getattr(Callback, moment)
            ]
            for moment in MOMENTS
        )
