"""Writing files, as runs do."""

from ..training.files import cannot_write, write_atomic

__all__ = ["cannot_write", "write_atomic"]
