"""What must be settled before the first import of a library."""

from __future__ import annotations

import os

os.environ.setdefault("TRITON_INTERPRET", "1")  # GPU kernels are run by Triton's interpreter, on the CPU
