"""The phrases that `candor.chat.tone` takes for hedges and boosters, with their false friends left out."""

# ruff: noqa: E501  (one wording a line reads better than a wrapped pattern)
from __future__ import annotations

import re
from collections.abc import Sequence

_ABLE = r"(?:\w+ly\s+)?(?:\w+ed|seen|heard|found|made|said|bought|read|told|taken|given|built|grown|used)\b"

_HEDGES = (
    r"(?:i|we)(?: do|'d)? (?:think|believe|guess|suppose|suspect|assume|imagine|reckon)(?! (?:in|of|about|so much)\b)",
    r"i(?:'d| would) (?:say|guess|go (?:for|with)|imagine|expect)",
    r"my (?:best |first |own )?(?:guess|hunch)",
    r"(?:at a|best|a wild|an educated) guess",
    r"maybe|perhaps|probably|possibly|presumably|supposedly|apparently|conceivably|arguably|allegedly|reportedly",
    r"(?<!a )(?:un)?likely(?! story)",
    # "in may", written small, is the month.
    r"(?<!\bin )(?<!\bof )(?<!\bon )(?<!\blast )(?<!\bnext )(?<!\bthis )(?-i:may)(?! (?:i|we|day|\d)\b)(?!\s*[,.;!?]|$)",
    r"(?<!\bi )(?<!\ball )(?<!\bthe )(?<!\bhis )(?<!\bher )(?<!\btheir )(?<!\bits )(?<!military )might"
    r"(?! (?:i|we|you)\b)(?!\s*[,.;!?]|$)",
    r"i might (?:be|have)",
    rf"could (?:well |also |possibly )?(?:be|have been)(?! {_ABLE})",
    r"(?:it|that|this|there) (?:seems|appears)|seems (?:to|like|as if)|appears to",
    r"not (?:\w+ly |quite |too |so |at all |\w+ percent )?(?:sure|certain|confident|positive)|unsure|uncertain",
    r"(?:pretty|fairly|quite|reasonably|almost|nearly) (?:sure|certain|confident)",
    r"(?:as far as i|so far as i|from what i|for all i) (?:know|can tell|remember|recall|understand|gather)",
    r"to (?:my knowledge|the best of my (?:knowledge|memory)|my mind)|if memory serves|off the top of my head",
    r"if i(?:'m| am) not (?:mistaken|wrong)|unless i(?:'m| am) (?:mistaken|wrong)|don't quote me|correct me if",
    r"if i (?:remember|recall)(?: \w+ly| right)?|if i had to (?:guess|say|choose|pick)",
    r"i (?:could|may|might) be (?:wrong|mistaken)|(?:take (?:this|that|it) )with a grain of salt",
    r"(?:it's|it is|it is also|is|quite|well) possible that|there(?:'s| is) a (?:\w+ )?chance|not necessarily",
    r"i seem to (?:remember|recall)|i have a feeling|i(?:'m| am) guessing|i vaguely (?:remember|recall)",
    r"in my (?:opinion|view)|some (?:say|believe|think)|would have to guess|sort of (?:sure|certain)",
)
_NO = r"(?<!\bnot )(?<!n't )(?<!\bnever )"
_BOOSTERS = (
    # As the answer to a request ("Certainly! Here is a poem") these only say yes.
    rf"{_NO}(?<!almost )(?<!nearly )(?:definitely|certainly|absolutely|surely)(?!\s*[!,.]? (?:here|i can|i'll|i'd|let me))",
    rf"{_NO}(?:undoubtedly|unquestionably|indisputably|undeniably|obviously|evidently|unmistakably|assuredly)",
    r"(?<!matter )of course(?! (?:i can|i'll|i'd))(?!\s*[!,.] (?:here|i can|i'll|i'd|let me))",
    r"(?<!\bsee )(?<!\bhear )(?<!\bseen )(?<!\bheard )(?<!\bspeak )(?<!\bthink )(?<!\bwrite )(?<!\bmore )(?<!\bvery )"
    r"(?<!\bas )(?<!\bso )(?<!\bexplain )(?<!\bread )(?<!\bshow )(?<!\bstated )(?<!\bremember )clearly(?!\s*[.;!?]|$)"
    r"(?! (?:marked|visible|defined|labelled|labeled|written|audible))",
    rf"{_NO}(?<!\bas )(?<!almost )(?<!nearly )always",
    r"(?:without|beyond)(?: a| any)?(?: shadow of a| reasonable)? (?:doubt|question)|(?:there is |there's )?no (?:doubt|question)"
    r"(?! (?:is|was) (?:too|stupid))",
    r"(?:it is|it's|that is|that's) (?:a )?(?:well[- ]known|known|established|proven)? ?fact(?: that)?|as (?:everyone|everybody) knows",
    r"(?:everyone|everybody) knows|(?:it's|it is) (?:obvious|clear|certain|undeniable|evident) that|needless to say",
    r"i(?:'m| am) (?:very |absolutely |completely |totally |quite literally |\d+ ?(?:%|percent) )?(?:sure|certain|positive|confident)"
    r"(?! (?:i(?:'ve| have) (?:never|no)))",
    r"for (?:sure|certain)|i know (?:that|for a fact)|trust me|believe me|rest assured|you can be (?:sure|certain)|i guarantee",
    r"(?:a )?hundred percent|100 ?(?:%|percent)(?= (?:sure|certain|true|right|correct))|by all means|mark my words",
    rf"{_NO}(?:indeed|clear-cut|beyond dispute)",
)


def _lexicon(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w'])(?:{'|'.join(f'(?:{pattern})' for pattern in patterns)})(?!\w)", re.I)


HEDGE, BOOSTER = _lexicon(_HEDGES), _lexicon(_BOOSTERS)
