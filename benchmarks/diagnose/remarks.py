"""What is to be said of a kind beside its figure: why it is missed."""

from __future__ import annotations

REMARKS: dict[str, str] = {}
