"""From a worker's values to JSON, within a budget: what comes out is a tree of bounded size, whatever went in.

Values travel as a list of nodes that refer to earlier nodes, so twenty nodes can stand for 10**12 elements. The budget
counts by expansion, each visit of a shared node anew, and stops as soon as it is spent: the work is O(budget). No
Python object is built before it is paid for, and only strings become dictionary keys: hashing a tuple that shares
itself, or thousands of integers that collide, would hold the interpreter lock for hours.
"""

from __future__ import annotations

from portal.sandbox import leaves
from portal.sandbox.budget import Budget, NotJson, OverBudget
from portal.sandbox.contract import Json
from portal.sandbox.leaves import Kind
from portal.sandbox.wire import BYTES, VARINT, ProtocolError, fields, text, varints, zigzag

_NOTHING = memoryview(b"")
_SEQUENCES = frozenset({Kind.LIST, Kind.TUPLE, Kind.SET, Kind.FROZEN_SET})
_PARENTS = _SEQUENCES | {Kind.DICT, Kind.NAMED_TUPLE, Kind.INSTANCE}


class Arena:
    """The nodes of one frame. Nothing is decoded until it is asked for."""

    __slots__ = ("_nodes",)

    def __init__(self, message: memoryview, *, max_nodes: int) -> None:
        """Raises OverBudget for more distinct nodes than a value may expand to, ProtocolError for malformed ones."""
        nodes: list[memoryview] = []
        for number, kind, _, payload in fields(message):
            if number == 2 and kind == BYTES:
                nodes.append(payload)
                if len(nodes) > max_nodes:
                    raise OverBudget("nodes", max_nodes)
        self._nodes = nodes

    def value(self, root: int, budget: Budget, *, strict: bool) -> Json:
        """Return the value at node ``root``.

        ``strict`` (arguments) refuses what has no JSON form; otherwise (results, where side effects may already stand)
        such a part becomes text. Raises OverBudget, NotJson, ProtocolError.
        """
        return self._expand(root, len(self._nodes), budget, budget.depth, strict)

    def _expand(self, index: int, below: int, budget: Budget, depth: int, strict: bool) -> Json:  # noqa: PLR0911 - one line a kind
        if index >= below:
            # Children stand before their parents: no cycle can exist.
            raise ProtocolError("a node refers forward")
        number, kind, value, payload = _only(self._nodes[index])
        if number == Kind.STR:
            budget.pay(len(payload) + 2)
            return text(payload)
        if number == Kind.INT and kind == VARINT:
            budget.pay(leaves.SCALAR_BYTES)
            return zigzag(value)
        if number == Kind.BIGINT:
            return leaves.big(payload, budget, strict=strict)
        if number == Kind.BOOL:
            budget.pay(leaves.SCALAR_BYTES)
            return bool(value)
        if number == Kind.NONE:
            budget.pay(leaves.SCALAR_BYTES)
            return None
        if number == Kind.FLOAT:
            return leaves.number(payload, budget, strict=strict)
        if number in _PARENTS:
            budget.pay(2)
            if depth <= 0:
                raise OverBudget("depth", budget.depth)
            return self._container(number, payload, index, budget, depth - 1, strict)
        return leaves.leaf(number, payload, budget, strict=strict)

    def _container(
        self, number: int, payload: memoryview, index: int, budget: Budget, depth: int, strict: bool
    ) -> Json:
        if number in _SEQUENCES:
            return [self._expand(child, index, budget, depth, strict) for child in _children(payload, 1)]
        if number == Kind.DICT:
            return self._mapping(payload, index, budget, depth, strict)
        if number == Kind.NAMED_TUPLE:
            names = [text(part) for field, kind, _, part in fields(payload) if field == 2 and kind == BYTES]
            items = _children(payload, 3)
            if len(names) != len(items):
                raise ProtocolError("a named tuple with more names than values")
            budget.pay(sum(map(len, names)))
            return {
                name: self._expand(item, index, budget, depth, strict) for name, item in zip(names, items, strict=True)
            }
        # An instance of a class of the program: its attributes, as dataclasses.asdict would show them.
        attributes = next((part for field, kind, _, part in fields(payload) if field == 3 and kind == BYTES), _NOTHING)
        return self._mapping(attributes, index, budget, depth, strict)

    def _mapping(self, payload: memoryview, index: int, budget: Budget, depth: int, strict: bool) -> dict[str, Json]:
        out: dict[str, Json] = {}
        for number, kind, _, part in fields(payload):
            if number != 1 or kind != BYTES:
                continue
            key, value = pair(part)
            name = self._key(key, index, budget, strict)
            out[name] = self._expand(value, index, budget, depth, strict)
        return out

    def _key(self, node: int, below: int, budget: Budget, strict: bool) -> str:
        if node >= below:
            raise ProtocolError("a node refers forward")
        number, _, _, payload = _only(self._nodes[node])
        if number == Kind.STR:
            budget.pay(len(payload) + 4)
            return text(payload)
        if number in _PARENTS:
            if strict:
                raise NotJson("a dictionary key must be a string, not a tuple or an object")
            # Constant work: the same thousand-part key may be visited many times.
            budget.pay(len("(…)"))
            return "(…)"
        key = self._expand(node, below, budget, 0, strict)
        if isinstance(key, str):
            return key
        if isinstance(key, bool):
            return "true" if key else "false"
        return "null" if key is None else repr(key)


def pair(message: memoryview) -> tuple[int, int]:
    """Return the two node numbers of a dictionary entry or keyword argument. Raises ProtocolError."""
    key = value = 0
    for number, kind, given, _ in fields(message):
        if kind == VARINT and number == 1:
            key = given
        elif kind == VARINT and number == 2:
            value = given
    return key, value


def _children(payload: memoryview, field: int) -> list[int]:
    found: list[int] = []
    for number, kind, value, part in fields(payload):
        if number != field:
            continue
        if kind == BYTES:
            found += varints(part)
        elif kind == VARINT:
            found.append(value)
    return found


def _only(node: memoryview) -> tuple[int, int, int, memoryview]:
    for field in fields(node):
        return field
    raise ProtocolError("a node without a kind")
