"""Countries, states and the well-known cities that share their names with others.

Only enough to see that "Paris, Texas" is not the capital of France while "Paris, France" is; a place that
is not listed is given the benefit of the doubt. Names are folded (see `text.fold`).
"""

# ruff: noqa: E501  (tables)
from __future__ import annotations

COUNTRIES = frozenset(
    x.strip()
    for x in """afghanistan, albania, algeria, andorra, angola, argentina, armenia, australia, austria, azerbaijan, bahamas, bahrain,
bangladesh, barbados, belarus, belgium, belize, benin, bhutan, bolivia, bosnia and herzegovina, botswana, brazil, brunei, bulgaria,
burkina faso, burundi, cambodia, cameroon, canada, cape verde, chad, chile, china, colombia, comoros, congo, costa rica, croatia, cuba,
cyprus, czech republic, czechia, denmark, djibouti, dominica, dominican republic, east timor, ecuador, egypt, el salvador, england,
equatorial guinea, eritrea, estonia, eswatini, ethiopia, fiji, finland, france, gabon, gambia, georgia, germany, ghana, greece, grenada,
guatemala, guinea, guyana, haiti, honduras, hungary, iceland, india, indonesia, iran, iraq, ireland, israel, italy, ivory coast, jamaica,
japan, jordan, kazakhstan, kenya, kiribati, kosovo, kuwait, kyrgyzstan, laos, latvia, lebanon, lesotho, liberia, libya, liechtenstein,
lithuania, luxembourg, madagascar, malawi, malaysia, maldives, mali, malta, mauritania, mauritius, mexico, micronesia, moldova, monaco,
mongolia, montenegro, morocco, mozambique, myanmar, namibia, nauru, nepal, netherlands, new zealand, nicaragua, niger, nigeria,
north korea, north macedonia, northern ireland, norway, oman, pakistan, palau, palestine, panama, papua new guinea, paraguay, peru,
philippines, poland, portugal, qatar, romania, russia, rwanda, samoa, san marino, saudi arabia, scotland, senegal, serbia, seychelles,
sierra leone, singapore, slovakia, slovenia, somalia, south africa, south korea, south sudan, spain, sri lanka, sudan, suriname, sweden,
switzerland, syria, taiwan, tajikistan, tanzania, thailand, togo, tonga, tunisia, turkey, turkmenistan, tuvalu, uganda, ukraine,
united arab emirates, uae, united kingdom, uk, great britain, united states, united states of america, usa, us, uruguay, uzbekistan,
vanuatu, vatican city, venezuela, vietnam, wales, yemen, zambia, zimbabwe""".replace("\n", " ").split(",")
)
US_STATES = frozenset(
    x.strip()
    for x in """alabama, alaska, arizona, arkansas, california, colorado, connecticut, delaware, florida, georgia, hawaii, idaho, illinois,
indiana, iowa, kansas, kentucky, louisiana, maine, maryland, massachusetts, michigan, minnesota, mississippi, missouri, montana, nebraska,
nevada, new hampshire, new jersey, new mexico, new york, north carolina, north dakota, ohio, oklahoma, oregon, pennsylvania,
rhode island, south carolina, south dakota, tennessee, texas, utah, vermont, virginia, washington state, west virginia, wisconsin,
wyoming""".replace("\n", " ").split(",")
)
PROVINCES = frozenset(
    [
        "ontario",
        "quebec",
        "british columbia",
        "alberta",
        "manitoba",
        "saskatchewan",
        "nova scotia",
        "new brunswick",
        "new south wales",
        "victoria",
        "queensland",
    ]
)
REGIONS = COUNTRIES | US_STATES | PROVINCES
_US = "united states, usa, us, united states of america"
_UK = "united kingdom, uk, great britain, england"
# Where the namesake that questions mean by the bare name lies.
HOME = {
    city: frozenset(x.strip() for x in regions.split(","))
    for city, regions in {
        "paris": "france", "london": _UK, "athens": "greece", "rome": "italy", "berlin": "germany", "vienna": "austria",
        "dublin": "ireland", "cairo": "egypt", "moscow": "russia", "madrid": "spain", "lisbon": "portugal",
        "warsaw": "poland", "lima": "peru", "florence": "italy", "venice": "italy", "naples": "italy", "milan": "italy",
        "granada": "spain", "toledo": "spain", "cordoba": "spain", "valencia": "spain", "seville": "spain",
        "oxford": _UK, "birmingham": _UK, "manchester": _UK, "york": _UK, "bath": _UK, "bristol": _UK, "plymouth": _UK,
        "edinburgh": "scotland, united kingdom, uk, great britain", "perth": "australia", "melbourne": "australia, victoria",
        "sydney": "australia, new south wales", "st petersburg": "russia", "odessa": "ukraine", "alexandria": "egypt",
        "memphis": "tennessee, " + _US, "boston": "massachusetts, " + _US, "philadelphia": "pennsylvania, " + _US,
        "hollywood": "california, " + _US, "las vegas": "nevada, " + _US, "kingston": "jamaica", "georgetown": "guyana",
        "santiago": "chile", "san jose": "costa rica, california, " + _US, "stockholm": "sweden", "geneva": "switzerland",
        "hamburg": "germany", "frankfurt": "germany", "bethlehem": "palestine", "tripoli": "libya", "damascus": "syria",
        "portland": "oregon, maine, " + _US, "houston": "texas, " + _US, "miami": "florida, " + _US, "palermo": "italy",
    }.items()
}  # fmt: skip


def conflicts(place: str, region: str, known: str) -> bool:
    """Whether "place, region" is another place than the bare name in a question means.

    Args:
        place: folded gold answer.
        region: folded text after the comma.
        known: folded question and accepted answers; a region named there is right.
    """
    if region not in REGIONS or f" {region} " in f" {known} ":
        return False
    if region in HOME.get(place, frozenset()):
        return False
    if place in HOME:
        return True
    # "Cambridge, England" where the gold says "Cambridge, Massachusetts".
    return any(f"{place} {other}" in known for other in REGIONS if other not in (region, "us", "uk"))
