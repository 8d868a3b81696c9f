"""What differs between the Prometheus releases that the emulator stands for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One release of Prometheus, by its version such as ``2.42.0`` or ``3.5.0``."""

    version: str

    @property
    def is_3(self) -> bool:
        """From 3.0: windows exclude their own start, ``limit`` and rule paging exist, queries can be parsed."""
        return int(self.version.split(".", 1)[0]) >= 3
