"""The kernel of the gradients' norm: the sum of squares of a chunk."""

from __future__ import annotations

from .block import Block
from .kept import KIND, LOAD, Place
from .words import ARGUMENTS, CHUNK, HEAD


def norm(kept: str, name: str) -> str:
    """The module text of a chunk's sum of squared gradients that are kept so, in double in the chunk's last word.

    It is nan where a gradient is not finite: a square alone could overflow, and a finite sum of squares alone proves
    that all is finite."""
    grad = HEAD + 1
    lanes, kind = 8, KIND[kept]
    first, d = _double(kept, lanes, "a", "%v.at")
    second, d2 = _double(kept, lanes, "b", "%v.at2")
    one, s = _double(kept, 1, "s", "%s.at")
    return f"""; the sum of squares of g
define void @{name}({ARGUMENTS}) {{
entry:
  %at.row = getelementptr i64, ptr %row, i64 {grad}
  %at = load ptr, ptr %at.row
  %count = sub i64 %end, %begin
  %bulk = and i64 %count, -{2 * lanes}
  %turn = add i64 %begin, %bulk
  br label %v.test
v.test:
  %v.i = phi i64 [ %begin, %entry ], [ %v.next, %v.loop ]
  %a = phi <{lanes} x double> [ zeroinitializer, %entry ], [ %a.next, %v.loop ]
  %b = phi <{lanes} x double> [ zeroinitializer, %entry ], [ %b.next, %v.loop ]
  %v.more = icmp slt i64 %v.i, %turn
  br i1 %v.more, label %v.loop, label %v.sum
v.loop:
  %v.at = getelementptr {kind}, ptr %at, i64 %v.i
  %v.at2 = getelementptr {kind}, ptr %v.at, i64 {lanes}
{first}
{second}
  %v.s = fmul contract <{lanes} x double> {d}, {d}
  %v.s2 = fmul contract <{lanes} x double> {d2}, {d2}
  %a.next = fadd contract <{lanes} x double> %a, %v.s
  %b.next = fadd contract <{lanes} x double> %b, %v.s2
  %v.next = add i64 %v.i, {2 * lanes}
  br label %v.test
v.sum:
  %ab = fadd <{lanes} x double> %a, %b
  %sum = call reassoc double @llvm.vector.reduce.fadd.v{lanes}f64(double 0.0, <{lanes} x double> %ab)
  br label %s.test
s.test:
  %s.i = phi i64 [ %turn, %v.sum ], [ %s.next, %s.loop ]
  %total = phi double [ %sum, %v.sum ], [ %total.next, %s.loop ]
  %s.more = icmp slt i64 %s.i, %end
  br i1 %s.more, label %s.loop, label %done
s.loop:
  %s.at = getelementptr {kind}, ptr %at, i64 %s.i
{one}
  %s.s = fmul contract double {s}, {s}
  %total.next = fadd contract double %total, %s.s
  %s.next = add i64 %s.i, 1
  br label %s.test
done:
  %out = getelementptr double, ptr %chunk, i64 {CHUNK - 1}
  store double %total, ptr %out
  ret void
}}
declare double @llvm.vector.reduce.fadd.v{lanes}f64(double, <{lanes} x double>)
"""


def _double(kept: str, lanes: int, prefix: str, at: str) -> tuple[str, str]:
    """The lines that load gradients in double precision, and the name of what they give."""
    block = Block("double" if kept == "float64" else "float", lanes, prefix)
    value = LOAD[kept](block, Place("g", at))
    if block.real == "float":
        value = block.cast("fpext", value, "float", "double")
    return "\n".join(block.lines), value
