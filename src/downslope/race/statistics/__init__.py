"""The statistics of a race: pure functions of numbers, one question each."""

from .intervals import Interval, Width, t_interval, width

__all__ = ["Interval", "Width", "t_interval", "width"]
