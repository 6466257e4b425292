"""Whole Wikipedia articles (CC BY-SA 3.0): a piece of a dump that gensim's package carries for its tests."""

from __future__ import annotations

import bz2
import importlib.metadata
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from candor.core.errors import CandorError
from candor.data.facts.entry import package
from candor.data.types import Document

_FILE = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
# What mwparserfromhell leaves in the text or takes for text.
_BEFORE = re.compile(
    r"<ref[^>/]*/>|<ref\b.*?</ref>|<!--.*?-->|<(gallery|math|timeline)\b.*?</\1>", re.S | re.I
)
_PICTURE = re.compile(r"\[\[(?:File|Image):(?:[^\[\]]|\[\[[^\[\]]*\]\])*\]\]", re.I)
_LINKS_ELSEWHERE = re.compile(r"\[\[(?:Category|[a-z]{2,3}(?:-[a-z]+)*):[^\]]*\]\]", re.I)
_TABLE = re.compile(r"\{\|(?:(?!\{\|).)*?\|\}", re.S)
_LAST_SECTIONS = re.compile(
    r"^=+ *(?:see also|references|notes|further reading|external links|bibliography|footnotes|sources) *=+$"
    r".*",
    re.S | re.I | re.M,
)
_HEADING = re.compile(r"^=+ *(.*?) *=+$", re.M)


def article_documents() -> Iterator[Document]:
    """Yield each article as plain text: no tables, pictures, references or lists of links.

    Raises:
        CandorError: gensim or mwparserfromhell is not installed.
    """
    parser = package("mwparserfromhell")
    for title, markup in _pages():
        if markup[:9].upper() == "#REDIRECT":
            continue
        text = _BEFORE.sub("", markup)
        text = _LINKS_ELSEWHERE.sub("", _PICTURE.sub("", text))
        while (shorter := _TABLE.sub("", text)) != text:  # tables within tables
            text = shorter
        text = _LAST_SECTIONS.sub("", text)
        text = str(parser.parse(text).strip_code(normalize=True, collapse=True, keep_template_params=False))
        text = _HEADING.sub(r"\1", text)
        text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()
        if text:
            yield Document(id=f"wikipedia/{title}", title=title, text=text, source="gensim")


def _pages() -> Iterator[tuple[str, str]]:
    """Titles and markup of the dump's articles.

    gensim itself, which brings libraries that nothing here needs, is never imported.
    """
    try:
        file = importlib.metadata.distribution("gensim").locate_file(_FILE)
        dump = bz2.open(str(file))  # noqa: SIM115 (closed below)
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise CandorError(
            "the embedded articles come with the package 'gensim', which is not installed",
            fix="pip install --no-deps gensim (make setup does this), or leave this source out",
        ) from error
    with dump:
        title = ""
        for _, element in ET.iterparse(dump):
            name = element.tag.rpartition("}")[2]
            if name == "title":
                title = element.text or ""
            elif name == "text" and ":" not in title:
                yield title, element.text or ""
            if name == "page":
                element.clear()
