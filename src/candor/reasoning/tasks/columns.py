"""Sums, differences and products worked out column by column, as on paper, least significant digit first."""

from __future__ import annotations


def added(a: int, b: int) -> str:
    """Column by column with carries: "7 + 5 = 12, write 2, carry 1"; what is written last is left to read."""
    left, right = _columns(a, b)
    lines, carry = [], 0
    for x, y in zip(left, right, strict=True):
        parts = f"{x} + {y}" + (f" + {carry}" if carry else "")
        carry, digit = divmod(x + y + carry, 10)
        total = 10 * carry + digit
        lines.append(f"{parts} = {total}, write {digit}" + (f", carry {carry}" if carry else ""))
    if carry:
        lines.append(f"write {carry}")
    return "\n".join(lines)


def subtracted(a: int, b: int) -> str:
    """Column by column with borrowing, for a ≥ b."""
    left, right = _columns(a, b)
    lines, borrowed = [], 0
    for x, y in zip(left, right, strict=True):
        top = x - borrowed
        lent = f"{x} - 1 = {top}, " if borrowed else ""
        borrowed = int(top < y)
        if borrowed:
            lent += f"{top} is less than {y}, borrow 10, "
            top += 10
        lines.append(f"{lent}{top} - {y} = {top - y}, write {top - y}")
    return "\n".join(lines)


def multiplied(a: int, b: int) -> str:
    """A product for each digit of the second number, and what is then to be added."""
    if a < 10 and b < 10:
        return f"{a} times {b} is " + (" + ".join([str(a)] * b) if b else "nothing")
    lines, parts = [], []
    for place, digit in enumerate(reversed(str(b))):
        if digit == "0":
            continue
        factor = int(digit) * 10**place
        parts.append(a * factor)
        lines.append(f"{a} * {factor} = {a * factor}")
    if len(parts) > 1:
        lines.append("add: " + " + ".join(map(str, parts)))
    return "\n".join(lines)


def _columns(a: int, b: int) -> tuple[list[int], list[int]]:
    length = max(len(str(a)), len(str(b)))
    left, right = (list(map(int, reversed(str(number).rjust(length, "0")))) for number in (a, b))
    return left, right
