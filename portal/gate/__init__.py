"""The one place where a program's call is judged."""

from __future__ import annotations

from portal.gate.gate import Gate
from portal.gate.session import WAITED, Caller, CallRecord, Session, ToolFinder

__all__ = ["WAITED", "CallRecord", "Caller", "Gate", "Session", "ToolFinder"]
