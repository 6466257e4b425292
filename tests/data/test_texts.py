"""The packaged texts: conversations of two, and articles without markup."""

from __future__ import annotations

import re

from candor.data.articles import article_documents
from candor.data.chitchat import chitchat_documents, chitchat_turns


def test_conversations_are_two_people_who_take_turns() -> None:
    documents = {document.id: document for document in chitchat_documents()}
    assert len(documents) == 4017
    count = 0
    for identity, turns in chitchat_turns():
        assert len(turns) > 1
        assert all(turn == turn.strip() and "\n" not in turn for turn in turns)
        lines = documents[f"chitchat/{identity}"].text.split("\n")
        assert [line[:3] for line in lines] == ["A: ", "B: "] * (len(turns) // 2) + ["A: "] * (len(turns) % 2)
        count += len(turns)
    assert count > 70_000


def test_articles_are_whole_and_hold_no_markup() -> None:
    articles = {document.title: document.text for document in article_documents()}
    assert len(articles) == 106
    assert articles["Anarchism"].startswith("Anarchism is a political philosophy")
    text = "\n".join(articles.values())
    assert len(text.encode()) > 2_500_000
    for markup in (r"\[\[", r"\]\]", r"\{\|", r"</?ref", r"^==", r"&nbsp;"):
        assert not re.search(markup, text, flags=re.M), markup
    assert len(re.findall(r"\{\{|\|", text)) < 20
    assert "References" not in [line.strip() for line in text.split("\n")]
