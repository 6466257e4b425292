"""The little English that turning sentences into questions needs: verbs, class nouns, persons, places.

Closed lists and spelling rules; a word they do not know makes a sentence unusable, not a question wrong.
"""

from __future__ import annotations

import re


def listed(words: str) -> list[str]:
    """The words of a text."""
    return words.split()


def _names(text: str) -> list[str]:
    return [" ".join(name.split()) for name in text.split(",")]


AUXILIARIES = frozenset(
    listed(
        """
    is are was were has have had can could will would may might must shall should
    """
    )
)

# Names that are asked for by "which country", not by "who" or "what".
COUNTRIES = frozenset(
    _names(
        """
    Afghanistan, Albania, Algeria, Angola, Argentina, Armenia, Australia, Austria, Austria-Hungary,
    Azerbaijan, Bangladesh, Belarus, Belgium, Bolivia, Botswana, Brazil, Britain, Bulgaria, Burma,
    Cambodia, Cameroon, Canada, Chad, Chile, China, Colombia, Croatia, Cuba, Cyprus, Czechoslovakia,
    Denmark, East Germany, Ecuador, Egypt, England, Eritrea, Estonia, Ethiopia, Finland, France,
    Germany, Ghana, Great Britain, Greece, Guatemala, Haiti, Hungary, Iceland, India, Indonesia,
    Iran, Iraq, Ireland, Israel, Italy, Jamaica, Japan, Kazakhstan, Kenya, Kuwait, Laos, Latvia,
    Lebanon, Libya, Lithuania, Malaysia, Mali, Mexico, Mongolia, Morocco, Mozambique, Myanmar,
    Namibia, Nepal, Netherlands, New Zealand, Nicaragua, Nigeria, North Korea, Norway, Pakistan,
    Panama, Paraguay, Peru, Philippines, Poland, Portugal, Prussia, Qatar, Romania, Russia, Rwanda,
    Saudi Arabia, Scotland, Senegal, Serbia, Singapore, Slovakia, Slovenia, Somalia, South Africa,
    South Korea, Soviet Union, Spain, Sri Lanka, Sudan, Sweden, Switzerland, Syria, Taiwan,
    Tanzania, Thailand, Tunisia, Turkey, U.S., UK, US, USA, USSR, Uganda, Ukraine, United Kingdom,
    United States, Uruguay, Uzbekistan, Venezuela, Vietnam, Wales, West Germany, Yemen, Yugoslavia,
    Zambia, Zimbabwe
    """
    )
)

# Verbs that take do-support, present third person -> base form.
PRESENT = {
    word + ("es" if re.search(r"(?:s|sh|ch|x|o)$", word) else "s")
    if not word.endswith("ry")
    else word[:-1] + "ies": word
    for word in listed(
        """
    absorb act add address affect allow appear apply appoint argue assist attach attract award
    become begin believe belong benefit boil border bring build burn carry catch cause change choose
    claim collect combine come complete comprise conclude conduct connect consider consist consume
    contain control convert cover create date decide define demand deny depend derive describe
    determine develop devote differ discover dissolve drain elect employ enable encourage ensure
    enter establish examine exist explain export express extend face fall feature feed find fish
    flow fly focus follow form gain generate get give go govern grow handle happen head help hold
    host house identify imply import improve include increase indicate influence involve keep know
    lack lead leave let lie limit link live lose maintain make manage match mean measure meet melt
    move need obtain occupy occur offer open operate oppose order oversee own pass pay perform play
    point possess power prepare present prevent process produce promote propose protect prove
    provide publish pull push put raise range rank reach react receive recognise recognize recommend
    reduce refer reflect regulate reject relate release remain remove replace report represent
    reproduce require resist respond result rise run save see seek sell send serve set shape share
    show sit span speak specialise specialize split stand start state stop store study succeed
    suffer suggest supply support swim take teach tell tend think transport travel treat turn use
    vary view visit wear win work write
    """
    )
}

_IRREGULAR = dict(
    pair.split(":")
    for pair in listed(
        """
    became:become began:begin broke:break brought:bring built:build bought:buy caught:catch
    chose:choose came:come drew:draw drove:drive fell:fall felt:feel fought:fight found:find
    fled:flee flew:fly forbade:forbid gave:give went:go grew:grow held:hold kept:keep knew:know
    laid:lay led:lead left:leave lent:lend lost:lose made:make meant:mean met:meet paid:pay ran:run
    rose:rise said:say saw:see sold:sell sent:send shook:shake shot:shoot sank:sink sat:sit
    spoke:speak spent:spend stood:stand stole:steal struck:strike swore:swear taught:teach took:take
    told:tell thought:think threw:throw understood:understand won:win wrote:write wore:wear
    withdrew:withdraw underwent:undergo overthrew:overthrow sought:seek died:die tied:tie lied:lie
    oversaw:oversee agreed:agree freed:free defeated:defeat
    """
    )
)
_NOT_PAST = frozenset(
    listed(
        """
    need seed speed feed indeed breed weed deed exceed proceed succeed hundred red bed united shed
    aged
    """
    )
)


