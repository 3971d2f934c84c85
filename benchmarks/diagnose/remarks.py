"""Beside a kind's figure: why it is missed, as far as its cases tell. Written after the kept runs; changes nothing."""

from __future__ import annotations

REMARKS: dict[str, str] = {}
