"""The table of a mix, for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from candor.chat.mix import Mix, SourceMix


def mix_table(mix: Mix) -> Table:
    """A table: a row for each measure, a column for each source, and one for all if there are several."""
    shown = [*mix.sources, mix.total] if len(mix.sources) > 1 else list(mix.sources) or [mix.total]
    table = Table(title="The mix of conversations")
    table.add_column("")
    for source in shown:
        table.add_column(Text(source.name), justify="right", overflow="fold")  # names may look like markup
    bands = list(mix.total.by_assistant_turns)
    limit = "" if mix.max_tokens is None else f" (more than {mix.max_tokens:,} tokens)"
    rows: list[tuple[str, list[str]]] = [
        ("conversations", [f"{s.conversations:,}" for s in shown]),
        (f"left out as too long{limit}", [f"{s.too_long:,}" for s in shown]),
        *_split_rows(shown, mix.total),
        ("assistant turns, mean", [f"{s.assistant_turns:.1f}" for s in shown]),
        *(
            (
                f"  with {band.replace('-', '–')}",
                [_share(s.by_assistant_turns[band], s.conversations) for s in shown],
            )
            for band in bands
        ),
        ("that end without an answer", [f"{s.unanswered:,}" for s in shown]),
        ("tokens", [f"{s.tokens:,}" for s in shown]),
        ("  of one: mean", [f"{s.tokens_mean:,.0f}" for s in shown]),
        ("  half have at most", [f"{s.tokens_p50:,}" for s in shown]),
        ("  95 % have at most", [f"{s.tokens_p95:,}" for s in shown]),
        ("  the longest", [f"{s.tokens_max:,}" for s in shown]),
        ("learned tokens", [f"{s.supervised:,}" for s in shown]),
        ("  of all tokens", [f"{s.supervised_share:.1%}" for s in shown]),
        ("weight", [f"{s.weight:g}" if s is not mix.total else "" for s in shown]),
        ("  share of the loss", [f"{s.share_of_loss:.1%}" for s in shown]),
        ("there before, word for word", [f"{s.duplicates:,}" for s in shown]),
        ("first question there before", [f"{s.same_opening:,}" for s in shown]),
        ("languages", [_languages(s) for s in shown]),
    ]
    for measure, cells in rows:
        table.add_row(measure, *cells)
    if mix.recognised == "not installed":
        table.caption = Text('languages: not recognised; pip install "candor-lm[corpus]"')
    return table


def _split_rows(shown: list[SourceMix], total: SourceMix) -> list[tuple[str, list[str]]]:
    """Rows about pieces, if anything was cut."""
    if not total.split and not total.lost_turns:
        return []
    return [
        ("cut into pieces that fit", [f"{s.split:,}" for s in shown]),
        ("  into so many pieces", [f"{s.pieces:,}" for s in shown]),
        ("  replies left out: too long alone", [f"{s.lost_turns:,}" for s in shown]),
    ]


def _share(some: int, of: int) -> str:
    return f"{some / of:.0%}" if of else "–"


def _languages(source: SourceMix, most: int = 3) -> str:
    if not source.languages:
        return "–"
    first = list(source.languages.items())[:most]
    named = [f"{code} {_share(times, source.conversations)}" for code, times in first]
    more = len(source.languages) - most
    return ", ".join([*named, *([f"{more} more"] if more > 0 else [])])
