"""Where things stand in a table: the words of a row and of a chunk, and how a kernel is called."""

from __future__ import annotations

# The words of a row: the update's code, the norm's code, the address of the slots' values, the key of random bits, then
# the tensors, and what stands beside them.
UPDATE, NORM, SLOTS, KEY, HEAD = 0, 1, 2, 3, 4
# The words of a chunk: the address of its row, first and last element, and a place for its partial sum.
CHUNK = 4

ARGUMENTS = "ptr noalias readonly %row, i64 %begin, i64 %end, ptr %chunk"
LANES = {"float": 16, "double": 8}  # 64 bytes: one register of AVX-512, two of AVX2, four of NEON
