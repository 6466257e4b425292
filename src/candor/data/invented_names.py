"""Parts of invented names: two pools that share nothing, one for training and one for testing."""

from __future__ import annotations

from dataclasses import dataclass

# What the parts could spell though it exists: symbols of elements (also given up ones, such as Jl for
# joliotium), an element. A test holds every element, country and city of the packaged lists against all
# that the parts can spell.
REAL_NAMES = frozenset(
    {"Db", "Ds", "Dy", "Er", "Es", "Eu", "Ga", "Gd", "Ge", "Selenium", "Xe", "Yb", "Zn", "Zr"}
    | {"Dd", "Di", "Dp", "Dt", "Ec", "Em", "Gl", "Jl", "Jo", "Vi", "Vm", "Wo", "Yt"}
)


@dataclass(frozen=True)
class Parts:
    """Syllables and words that names are built from."""

    given_names: tuple[str, ...]
    surnames: tuple[str, ...]
    onsets: tuple[str, ...]  # begin a word, in capitals
    middles: tuple[str, ...]
    element_ends: tuple[str, ...]
    symbol_initials: str
    town_ends: tuple[str, ...]
    country_ends: tuple[str, ...]
    company_ends: tuple[str, ...]
    medicine_ends: tuple[str, ...]
    title_adjectives: tuple[str, ...]
    title_nouns: tuple[str, ...]
    animals: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Rare given names with surnames that seldom stand together, so that a real bearer is unlikely.
TRAIN_PARTS = Parts(
    given_names=_words(
        "Alaric Bettina Caspian Delphine Evander Fenella Gideon Hestia Ignatz Jocasta Kasimir Lavinia "
        "Mordecai  Nerissa Octavian Perpetua Quillon Rosamund Sylvain Thessaly Ulrich Vesper Wystan "
        "Xanthe Yorick Zelda"
    ),
    surnames=_words(
        "Abernook Brandvold Castelmoor Drummelow Eskerfield Farnwright Gundersholt Hollowby Ingervall "
        "Jasperling  Kestrelman Lindqvarn Mossgrave Nettleham Ostrovan Pellingford Quarrender Rathmoss "
        "Stellwagon Thornquill  Umbersley Vandermeek Wexcombe Yarrowdale Zimmerholt"
    ),
    onsets=_words("Bor Cal Dor Fen Gar Hel Jor Kel Lum Mar Nor Pel Ros Sel Tal Vor Wil Zan"),
    middles=_words("a an da e en i ia in la le na o ora ri u"),
    element_ends=_words("bium cium dium fium gium lium nium pium"),
    symbol_initials="JWXZ",
    town_ends=_words("bridge cliffe dorp feld holm mere minster stead wick"),
    country_ends=_words("dovia gania land lesia mark vania"),
    company_ends=("core Industries", "dex Group", "lane Partners", "nova Ltd", "tron Systems"),
    medicine_ends=_words("cillex dopril fenac lol mycin statin"),
    title_adjectives=_words("Broken Crimson Distant Frozen Golden Hidden Last Paper Quiet Wandering"),
    title_nouns=_words("Bridge Clock Daughter Garden House Lantern Mirror Road Song Winter"),
    animals=_words("beetle finch gecko orchid shrew"),
)

TEST_PARTS = Parts(
    given_names=_words(
        "Orson Ambrose Beatrix Cornelius Dagny Ephraim Florian Griselda Horatio Isolde Jarvis Kerensa "
        "Leopold  Mirabel Norbert Ottoline Phineas Ramona Septimus Tabitha Ursula Valentin Winifred "
        "Zebedee Ludmila Tiberius"
    ),
    surnames=_words(
        "Kovacs Ashgrove Birkenholt Crannock Dunmarrow Ellingsworth Feathergill Grimsholt Harrowgate "
        "Iversholm  Jellicoe Kirkendal Lorrimore Marchbanks Nightingrove Okonjar Pemberlane "
        "Quillfeather Ravenscourt Silverthwaite  Tamborell Underfell Vasselheim Wintergate Zelenkov"
    ),
    onsets=_words("Ald Brim Cran Dral Estr Fjal Glom Hask Ister Kras Lond Myr Ostr Quel Skov Thal Ulv Vald"),
    middles=_words("ab ar av eb ek el em er il im ir od ok or us"),
    element_ends=_words("anium erium onium orium ovium ydium"),
    symbol_initials="DEGQVY",
    town_ends=_words("borough combe dale gate haven mouth port ton ville"),
    country_ends=_words("ador esia istan onia uay ydia"),
    company_ends=("ax Holdings", "ent Logistics", "id Robotics", "on Foods", "yx Pharma"),
    medicine_ends=_words("amide azole etine idone izumab oxacin"),
    title_adjectives=_words("Burning Drowned Empty Forgotten Glass Iron Nameless Salt Silent Velvet"),
    title_nouns=_words("Archive Crown Feast Harbour Letter Oath Orchard Shadow Tower Witness"),
    animals=_words("bat frog heron moth salamander turtle"),
)
