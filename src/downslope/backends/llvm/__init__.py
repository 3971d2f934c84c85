"""LLVM IR, printed: the update's kernel, the norm's, and what runs them."""

from .block import OPS, Block
from .squares import norm
from .update import kernel
from .words import CHUNK, HEAD, KEY, LANES, NORM, SLOTS, UPDATE
from .worker import WORKER

__all__ = ["CHUNK", "HEAD", "KEY", "LANES", "NORM", "OPS", "SLOTS", "UPDATE", "WORKER", "Block", "kernel", "norm"]
