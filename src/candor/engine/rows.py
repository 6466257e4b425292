"""Requests and their rows: completions in the making, and the draw that gives each of them its next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from candor.engine.calls import Calls
from candor.engine.protocol import Sampling
from candor.engine.sampling import RowSettings, Shifts, draw, row_key
from candor.engine.text import GrowingText, TextStream, TokenText

if TYPE_CHECKING:
    from collections.abc import Collection

# The likeliest tokens at a place, and their log-probabilities.
Alternatives = tuple[tuple[int, ...], tuple[float, ...]]

_MOST = 1 << 31  # what a tensor of whole numbers holds, and more than any vocabulary
_BEFORE = 6  # tokens of a prompt that tell how the text behind it is written


@dataclass(eq=False, repr=False)  # no log is to show what somebody has asked
class Row:
    """One completion in the making.

    Attributes:
        request: whose it is.
        place: its own among the request's completions.
        sampling: how its tokens are drawn.
        key: what its random numbers come from.
        tokens, logprobs, top: what was drawn or inserted so far; `top` only where the sampling asks for it.
        growing: its text so far, kept where it is watched or has to stop at strings.
        calls: of tools; None where it has none.
        finish: why it ended, None as long as it goes on.
    """

    request: Request
    place: int
    sampling: Sampling
    key: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Alternatives] = field(default_factory=list)
    growing: GrowingText | None = None
    calls: Calls | None = None
    finish: Literal["stop", "length"] | None = None
    ended_by_token: bool = False
    counts: Counter[int] = field(default_factory=Counter)
    shift: dict[int, float] = field(default_factory=dict)  # what is added to tokens' logits

    @property
    def forced(self) -> int | None:
        """The next token, if it is not to be drawn."""
        return self.calls.forced[0] if self.calls is not None and self.calls.forced else None

    def add(self, token: int, logprob: float, ends: Collection[int]) -> None:
        """Take a token, and see whether it is the last."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.calls is not None and self.calls.take_forced():
            if self.growing is not None:
                self.growing.insert(token)
        else:
            self._drawn(token, ends)
        if self.finish is None and len(self.tokens) >= self.sampling.max_tokens:
            self.finish = "length"
        if self.finish and self.growing is not None:
            self.growing.finish()

    def _drawn(self, token: int, ends: Collection[int]) -> None:
        """Count a drawn token, let it end or stop the completion, or close a call."""
        sampling = self.sampling
        if sampling.frequency_penalty or sampling.presence_penalty:
            self.counts[token] += 1
            penalty = sampling.frequency_penalty * self.counts[token] + sampling.presence_penalty
            self.shift[token] = dict(sampling.logit_bias).get(token, 0.0) - penalty
        if token in ends and not sampling.ignore_end:
            self.finish, self.ended_by_token = "stop", True
        elif self.growing is not None and self.growing.push(token):
            self.finish = "stop"
        elif self.calls is not None and len(self.tokens) < sampling.max_tokens:
            self.calls.read(token)


@dataclass(eq=False, repr=False)
class Request:
    """A prompt, and the completions that are wanted of it.

    Args:
        ids: the prompt's tokens, at least one.
        settings: how to complete it; several settings share the reading of the prompt.
        index: the prompt's place in its call, on which random numbers depend.
        hidden_layers: layers whose state at the prompt's last token to keep.
        watched: keep each row's text as it grows (`Row.growing`).
        continues: that text goes on the prompt's, so that the space between the two is its own.
        on_read: called once, when the prompt has been read and before anything is drawn, with the request
            and the logits [V] of the first token; it may change rows' `sampling` or set `cancelled`.

    Attributes:
        rows: in the order of the settings; there from the time when the prompt is read.
        hidden: [layer, width] float32, if layers were asked for.
        cancelled: nothing more is to be done.
    """

    ids: Sequence[int]
    settings: Sequence[Sampling]
    index: int = 0
    hidden_layers: Sequence[int] = ()
    watched: bool = False
    continues: bool = False
    on_read: Callable[[Request, torch.Tensor], None] | None = None
    rows: list[Row] = field(default_factory=list)
    hidden: np.ndarray | None = None
    cancelled: bool = False

    @property
    def fan_out(self) -> int:
        """Rows that it has or will have."""
        return sum(setting.n for setting in self.settings)

    @property
    def longest(self) -> list[int]:
        """The most tokens of each of its completions."""
        return [setting.max_tokens for setting in self.settings for _ in range(setting.n)]

    def begin(self, text: TokenText) -> None:
        """Make the rows."""
        for setting in self.settings:
            for _ in range(setting.n):
                place = len(self.rows)
                row = Row(self, place, setting, row_key(setting.seed, self.index, place))
                row.shift.update(setting.logit_bias)
                if setting.tools:
                    row.calls = Calls(text, setting.tools, setting.tool_limits, self.ids[-_BEFORE:])
                if self.watched or setting.stop:
                    shown = row.calls.shown if row.calls is not None else ()
                    row.growing = GrowingText(self.stream(text, shown), setting.stop)
                self.rows.append(row)

    def stream(self, text: TokenText, shown: Collection[int] = ()) -> TextStream:
        """A completion's tokens as they become text, with the control tokens that are `shown`."""
        return text.stream(before=self.ids[-_BEFORE:] if self.continues else (), shown=shown)

    def forbid_first(self, token: int) -> None:
        """Don't let any of its completions begin with this token."""
        for row in self.rows:
            row.sampling = replace(row.sampling, forbid_first=(*row.sampling.forbid_first, token))


