"""The parameters of the HTTP API, from the query string or a form, with Prometheus's own words for bad ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from servers.prometheus.emulator.promql.durations import parse_ms
from servers.prometheus.emulator.promql.errors import ParseError
from servers.prometheus.emulator.promql.nodes import Node, Selector
from servers.prometheus.emulator.promql.parser import parse

MAX_MS = 2**53
_FRACTION = re.compile(r"(\.\d{6})\d+")


class BadParameter(ValueError):
    """A parameter cannot be used; answered as ``bad_data`` with status 400."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one request."""

    values: ImmutableMultiDict[str, str]

    @classmethod
    async def of(cls, request: Request) -> Parameters:
        """Return the parameters of a GET or of a POSTed form; a form's stand before those of the address."""
        pairs = list(request.query_params.multi_items())
        if request.method == "POST":
            async with request.form(max_files=0, max_fields=1_000) as form:
                pairs = [(k, v) for k, v in form.multi_items() if isinstance(v, str)] + pairs
        # The first of several values counts, as in Prometheus; Starlette's would be the last.
        return cls(ImmutableMultiDict(pairs[::-1]))

    def text(self, name: str) -> str:
        """Return a parameter, empty if it is missing."""
        return self.values.get(name, "")

    def all(self, name: str) -> list[str]:
        """Return every value of a repeated parameter, in order."""
        return self.values.getlist(name)[::-1]

    def query(self) -> Node:
        """Return the parsed ``query``. Raises BadParameter."""
        try:
            return parse(self.text("query"))
        except ParseError as error:
            raise BadParameter(f'invalid parameter "query": {error}') from None

    def time_ms(self, name: str, default_ms: int | None = None) -> int:
        """Return a moment given as unix seconds or RFC 3339. Raises BadParameter."""
        text = self.text(name)
        if not text and default_ms is not None:
            return default_ms
        found = moment_ms(text)
        if found is None:
            raise BadParameter(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
        return found

    def duration_ms(self, name: str) -> int:
        """Return a duration given as seconds or as ``5m``. Raises BadParameter."""
        text = self.text(name)
        found = _seconds_ms(text)
        found = parse_ms(text) if found is None else found
        if found is None:
            raise BadParameter(f'invalid parameter "{name}": cannot parse "{text}" to a valid duration')
        return found

    def count(self, name: str) -> int:
        """Return a limit, 0 for none. Raises BadParameter."""
        text = self.text(name)
        if not text:
            return 0
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise BadParameter(f'invalid parameter "{name}": cannot parse "{text}" to a non-negative integer')
        return int(text)

    def choice(self, name: str, *allowed: str) -> str:
        """Return a word out of several, empty if it is missing. Raises BadParameter."""
        text = self.text(name)
        if text and text.lower() not in allowed:
            raise BadParameter(f'invalid parameter "{name}": not supported value "{text.lower()}"')
        return text.lower()

    def flag(self, name: str) -> bool:
        """Return a yes or no. Raises BadParameter."""
        text = self.text(name).lower()
        if text not in {"", "0", "1", "f", "t", "false", "true"}:
            raise BadParameter(f'invalid parameter "{name}": not a boolean')
        return text in {"1", "t", "true"}

    def selectors(self, name: str = "match[]") -> list[Selector]:
        """Return every selector of a repeated parameter. Raises BadParameter."""
        found = []
        for text in self.all(name):
            try:
                node = parse(text)
            except ParseError as error:
                if "at least one non-empty matcher" in str(error):
                    reason = "match[] must contain at least one non-empty matcher"
                    raise BadParameter(f'invalid parameter "{name}": {reason}') from None
                raise BadParameter(f'invalid parameter "{name}": {error}') from None
            if not isinstance(node, Selector) or node.range_ms is not None or node.offset_ms:
                raise BadParameter(f'invalid parameter "{name}": "{text}" is not a plain selector')
            found.append(node)
        return found


def _seconds_ms(text: str) -> int | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return round(seconds * 1_000) if abs(seconds) * 1_000 < MAX_MS else None


def moment_ms(text: str) -> int | None:
    """Return a moment given as unix seconds or RFC 3339, in milliseconds, or None if the text is neither."""
    found = _seconds_ms(text)
    if found is not None:
        return found
    if "T" not in text.upper() or len(text) > 40:
        return None
    try:
        # The standard library reads microseconds; RFC 3339 allows any precision.
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.upper()))
        return round(moment.timestamp() * 1_000) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def rfc3339(time_ms: float) -> str:
    """Return a moment as Prometheus writes it."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