_PARTICIPLES = frozenset(
    listed(
        """
    been become begun broken brought built bought caught chosen come done drawn driven fallen felt
    fought found given gone grown had held kept known laid led left lent lost made meant met
    overthrown paid put read run said seen sent set shown shot sold spent split spoken spread stood
    struck sung sworn taken taught thought thrown told torn understood won withdrawn worn written
    born cut hit hurt let overseen undergone sought shrunk sunk hidden frozen forbidden bound
    """
    )
)


def is_participle(word: str) -> bool:
    """Whether a lower-case word is (spelled like) a past participle."""
    return word in _PARTICIPLES or (is_past(word) and word.endswith("ed"))


def is_past(word: str) -> bool:
    """Whether a lower-case word is (spelled like) a past tense."""
    return word in _IRREGULAR or (
        len(word) > 4 and word.endswith("ed") and word.isalpha() and word.islower() and word not in _NOT_PAST
    )


def base_form(word: str) -> str:  # noqa: PLR0911
    """The infinitive of a past tense: "created" -> "create", "took" -> "take", "stopped" -> "stop"."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ied"):
        return word[:-3] + "y"
    stem = word[:-2]
    if word.endswith(("reed", "fled")) or len(word) < 5:
        return word[:-1]
    if stem in _NO_E:
        return stem
    if stem in _ADD_E or _SILENT_E.search(stem):
        return stem + "e"
    if re.search(r"([bdgmnprt])\1$|(?:[aeiou][^aeiou]+[eo]|trave|ance)ll$", stem) and not re.search(
        r"add$|enroll$", stem
    ):
        return stem[:-1]
    return stem


# Endings of stems that lost an "e" to "-ed"; the exceptions both ways are listed below.
_SILENT_E = re.compile(
    r"(?:[cuvz]|[cr]eat|onven|[bcdfgkpstz]l|[^e]at|ut|[^aeiou]it(?<=[nv]it)|[^ae]ir|[^o]ur|[^ei]ar|[^aoe]in|[^eou]s|[aeiou]us|[dr]g"
    r"|[ae]g|[ai]ng|[^a]id|ud|[^eo]ad|um|yp|ib|eth|[^aeiou]iz|is)$"
)
_NO_E = frozenset(
    listed(
        """
    treat repeat defeat visit limit inherit exhibit inhabit prohibit deposit edit credit profit
    recruit join gain explain train contain remain obtain maintain claim focus discuss appear repair
    occur pass press belong return turn enter offer load lead bring sign campaign cover deliver join
    begin rain fail detain retain sustain ruin label murder hear clear fear air pair suit gas bias
    profit submit sing ring long hang rain attain entertain constrain retail detail travel counsel
    """
    )
)
_ADD_E = frozenset(
    listed(
        """
    writ invit unit cit excit ignit recit promot devot vot not quot complet delet compet execut
    contribut cultivat hop cop shap escap tap typ rul schedul fil smil compil whil til handl settl
    battl styl bak mak tak evok provok provid decid divid resid guid preced conced trad invad
    persuad upgrad nam fram blam assum consum resum presum nominat welcom becom acknowledg judg
    bridg arrang chang rang exchang challeng reveng involv believ receiv propos oppos impos expos
    clos los us caus paus refus accus excus releas leas pleas purchas increas decreas practis promis
    premis advis revis supervis rais prais cours purs nurs endors sens licens condens eras bas
    describ prescrib prob prov mov improv approv remov hous fus ced seced explor restor stor ignor scor ador
    """
    )
)

CLASS_NOUNS = frozenset(
    listed(
        """
    university college school institute academy company corporation party court parliament council
    committee commission treaty act agreement convention war battle revolution river lake island
    mountain valley county province state city district region empire kingdom dynasty republic
    church cathedral museum library theatre stadium airport bridge park bay sea ocean desert
    peninsula highway road street theorem theory law principle prize award language army
    organization organisation association society agency bank newspaper magazine magazine expedition
    crisis declaration festival hospital building tower hall station canal group union foundation
    ministry department bureau system model method algorithm festival team club league cup bowl
    protocol network family
    """
    )
)

_FIRST_NAMES = frozenset(
    listed(
        """
    Abraham Adam Adolf Albert Alexander Alexandre Alfred Alice Amartya Andrew Anna Anne Anthony
    Antoine Arthur Barack Benjamin Bernard Bill Bob Brian Carl Catherine Charles Christian
    Christopher Claude Daniel David Dennis Diana Donald Douglas Edgar Edmund Edward Elizabeth Ellen
    Emily Emma Enrico Eric Ernest Eugene Ferdinand Francis Frank Franklin Franz Fred Frederick
    Friedrich Galileo Gary George Gerald Gottfried Gregory Gustav Hannah Hans Harold Harry Heinrich
    Helen Henri Henry Herbert Howard Hugh Humphry Ian Isaac Jack Jacob Jacques James Jan Jane Janet
    Jason Jean Jeff Jeffrey Jennifer Jerry Jim Joe Johann John Jonathan Jons Joseph Jules Julia
    Julius Karl Kate Kenneth Kevin Larry Laura Lawrence Leon Leonard Leonardo Lewis Linda Louis
    Ludwig Lyndon Margaret Maria Marie Mark Martha Martin Mary Matthew Maurice Max Michael Michel
    Mohandas Muhammad Napoleon Nancy Neil Nelson Nicolas Nikola Oliver Oscar Otto Patrick Paul Peter
    Philip Philippe Pierre Ralph Raymond Rebecca Richard Robert Roger Ronald Rosa Roy Russell Ruth
    Sam Samuel Sarah Scott Sigmund Simon Sophie Stanley Stephen Steve Steven Susan Theodore Thomas
    Tim Tom Tony Vincent Victor Walter Warren Wilhelm William Winston Wolfgang
    """
    )
)
_HONORIFICS = frozenset(
    listed(
        """
    Mr Mrs Ms Dr Sir Lord Lady King Queen Emperor Empress Prince Princess President Pope General
    Admiral Professor Saint Senator Governor Chancellor Duke Bishop Sultan
    Khan Tsar Judge
    """
    )
)


def looks_like_person(name: str, text: str) -> bool:
    """Whether a name is a person's, by a first name, a title, or what the passage says of it."""
    words = [word.rstrip(".") for word in name.split()]
    if not words or len(words) > 5 or words[-1].lower() in CLASS_NOUNS or " of the " in name:
        return False
    if words[0] in _FIRST_NAMES or words[0] in _HONORIFICS:
        return words[-1] not in ("House", "Street", "Bay", "Sound", "Fort", "Coast") and len(words) > 1
    at = re.escape(name)
    if re.search(
        rf"(?<!the )(?<!The )\b{at},? (?:who|was born|wrote|died|married)\b",
        text,
    ):
        return True
    honorific = "|".join(_HONORIFICS)
    return (
        re.search(
            rf"\b(?:{honorific}|physicist|chemist|historian|philosopher|scientist|biologist|economist|architect|engineer|writer|poet|explorer|mathematician|inventor|author|founder|leader)\.? {at}\b",  # noqa: E501
            text,
        )
        is not None
    )