def settings_of_rows(rows: Sequence[Row]) -> RowSettings:
    """What the draw has to know of rows; good for as long as the rows are the same."""
    return RowSettings(
        temperature_R=torch.tensor([row.sampling.temperature for row in rows]),
        top_p_R=torch.tensor([row.sampling.top_p for row in rows]),
        top_k_R=torch.tensor([min(row.sampling.top_k, _MOST) for row in rows]),
        keys_R=np.array([row.key for row in rows], dtype=np.uint64),
        min_p_R=torch.tensor([row.sampling.min_p for row in rows]),
    )


def draw_rows(
    rows: Sequence[Row], settings: RowSettings, logits_RV: torch.Tensor, ends: Collection[int]
) -> list[Row]:
    """Draw a token for each row that goes on, or take the one that is inserted next.

    Args:
        rows: those that have ended may be among them.
        settings: theirs, from `settings_of_rows`.
        logits_RV: the next token's; where a first token is forbidden it is so in here afterwards.
        ends: tokens that end a completion.

    Returns:
        The rows that got a token.
    """
    for place, row in enumerate(rows):
        if row.sampling.forbid_first and not row.tokens:
            logits_RV[place, list(row.sampling.forbid_first)] = float("-inf")
    steps = np.array([len(row.tokens) for row in rows])
    settings.shifts = Shifts.of([row.shift for row in rows])
    tokens_R, logprobs_R = draw(logits_RV, settings, steps)
    going = [place for place, row in enumerate(rows) if row.finish is None]
    forced = {place: token for place in going if (token := rows[place].forced) is not None}
    if forced:
        _insert(forced, logits_RV, tokens_R, logprobs_R)
    _add_alternatives(rows, going, logits_RV, tokens_R, logprobs_R)
    drawn = [*zip(tokens_R.tolist(), logprobs_R.tolist(), strict=True)]
    for place in going:
        rows[place].add(*drawn[place], ends)
    return [rows[place] for place in going]


def _insert(
    forced: Mapping[int, int], logits_RV: torch.Tensor, tokens_R: torch.Tensor, logprobs_R: torch.Tensor
) -> None:
    """Put tokens in the place of drawn ones, with the log-probabilities that the model gives them."""
    places, tokens = list(forced), torch.tensor(list(forced.values()))
    scores = torch.log_softmax(logits_RV[places].float(), dim=-1)
    tokens_R[places] = tokens
    logprobs_R[places] = scores.gather(1, tokens[:, None].to(scores.device)).squeeze(1).cpu()


def _add_alternatives(
    rows: Sequence[Row],
    going: list[int],
    logits_RV: torch.Tensor,
    tokens_R: torch.Tensor,
    logprobs_R: torch.Tensor,
) -> None:
    """The likeliest tokens of rows that want them, and the drawn one's log-probability from the same sum."""
    asking = [place for place in going if rows[place].sampling.top_logprobs]
    if not asking:
        return
    scores = torch.log_softmax(logits_RV[asking].float(), dim=-1)
    most = max(rows[place].sampling.top_logprobs for place in asking)
    values, tokens = scores.topk(min(most, scores.shape[1]))
    # Equal to the best alternative's where it is that: clients compare them.
    logprobs_R[asking] = scores.gather(1, tokens_R[asking, None].to(scores.device)).squeeze(1).cpu()
    for place, found, at in zip(asking, values.tolist(), tokens.tolist(), strict=True):
        count = rows[place].sampling.top_logprobs
        rows[place].top.append((tuple(at[:count]), tuple(found[:count])))
