"""The statistics of a race: pure functions of numbers, one question each."""

from .intervals import Interval, Width, share_interval, t_interval, width

__all__ = ["Interval", "Width", "share_interval", "t_interval", "width"]
