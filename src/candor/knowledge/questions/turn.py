"""Turn a sentence round into questions about one of its spans, by rules.

A 135M model that is asked to write a question for a chosen answer ignores the answer more often than not.
So the sentence itself supplies the words: "The first meeting took place on 12 May 1999." gives "On what
date did the first meeting take place?". The rules are those of classic question generation (over-generate
by transformation, then rank; Heilman & Smith 2010), kept to the clauses that they can turn safely: when
in doubt they return nothing, for a passage has other spans.
"""

from __future__ import annotations

import re

from candor.knowledge.questions.clauses import (
    COMMA,
    GAP,
    PRONOUN,
    main_clause,
    split_clause,
    subject_is_clear,
)
from candor.knowledge.questions.forms import Context, Form
from candor.knowledge.questions.inversion import inverted, lowered
from candor.knowledge.questions.predicates import predicate_questions
from candor.knowledge.questions.question_words import where_or_when
from candor.knowledge.questions.spans import Span
from candor.knowledge.questions.subjects import subject_questions
from candor.knowledge.questions.topic import name_topic, resolved, scoped


def turn(text: str, span: Span, title: str = "", *, who: str | None = None) -> list[Form]:
    """Questions whose answer is `span`, made from its sentence; empty where no rule is safe.

    Args:
        text: the passage.
        span: one of its spans.
        title: the document's title, for "It", "Its" and "the university" that stand for it.
        who: "person", "place" or "thing", where a model has said what a name is; rules guess otherwise.
    """
    start, end = span.sentence
    sentence = text[start : span.start] + GAP + text[span.end : end]
    kept = main_clause(resolved(sentence, text[:start], title))
    if kept is None:
        return []
    adjunct, clause = kept
    context = Context(span, text, title, who)
    if GAP in adjunct:
        forms = _adjunct_questions(adjunct, clause, context)
    else:
        forms = _clause_questions(clause, context)
        if adjunct and not PRONOUN.search(adjunct):
            tail = " " + adjunct[0].lower() + adjunct[1:]
            forms = [Form(form.question + tail, form.kind) for form in forms]
    return [
        Form(_capital(scoped(name_topic(form.question, context), context)) + "?", form.kind)
        for form in forms
        if GAP not in form.question
    ]


def _adjunct_questions(adjunct: str, clause: str, context: Context) -> list[Form]:
    """The answer is in the leading adjunct: "In 1890, the university was founded"."""
    text = context.text
    match = re.fullmatch(rf"(\w+(?: of)?) (?:the )?{GAP}", adjunct)
    parts = split_clause(clause)
    if match is None or parts is None or not subject_is_clear(parts[0]):
        return []
    phrase = where_or_when(match.group(1), context)
    turned = inverted(lowered(parts[0], parts[1], text, context.title), parts[1], parts[2])
    if phrase is None or turned is None:
        return []
    return [Form(f"{phrase} {turned[0]} {turned[1]}".strip(), phrase)]


def _clause_questions(clause: str, context: Context) -> list[Form]:
    if match := re.match(rf"((?:The|A|An|the|a|an) )?{GAP} ", clause):
        return subject_questions(clause[match.end() :], context)
    parts = split_clause(clause)
    if parts is None or GAP in parts[0] or not subject_is_clear(parts[0]):
        return []
    subject, verb, rest = parts
    subject = lowered(subject, verb, context.text, context.title)
    return predicate_questions(subject, verb, rest, context)


def _capital(text: str) -> str:
    text = re.sub(r"\s+", " ", text.replace(COMMA, ",")).strip()
    return text[:1].upper() + text[1:]
