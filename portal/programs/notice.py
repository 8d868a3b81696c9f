"""What a client is given of a paused program, to show its person, and what the person did with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Answer = Literal["yes", "no", "shown", "closed"]
"""A form says yes or no; a page was ``shown``, where the person decides or has decided; or neither was looked at."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Where a person decides, at ``address``, and why, in words for them. ``carried`` comes back with the same request
    to go on; ``client`` is whether a yes or no that is given in the client counts.
    """

    address: str
    message: str
    carried: str
    client: bool
