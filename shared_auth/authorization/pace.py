"""How often one address, or one host, may have something done."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

ADDRESSES = 4_096


class Pace:
    """A token bucket per remote address; an IPv6 /64 is one address, because one machine has all of it."""

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Say whether ``address`` may do one more now."""
        name, now = _network(address), self._clock()
        left, since = self._buckets.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + max(0.0, now - since) * self._per_second)
        self._buckets[name] = (left - 1 if left >= 1 else left, now)
        while len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
