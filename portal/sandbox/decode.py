"""From a worker's values to JSON, within a budget: what comes out is a tree of bounded size, whatever went in.

Values travel as a list of nodes that refer to earlier nodes, so twenty nodes can stand for 10**12 elements. The budget
counts by expansion, each visit of a shared node anew, and stops as soon as it is spent: the work is O(budget), for what
is looked through is counted as well as what is found. No Python object is built before it is paid for, and only strings
become dictionary keys: hashing a tuple that shares itself, or thousands of integers that collide, would hold the
interpreter lock for hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portal.sandbox import leaves
from portal.sandbox.budget import Budget, NotJson, OverBudget
from portal.sandbox.contract import Json
from portal.sandbox.leaves import Kind
from portal.sandbox.wire import BYTES, VARINT, ProtocolError, few, fields, text, varints, zigzag

_SHARED = 4
"""How many times the nodes that were sent a value may be before it is weighed."""

_CONTINUED = bytes(range(0x80, 0x100))
_NOTHING = memoryview(b"")
_SEQUENCES = frozenset({Kind.LIST, Kind.TUPLE, Kind.SET, Kind.FROZEN_SET})
_PARENTS = _SEQUENCES | {Kind.DICT, Kind.NAMED_TUPLE, Kind.INSTANCE}


class Arena:
    """The nodes of one frame. Nothing is decoded until it is asked for."""

    __slots__ = ("_nodes", "_weights")

    def __init__(self, message: memoryview, *, max_nodes: int) -> None:
        """Raises OverBudget for more distinct nodes than a value may expand to, ProtocolError for malformed ones."""
        # Copies: they are smaller than a view of so few bytes, and nothing that the garbage collector looks through.
        nodes: list[bytes] = []
        for seen, (number, kind, _, payload) in enumerate(fields(message)):
            # The first field is their count.
            if seen > max_nodes:
                raise OverBudget("nodes", max_nodes)
            if number == 2 and kind == BYTES:
                nodes.append(bytes(payload))
        self._nodes = nodes
        self._weights: list[int] = []

    def value(self, root: int, budget: Budget, *, strict: bool) -> Json:
        """Return the value at node ``root``.

        ``strict`` (arguments) refuses what has no JSON form; otherwise (results, where side effects may already stand)
        such a part becomes text. Raises OverBudget, NotJson, ProtocolError.
        """
        if len(self._nodes) * _SHARED < budget.nodes:
            self._weigh(root, budget)
        return self._expand(root, len(self._nodes), budget, budget.depth, strict)

    def _weigh(self, root: int, budget: Budget) -> None:
        """Raise OverBudget when ``root`` stands for too many nodes: O(what was sent), not O(what it stands for).

        Else a hundred bytes would cost us as much as the largest honest value does.
        """
        most = budget.nodes
        for index in range(len(self._weights), min(root + 1, len(self._nodes))):
            number, _, _, payload = _only(self._nodes[index])
            if number in _PARENTS:
                budget.read(len(payload))
            weight = 1
            for child in _values(number, payload, most):
                if child >= index:
                    raise ProtocolError("a node refers forward")
                weight += self._weights[child]
            self._weights.append(min(weight, most + 1))
        if root < len(self._weights) and self._weights[root] > most:
            raise OverBudget("nodes", most)

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
            budget.read(len(payload))
            if depth <= 0:
                raise OverBudget("depth", budget.depth)
            return self._container(number, payload, index, budget, depth - 1, strict)
        return leaves.leaf(number, payload, budget, strict=strict)

    def _container(
        self, number: int, payload: memoryview, index: int, budget: Budget, depth: int, strict: bool
    ) -> Json:
        if number in _SEQUENCES:
            return [self._expand(child, index, budget, depth, strict) for child in _children(payload, 1, budget.nodes)]
        if number == Kind.DICT:
            return self._mapping(payload, index, budget, depth, strict)
        if number == Kind.NAMED_TUPLE:
            items = _children(payload, 3, budget.nodes)
            # The class's own name stands before them.
            parts = few(payload, 2 * len(items) + 2)
            names = [text(part) for field, kind, _, part in parts if field == 2 and kind == BYTES]
            if len(names) != len(items):
                raise ProtocolError("a named tuple with more names than values")
            budget.pay(sum(map(len, names)))
            return {
                name: self._expand(item, index, budget, depth, strict) for name, item in zip(names, items, strict=True)
            }
        # An instance of a class of the program: its attributes, as dataclasses.asdict would show them.
        return self._mapping(_attributes(payload), index, budget, depth, strict)

    def _mapping(self, payload: memoryview, index: int, budget: Budget, depth: int, strict: bool) -> dict[str, Json]:
        out: dict[str, Json] = {}
        for key, value in _pairs(payload):
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
    for number, kind, given, _ in few(message, 4):
        if kind == VARINT and number == 1:
            key = given
        elif kind == VARINT and number == 2:
            value = given
    return key, value


def _children(payload: memoryview, field: int, most: int) -> list[int]:
    found: list[int] = []
    for number, kind, value, part in few(payload, 2 * most + 2):
        if number == field and kind == BYTES:
            # As many numbers as bytes that end one, counted before any is read.
            if len(found) + len(part.tobytes().translate(None, _CONTINUED)) > most:
                raise OverBudget("nodes", most)
            found += varints(part)
        elif number == field and kind == VARINT:
            found.append(value)
        elif field == 1:
            # Lists hold their children and nothing else.
            raise ProtocolError("a list of something else")
    return found


def _pairs(payload: memoryview) -> Iterator[tuple[int, int]]:
    for number, kind, _, part in fields(payload):
        if number != 1 or kind != BYTES:
            raise ProtocolError("a dictionary of something else")
        yield pair(part)


def _attributes(payload: memoryview) -> memoryview:
    return next((part for field, kind, _, part in few(payload, 16) if field == 3 and kind == BYTES), _NOTHING)


def _values(number: int, payload: memoryview, most: int) -> Iterable[int]:
    """Return the nodes that stand in this one, keys left out."""
    if number in _SEQUENCES:
        return _children(payload, 1, most)
    if number == Kind.NAMED_TUPLE:
        return _children(payload, 3, most)
    if number in _PARENTS:
        return (value for _, value in _pairs(payload if number == Kind.DICT else _attributes(payload)))
    return ()


def _only(node: bytes) -> tuple[int, int, int, memoryview]:
    for field in fields(memoryview(node)):
        return field
    raise ProtocolError("a node without a kind")
