"""Protocol buffers, as much of them as the worker protocol needs, read from bytes that nobody vouches for.

Reading never allocates by a length that was merely claimed, never recurses, and answers malformed bytes with
ProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10

Field = tuple[int, int, int, memoryview]
"""Field number, wire type, the value of a varint (else 0), the payload of the others (else empty)."""

_NOTHING = memoryview(b"")
_BYTE = [bytes((value,)) for value in range(0x80)]


class ProtocolError(Exception):
    """The worker sent what its protocol does not allow. It is not to be trusted any more."""


def fields(data: memoryview) -> Iterator[Field]:
    """Yield the fields of one message in order. Raises ProtocolError."""
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(data, at - 1)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ProtocolError("field number 0")
        if kind in {VARINT, BYTES}:
            # Nearly every number is one byte; a call for each would double the time.
            if at < end and data[at] < 0x80:
                value = data[at]
                at += 1
            else:
                value, at = _varint(data, at)
            if kind == VARINT:
                yield number, kind, value, _NOTHING
                continue
            size = value
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        else:
            raise ProtocolError("unknown wire type")
        if size > end - at:
            raise ProtocolError("a field ends after its message")
        yield number, kind, 0, data[at : at + size]
        at += size


def few(data: memoryview, most: int) -> Iterator[Field]:
    """Yield the fields of a message that has at most ``most`` of them. Raises ProtocolError.

    Looking at a field costs more than sending it: what reads on the event loop must know where it ends.
    """
    for count, field in enumerate(fields(data)):
        if count >= most:
            raise ProtocolError("a message of too many fields")
        yield field


def varints(packed: memoryview) -> list[int]:
    """Return the numbers of a packed repeated field. Raises ProtocolError."""
    found: list[int] = []
    at, end = 0, len(packed)
    while at < end:
        value, at = _varint(packed, at)
        found.append(value)
    return found


def text(payload: memoryview) -> str:
    """Return a string field. Raises ProtocolError."""
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("a string is not UTF-8") from None


def zigzag(value: int) -> int:
    """Return the signed number that a sint field holds."""
    return (value >> 1) ^ -(value & 1)


def signed32(value: int) -> int:
    """Return the signed number that an int32 field holds (negative ones travel as 64 bits)."""
    return value - (1 << 64) if value >= 1 << 63 else value


def put_varint(number: int, value: int) -> bytes:
    """Return a varint field."""
    return encode_varint(number << 3) + encode_varint(value)


def put_bytes(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field: bytes, string or message."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(payload)) + payload


def put_text(number: int, value: str) -> bytes:
    """Return a string field. What UTF-8 cannot hold (half a surrogate pair) becomes a question mark."""
    return put_bytes(number, value.encode("utf-8", "replace"))


def put_packed(number: int, values: list[int]) -> bytes:
    """Return a packed repeated varint field, nothing at all for no values."""
    return put_bytes(number, b"".join(map(encode_varint, values))) if values else b""


def encode_varint(value: int) -> bytes:
    """Return one non-negative number below 2**64."""
    if value < 0x80:
        return _BYTE[value]
    # Most numbers of a large value have two or three bytes: a loop for each would double the time.
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x20_0000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    stop = min(len(data), at + MAX_VARINT_BYTES)
    while at < stop:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                raise ProtocolError("a number of more than 64 bits")
            return value, at
        shift += 7
    raise ProtocolError("a number does not end")
