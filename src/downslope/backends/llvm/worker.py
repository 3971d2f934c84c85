"""What each thread runs."""

from __future__ import annotations

from .words import CHUNK

# Threads take chunks off one counter until none is left. A job: the counter, the number of chunks, the address of the
# chunks, and which word of a row holds the code to run.
WORKER = f"""; runs chunks until none is left
define void @work(ptr %job) {{
entry:
  %n.at = getelementptr i64, ptr %job, i64 1
  %n = load i64, ptr %n.at
  %chunks.at = getelementptr i64, ptr %job, i64 2
  %chunks = load ptr, ptr %chunks.at
  %word.at = getelementptr i64, ptr %job, i64 3
  %word = load i64, ptr %word.at
  br label %next
next:
  %i = atomicrmw add ptr %job, i64 1 monotonic
  %more = icmp slt i64 %i, %n
  br i1 %more, label %run, label %done
run:
  %offset = mul i64 %i, {CHUNK}
  %chunk = getelementptr i64, ptr %chunks, i64 %offset
  %row = load ptr, ptr %chunk
  %begin.at = getelementptr i64, ptr %chunk, i64 1
  %begin = load i64, ptr %begin.at
  %end.at = getelementptr i64, ptr %chunk, i64 2
  %end = load i64, ptr %end.at
  %code.at = getelementptr i64, ptr %row, i64 %word
  %code = load ptr, ptr %code.at
  call void %code(ptr %row, i64 %begin, i64 %end, ptr %chunk)
  br label %next
done:
  ret void
}}
"""