def looks_like_place(name: str, text: str) -> bool:
    """Whether a name stands where places stand: after "in", or before or after "city of", "north of" …."""
    at = re.escape(name)
    if looks_like_person(name, text):
        return False
    head = name.rsplit(maxsplit=1)[-1].lower()
    if head in (
        "city",
        "county",
        "island",
        "islands",
        "valley",
        "peninsula",
        "province",
        "bay",
        "beach",
        "park",
        "basin",
        "desert",
    ):
        return True
    if re.search(
        rf"\b(?:city|town|village|province|county|state|port|capital|region|colony|north|south|east|west|northwest|southeast|northeast|southwest) (?:of|in) (?:the )?{at}\b",  # noqa: E501
        text,
    ):
        return True
    return (
        re.search(rf"\b(?:in|near|outside|throughout|across) {at}\b(?! [A-Z])", text) is not None
        and head not in CLASS_NOUNS
        and not name.isupper()
    )


# Past tenses that people and bodies of people are the subjects of.
ACTS = frozenset(
    listed(
        """
        led agreed described argued claimed wrote said stated believed proposed refused fought signed invaded defeated
        suggested thought felt announced declared congratulated ordered asked promised rejected recommended concluded
        ruled held invented discovered founded designed painted composed translated requested negotiated opposed
        criticized criticised denounced advocated married studied taught attended joined returned fled moved settled
        won conquered appointed named elected outlined introduced studied rebelled resigned ascended succeeded visited
        """  # noqa: E501
    )
) - {"claimed", "held", "moved", "settled", "succeeded"}
PERSON_NOUN = re.compile(
    r"\b(?:president|emperor|empress|king|queen|leader|minister|director|physician|governor|founder|chairman|professor"
    r"|scientist|scholar|author|writer|member|general|commander|physicist|chemist|historian|philosopher|mathematician"
    r"|engineer|architect|explorer|poet|bishop|pope|prince|princess|officer|student|teacher|doctor|merchant|soldier"
    r"|settler|refugee|worker|woman|women|man|men|people|children|citizens)s?\b"
)

BASE_FORMS = frozenset(PRESENT.values())
# With those of irregular past tenses.
VERBS = BASE_FORMS | frozenset(_IRREGULAR.values())
