"""What stands in an agent's context, request by request, and what that is in tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.node import run_script

Kind = Literal["tools", "asked", "written", "result"]
"""``tools``: definitions, and what searching answered. ``written``: calls and programs, and the answer. ``result``:
what tools and programs answered.
"""

_COUNT = """
const {encode} = require('gpt-tokenizer/encoding/o200k_base');
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(texts.map(text => encode(text, {allowedSpecial: new Set()}).length)));
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call as a model writes it."""

    name: str
    arguments: Mapping[str, Any]

    def text(self) -> str:
        return compact({"name": self.name, "arguments": self.arguments})


@dataclass(slots=True)
class Conversation:
    """``parts`` in the order in which they enter the context; ``requests`` are how many parts each request carried."""

    parts: list[tuple[Kind, str]] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def add(self, kind: Kind, text: str) -> None:
        self.parts.append((kind, text))

    def request(self) -> None:
        """Note that the model is asked now, with everything that is there."""
        self.requests.append(len(self.parts))

    def shown(self) -> str:
        """Return all that the agent was given: where it may know a name from."""
        return "\n".join(text for kind, text in self.parts if kind != "written")


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens of one finished task. ``peak`` is the context at its end, ``bare`` the same without intermediate results,
    ``input`` what all requests carried together.
    """

    bare: int
    peak: int
    input: int
    requests: int


def costs(conversations: Iterable[Conversation]) -> list[Cost]:
    """Return what each conversation cost, in o200k tokens. Raises bench.node.Unavailable without the tokenizer."""
    kept = list(conversations)
    texts = list({text: None for conversation in kept for _, text in conversation.parts})
    sizes = dict(zip(texts, tokens(texts), strict=True))
    return [_cost(conversation, sizes) for conversation in kept]


def tokens(texts: Sequence[str]) -> list[int]:
    """Return the o200k tokens of each text. Raises bench.node.Unavailable."""
    found: list[int] = json.loads(run_script("tokens", ["gpt-tokenizer@4.0.0"], _COUNT, json.dumps(texts)))
    return found


def compact(value: object) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cost(conversation: Conversation, sizes: Mapping[str, int]) -> Cost:
    counted = [(kind, sizes[text]) for kind, text in conversation.parts]
    return Cost(
        bare=sum(size for kind, size in counted if kind != "result"),
        peak=sum(size for _, size in counted),
        input=sum(size for number in conversation.requests for _, size in counted[:number]),
        requests=len(conversation.requests),
    )
