from __future__ import annotations

from tests.store.databases import own_postgresql as postgresql

__all__ = ["postgresql"]
