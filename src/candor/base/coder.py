"""Arithmetic coding with whole numbers: choices in nearly as few bytes as their probabilities allow.

Each choice is a share [low, low + width) of a total. The encoder narrows an interval of 64 bits by the share
and widens it by whole bytes; the decoder follows. (Witten, Neal and Cleary 1987; range coding after Martin
1979.) The interval's start is one long whole number, so that a carry needs no care.
"""

from __future__ import annotations

_WHOLE, _LEAST = 1 << 64, 1 << 56
# With totals up to this, rounding costs less than 1e-4 of a bit a choice.
LARGEST_TOTAL = 1 << 43


class Encoder:
    """Takes choices one after the other; `finish` gives the bytes."""

    def __init__(self) -> None:
        self._start, self._range, self._bytes = 0, _WHOLE, 8

    def add(self, low: int, width: int, total: int) -> None:
        """Add the choice of [low, low + width) of a total."""
        unit = self._range // total
        self._start += unit * low
        self._range = unit * width
        while self._range < _LEAST:
            self._start <<= 8
            self._range <<= 8
            self._bytes += 1

    def finish(self) -> bytes:
        """The fewest bytes that stand for all choices."""
        # A number inside of the interval with as many zero bytes at its end as there can be.
        found = self._start
        for zeros in range(64, 0, -8):
            found = -(-self._start >> zeros) << zeros
            if found < self._start + self._range:
                break
        else:
            found = self._start
        return found.to_bytes(self._bytes + 1, "big")[1:].rstrip(b"\0")


class Decoder:
    """Finds the choices again. What is behind the end of the data counts as zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._next = data, 8
        self._code = int.from_bytes(data[:8].ljust(8, b"\0"), "big")
        self._range, self._unit = _WHOLE, 0

    def target(self, total: int) -> int:
        """A number that lies in the share which was chosen of this total."""
        self._unit = self._range // total
        return min(self._code // self._unit, total - 1)

    def take(self, low: int, width: int) -> None:
        """Say which share that was."""
        self._code -= self._unit * low
        self._range = self._unit * width
        while self._range < _LEAST:
            following = self._data[self._next] if self._next < len(self._data) else 0
            self._code = (self._code << 8) | following
            self._range <<= 8
            self._next += 1
