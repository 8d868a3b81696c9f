from __future__ import annotations

from tests.store.databases import postgresql

__all__ = ["postgresql"]
