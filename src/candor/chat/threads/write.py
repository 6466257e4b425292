"""Writes the cases: mirrored pairs of conversations, and a control for each template.

Mention can't decide a case, since both values are mentioned, nor can order: in each category the right value
is mentioned first as often as not, and last as often as not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from candor.chat.threads.case import Case, Category, Check, mentions
from candor.chat.threads.material import Filler, Form, Template, Value, fillers, pools, templates
from candor.data.conversations import Turn

# Exchanges between what is needed and the last turn: the fewest, and how many different distances there are.
# A pronoun reaches no further than the turn before; an instruction should hold for longer than that.
_DISTANCES: dict[Category, tuple[int, int]] = {
    "recall": (0, 4),
    "reference": (0, 1),
    "correction": (0, 3),
    "consistency": (0, 4),
    "constraint": (1, 3),
}


def cases(seed: int = 0, *, rounds: int = 1) -> list[Case]:
    """Write the cases: about 350 that need earlier turns and 170 controls that do not.

    Args:
        seed: which values, fillers and distances. The same seed gives the same cases on every machine.
        rounds: how often every template is used, each time with other values; for narrower intervals
            within a template. The number of templates, which bounds what intervals can tell, stays.

    Raises:
        ValueError: fewer than one round, or more than the smallest pool has pairs for.
    """
    if rounds < 1:
        raise ValueError("rounds must be at least 1")
    written: list[Case] = []
    numbers: Counter[str] = Counter()
    for template in templates():
        number = numbers[template.category]
        numbers[template.category] += 1
        written += _cases_of(template, number, seed, rounds)
    return written


def _cases_of(template: Template, number: int, seed: int, rounds: int) -> list[Case]:
    rng = random.Random(f"threads:{seed}:{template.id}")
    asked = [
        (form, ask) for form in range(len(template.forms)) for ask in range(len(template.forms[form].asks))
    ]
    used: set[frozenset[str]] = set()
    written: list[Case] = []
    for time in range(rounds):
        least, kinds = _DISTANCES[template.category]
        for place, (form, ask) in enumerate(asked):
            plot = _Plot(template, form, ask, rng, used)
            # Distances take turns over templates and questions, so that neither goes with a distance.
            written += plot.threads(least + (number + place + time) % kinds, f"{time}")
        # 0, 1, 1, 0 over the templates: in a file where kinds of form alternate, each kind has both equally.
        form, ask = asked[(number + number // 2 + time) % len(asked)]
        written += _Plot(template, form, ask, rng, used).controls(f"{time}")
    return written


class _Plot:
    """One form and question of a template with its values drawn: a pair of cases can be written from it."""

    def __init__(
        self, template: Template, form: int, ask: int, rng: random.Random, used: set[frozenset[str]]
    ) -> None:
        self.template, self.rng = template, rng
        self.form: Form = template.forms[form]
        self.ask = self.form.asks[ask]
        self.question = self.ask.question
        self.name = f"{form}.{ask}"
        self.values = self._draw(used)

    def threads(self, distance: int, number: str) -> list[Case]:
        """The case and its twin, with `distance` exchanges before the last turn."""
        said = list(self.form.turns)
        if len(said) % 2:
            said.append(self.rng.choice(self._unrelated("answer")).assistant)
        needs = tuple(
            place
            for place, text in enumerate(self.form.turns)
            if place % 2 == 0 or "{1}" in text or "{2}" in text
        )
        kind = "pause" if self.template.category == "constraint" else "chat"
        for filler in self.rng.sample(self._unrelated(kind), distance):
            said += [filler.user, filler.assistant]
        said.append(self.question)
        return self._pair(self.template.category, f"{self.template.id}/{self.name}.{number}", said, needs)

    def controls(self, number: str) -> list[Case]:
        """The same question with all that it needs in its own turn, and its twin."""
        told = self.form.alone
        if not told:
            parts = list(self.form.turns[::2])
            if self.template.category == "consistency":
                parts = [f'Earlier you told me this: "{self.form.turns[1]}"']
            told = " ".join([*parts, self.question])
        return self._pair("single", f"single/{self.template.id}/{self.name}.{number}", [told], (0,))

    def _draw(self, used: set[frozenset[str]]) -> tuple[Value, Value]:
        for _ in range(1000):
            if self.template.choices:
                choice = self.rng.choice(self.template.choices)
                question, (one, two) = choice.question, choice.values
            else:
                question = ""
                one, two = self.rng.sample(pools()[self.template.values], 2)
            mark = frozenset((question, self.name if question else "", one.say, two.say))
            if mark not in used:
                used.add(mark)
                self.question = self.question.replace("{q}", question)
                return one, two
        raise ValueError(f"template {self.template.id} has no more pairs of values; ask for fewer rounds")

    def _unrelated(self, kind: str) -> list[Filler]:
        forms = [form for value in self.values for form in (value.say, *value.accepted)]
        return [
            row
            for row in fillers(kind)
            if not any(mentions(f"{row.user} {row.assistant}", form) for form in forms)
        ]

    def _pair(self, category: Category, name: str, said: list[str], needs: tuple[int, ...]) -> list[Case]:
        one, two = self.values
        written = []
        for twin, (first, second) in (("a", (one, two)), ("b", (two, one))):
            right, wrong = (first, second) if self.ask.slot == 1 else (second, first)
            texts = [text.replace("{1}", first.say).replace("{2}", second.say) for text in said]
            turns = [
                Turn(role="assistant" if place % 2 else "user", content=text)
                for place, text in enumerate(texts)
            ]
            written.append(
                Case(
                    id=f"{name}{twin}",
                    pair=name,
                    template=self.template.id,
                    category=category,
                    about=self.template.category,
                    messages=tuple(turns),
                    needs=needs,
                    check=_check(right, wrong, self.ask.never),
                    right=self.ask.reply.replace("{}", right.replied),
                    wrong=self.ask.reply.replace("{}", wrong.replied),
                    values=(right.say, wrong.say),
                )
            )
        return written


def _check(right: Value, wrong: Value, never: Sequence[str]) -> Check:
    mine = {form if right.case else form.lower() for form in right.accepted}
    # Two styles of one answer share its words; then their number tells them apart.
    others = [form for form in wrong.accepted if (form if right.case else form.lower()) not in mine]
    others += [form.replace("{}", right.say) for form in never]
    return Check(
        any_of=right.accepted, none_of=tuple(others), case=right.case, least=right.least, most=right.most
    )
