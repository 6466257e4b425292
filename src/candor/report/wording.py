"""Numbers as people read them. A missing number is a dash."""

from __future__ import annotations

from candor.core.statistics import Estimate

DASH = "–"
MINUS = "−"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

VERDICTS = {"correct": "right", "incorrect": "wrong", "not_attempted": "“I don’t know”"}


def percent(share: float | None, digits: int = 0) -> str:
    """0.843 -> "84%"; never rounds something to nothing: 0.004 -> "0.4%", 0.997 -> "99.7%"."""
    if share is None:
        return DASH
    hundred = abs(share) * 100
    if digits == 0 and (0 < hundred < 1 or 99 <= hundred < 100):
        digits = 1
    return _signed(share, f"{hundred:.{digits}f}%")


def score(value: float | None) -> str:
    """0.8553 -> "0.855"."""
    return DASH if value is None else _signed(value, f"{abs(value):.3f}")


def points(share: float | None) -> str:
    """A difference of shares in percentage points, with its sign: 0.123 -> "+12.3"."""
    return DASH if share is None else _with_sign(share, f"{abs(share) * 100:.1f}")


def change(value: float | None) -> str:
    """A difference of scores, with its sign: 0.8553 -> "+0.855", -338810.79 -> "−338,811"."""
    if value is None:
        return DASH
    return _with_sign(value, _large(abs(value)) if abs(value) >= 1000 else f"{abs(value):.3f}")


def plain(value: float | None) -> str:
    """A number at three or four significant figures: 21.37 -> "21.4", 1234.0 -> "1,234", 2e14 -> "2·10¹⁴"."""
    if value is None:
        return DASH
    size = abs(value)
    return _signed(value, _large(size) if size >= 1000 or size == int(size) else f"{size:.3g}")


def tiny(value: float | None) -> str:
    """A small difference by its size alone: 0.0000021 -> "2.1e-06"; nothing at all is 0."""
    return DASH if value is None else "0" if not value else f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """75.2 -> "1 min 15 s"."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(count: float | None) -> str:
    """Bytes in binary units: 3221225472 -> "3.0 GiB"."""
    if count is None:
        return DASH
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def count(value: float | None) -> str:
    """1234.0 -> "1,234"."""
    return DASH if value is None else f"{value:,.0f}"


FORMATS = {
    "percent": percent,
    "points": points,
    "score": score,
    "change": change,
    "plain": plain,
    "duration": duration,
    "count": count,
    "tiny": tiny,
}


def shown(estimate: Estimate | None, kind: str = "percent") -> str:
    """The value alone, in one of `FORMATS`."""
    return DASH if estimate is None else FORMATS[kind](estimate.value)


def interval(estimate: Estimate | None, kind: str = "percent") -> str:
    """ "80% to 88%", or "" where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{FORMATS[kind](estimate.low)} to {FORMATS[kind](estimate.high)}"


def sized(estimate: Estimate | None) -> str:
    """ "n = 412", or "" where the number of items is not known."""
    return f"n = {estimate.n:,}" if estimate is not None and estimate.n else ""


def full(estimate: Estimate | None, kind: str = "percent") -> str:
    """Value, interval and n in one line of text: "84% (80% to 88%, n = 412)"."""
    inside = ", ".join(part for part in (interval(estimate, kind), sized(estimate)) if part)
    return f"{shown(estimate, kind)} ({inside})" if inside else shown(estimate, kind)


def humanised(name: str) -> str:
    """A key as a label: "first_token_probability" -> "First token probability"."""
    text = name.replace("_", " ").strip()
    return text.upper() if text in ("cpu", "gpu", "ram", "os") else text[:1].upper() + text[1:]


def task_name(task: str) -> str:
    """A task without the folder of its file: "data/some.jsonl" -> "some.jsonl"."""
    return task.rsplit("/", 1)[-1]


def _large(size: float) -> str:
    """1234.0 -> "1,234"; from a thousand million on as a power of ten."""
    if size < 1e9:
        return f"{size:,.0f}"
    mantissa, _, exponent = f"{size:.2e}".partition("e+")
    return f"{mantissa.rstrip('0').rstrip('.')}·10{str(int(exponent)).translate(_RAISED)}"


def _signed(value: float, text: str) -> str:
    # "-0.0%" is a plain zero.
    return f"{MINUS}{text}" if value < 0 and text.strip("0.%") else text


def _with_sign(value: float, digits: str) -> str:
    nothing = not digits.strip("0.")
    return digits if nothing else f"{MINUS if value < 0 else '+'}{digits}"
