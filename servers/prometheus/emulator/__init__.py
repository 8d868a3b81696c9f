"""A Prometheus with its Alertmanager in pure Python: the same HTTP API over metrics that are functions of time."""

from __future__ import annotations

from servers.prometheus.emulator.run import Emulator, running

__all__ = ["Emulator", "running"]
