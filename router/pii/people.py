"""Names of people and firms: words that are names, in places where names stand. Knows no grammar and no meanings.

A name counts for what speaks for it: a title, a greeting, an introduction or a signature before it; a given name that is
no ordinary word; a family name after it. Lists: `make_lists.py`. Scripts without capitals are read only after words that
announce a name.
"""

import gzip
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from router.pii import Recognize, Span
from router.pii.around import compiled, matches

_LISTS = Path(__file__).parent / "lists"
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*(?:_[^\W\d_]+)?\d{0,4}")
_PARTICLES = frozenset("van von der den de del della di da dos du la le el al bin ibn ben ter ten af zu".split())  # noqa: SIM905
_TITLES = frozenset(
    """mr mrs ms miss mx dr prof professor sir dame lady rev reverend judge herr frau fräulein monsieur madame mme mlle
    señor señora señorita sr sra signor signora dott don doña captain sergeant sgt lt lieutenant colonel col maj nurse
    doctor mister father sister uncle aunt auntie dña pan pani""".split()  # noqa: SIM905
)
_GREETINGS = frozenset(
    """hi hello hey dear hallo liebe lieber bonjour hola ciao salut guten cher chère estimado estimada querida querido
    caro cara olá oi thanks thx cheers greetings congratulations congrats goodbye bye welcome hej hei beste moin
    servus""".split()  # noqa: SIM905
)
_INTRODUCED = re.compile(
    r"(?:\b(?:name is|name's|named|called|name:|i am|i'm|i’m|this is|ich heiße|ich heisse|ich bin|mein name ist"
    r"|je m'appelle|je m’appelle|je suis|me llamo|mi nombre es|soy|mi chiamo|sono|meu nome é|me chamo|nazywam się"
    r"|jag heter|author:|by:|from:|to:|cc:|attn:|attendees?:|employee:|customer:|patient:|client:|contact:|applicant:"
    r"|signed:|signed by|written by|sincerely,|regards,|best,|cheers,|yours,|faithfully,|truly,|thanks,|grüßen,?|grüße,?"
    r"|gruß,?|cordialement,|saludos,|saluti,|wishes,))\s*$"
)
_SURE_INTRODUCTIONS = ("i am", "i'm", "i’m", "this is", "je suis", "ich bin", "soy", "sono", "called", "from:", "to:")
_PERSONAL_BEFORE = re.compile(
    r"\b(?:with|to|from|by|for|ask|tell|told|meet|met|see|call|email|contact|colleague|friend|son|daughter|brother|sister"
    r"|wife|husband|mother|father|boss|manager|landlord|patient|between|and|invite|help|remind|thank|thanks|sincerely|for my"
    r"|with my|cousin|neighbou?r|teacher|student|author|director|uncle|aunt|said|says|mit|an|von|für|avec|pour|con|para),?\s+$"
)
_MET_BEFORE = re.compile(
    r"\b(?:with|tell|told|ask|meet|met|call|colleague|friend|son|daughter|brother|sister|wife|husband|mother|father|boss"
    r"|manager|landlord|patient|between|cousin|neighbou?r|teacher|uncle|aunt|director|employee|doctor|lawyer),?\s+$"
)
_PERSONAL_AFTER = re.compile(
    r"^(?:['’]s\b|,? (?:said|says|told|asked|asks|wrote|will|would|could|can|should|has|had|is|was|and I|joined|who|went|lives"
    r"|works|wants|needs|called|thinks|likes|bought|made|gave|got|did|does|also|please|let|leverage)\b|, )"
)
# Capitalised words that follow greetings, titles or stand before a comma, and are nobody.
_NOBODY = frozenset(
    """there all team everyone everybody sir madam sirs world customer customers support friend friends folks guys
    colleague colleagues student students reader readers user users client member members mom dad mum grandma grandpa
    santa president minister ambassador senator chancellor king queen prince princess god lord lady general
    hiring manager committee editor editors valued community human resources department service morgen tag abend
    damen herren alle zusammen monde tous morning afternoon evening night siri alexa google cortana chatgpt claude gpt
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december spring summer autumn winter montag dienstag mittwoch donnerstag freitag samstag
    sonntag januar februar märz mai juni juli oktober dezember english german french spanish italian portuguese
    russian chinese japanese korean arabic hindi latin greek turkish dutch swedish polish american british european
    african asian indian christian muslim jewish islam buddhist catholic north south east west northern southern the
    please yes no ok okay thanks regards sincerely best cheers note notes chapter section figure table page part
    question answer problem solution step example theorem lemma proof definition introduction summary conclusion
    references appendix python java javascript ruby swift rust julia perl pascal ada scala haskell django flask
    react angular linux windows android ubuntu debian docker kubernetes oracle jenkins maven gradle apollo hermes
    markdown unicode ascii internet web email api sql html css json xml yaml csv pdf excel word outlook office
    mars venus earth jupiter saturn uranus neptune pluto mercury moon sun zeus apollo athena bible quran koran
    mercedes toyota honda ford tesla bmw audi volkswagen porsche ferrari jaguar lexus nissan samsung apple sony nokia
    dell intel nvidia amazon netflix facebook meta twitter instagram tiktok visa paypal ikea nike adidas siemens bosch
    marketing sales finance legal engineering research development product design operations security data cloud
    bank university college school institute hospital museum church street road avenue park lake river mountain
    bridge castle airport station hotel club league cup prize award war revolution republic kingdom empire union
    nations united states state city county province district island islands ocean sea bay beach valley hill mount
    saint san santa santo new old great big little red black white green blue gold silver first second third last
    alpha beta gamma delta sigma omega lambda epsilon theta data science computer machine learning deep neural
    is are was were be been has have had do does did will would could should can may might must shall""".split()  # noqa: SIM905
)
_PLACES = frozenset(
    """afghanistan africa alabama alaska albania algeria america amsterdam argentina arizona arkansas armenia asia
    athens atlanta austin australia austria azerbaijan baghdad bangkok bangladesh barcelona beijing belgium belgrade
    berlin bern bolivia bologna bombay bonn boston brazil brisbane bristol britain brooklyn brussels bucharest budapest
    bulgaria burma cairo calcutta california cambodia cambridge cameroon canada carolina casablanca catalonia chad chicago
    chile china cleveland cologne colombia colorado columbia connecticut copenhagen croatia cuba cyprus czechia dakota
    dallas damascus delaware delhi denmark denver detroit dresden dubai dublin ecuador edinburgh egypt england estonia
    ethiopia europe finland florence florida france frankfurt geneva genoa georgia germany ghana glasgow gothenburg
    granada greece greenland guatemala haiti hamburg hanoi havana hawaii helsinki holland honduras houston hungary
    iceland idaho illinois india indiana indonesia iowa iran iraq ireland israel istanbul italy jamaica japan java
    jersey jerusalem johannesburg jordan kansas kentucky kenya kiev korea kuwait kyoto lagos laos latvia lebanon leipzig
    libya lima lisbon lithuania liverpool london louisiana luxembourg lyon madison madrid maine malaysia mali malta
    manchester manila marseille maryland massachusetts mecca melbourne memphis mexico miami michigan milan milwaukee
    minnesota mississippi missouri moldova monaco mongolia montana montenegro montreal morocco moscow mumbai munich
    nairobi naples nashville nebraska nepal netherlands nevada newcastle nigeria normandy norway oakland odessa ohio
    oklahoma oregon orlando osaka oslo ottawa oxford pakistan palestine palermo panama paraguay paris peru philadelphia
    philippines phoenix pittsburgh poland portland portugal prague princeton provence quebec rio rome romania russia
    sahara salem salzburg scotland seattle serbia seoul seville shanghai siberia sicily singapore slovakia slovenia
    somalia spain stockholm stuttgart sudan sweden switzerland sydney syria taiwan tanzania tasmania tehran tennessee
    texas thailand tibet tokyo toledo toronto trinidad tunisia turin turkey tuscany uganda ukraine uruguay utah valencia
    vatican venezuela venice vermont verona victoria vienna vietnam virginia wales warsaw washington wellington
    wisconsin wyoming yale harvard stanford yemen york zambia zimbabwe zurich vegas geneva aires angeles francisco diego
    monte notre carlo carlos-blanco galaxy corolla premier nobel real""".split()  # noqa: SIM905
)
_OFFICES = frozenset(("president", "minister", "chancellor", "ambassador", "senator", "chairman", "secretary", "sir"))
_LABEL = re.compile(r"(?:name|employee|customer|patient|client|contact|applicant|author|student|attendees?):\s*$")
_ASKED = re.compile(r"^, (?:could|can|would|will|please|do|did|are|have|you|thanks|thank|let|what|when|how|why)\b")
_FIRM = compiled(
    r"\b(?:\p{Lu}[\pL\pN&'’.-]{0,30}(?:, | | & | and | und | et | y )){1,4}"
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|LLP|PLC|Corp|Corporation|GmbH|AG|KG|SE|SA|SAS|SARL|SpA|BV|NV|AB|Oy|Sons|Bros"
    r"|Brothers|Group|Holdings?|Partners|Associates|Industries|Enterprises|Co)\b"
)
_HAN_NAME = re.compile(
    r"(?:我叫|我是|名叫|姓名[:：]?\s?|名字是|联系人[:：]?\s?)([王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷黎史龙陶贺顾毛郝龚邵万钱严覃武戴莫孔向汤][\u4e00-\u9fff]{1,2})(?![\u4e00-\u9fff]{3})"
)
_KANA_NAME = re.compile(r"(?:私は|名前は)([\u4e00-\u9fff]{2,5})(?:です|と申します|といいます)")
_CYRILLIC_NAME = re.compile(r"(?:[Мм]еня зовут|[Мм]оё имя|[Ии]мя:)\s+([А-ЯЁ][а-яё]+(?:\s[А-ЯЁ][а-яё]+){0,2})")


class _Word(NamedTuple):
    """A token of the text. `strong`, `given`: a given name, and no ordinary word; `family` likewise; `open_`: whether it
    begins a sentence, so that its capital says nothing."""

    text: str
    start: int
    end: int
    capital: bool = False
    given: bool = False
    strong: bool = False
    family: bool = False
    sure_family: bool = False
    common: bool = False
    nobody: bool = False
    open_: bool = False

    @property
    def could_be(self) -> bool:
        """Whether it may be part of a name at all."""
        return self.capital and not self.nobody


@lru_cache(maxsize=1)
def _lists() -> tuple[dict[str, bool], dict[str, bool], frozenset[str]]:
    """Given and family names, each with whether it is no ordinary word, and common words."""

    def names(file: str) -> dict[str, bool]:
        lines = gzip.decompress((_LISTS / file).read_bytes()).decode().split("\n")
        return {line.rstrip("*"): not line.endswith("*") for line in lines}

    common = gzip.decompress((_LISTS / "common.txt.gz").read_bytes()).decode().split("\n")
    return names("given.txt.gz"), names("family.txt.gz"), frozenset(common)


def names() -> Recognize:
    """The recognizer of people's names, with its lists loaded."""
    _lists()
    return _names


def _names(text: str) -> Iterator[Span]:
    words = _words(text)
    at = 0
    while at < len(words):
        found = _name_at(text, words, at)
        if found is None:
            at += 1
            continue
        until, score = found
        yield Span("name", words[at].start, words[until - 1].end, score)
        at = until
    if not text.isascii():
        for pattern in (_HAN_NAME, _KANA_NAME, _CYRILLIC_NAME):
            for match in pattern.finditer(text):
                yield Span("name", *match.span(1), 0.7)


def _words(text: str) -> list[_Word]:
    given, family, common = _lists()
    words = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0].islower():
            words.append(_Word(token, *match.span()))
            continue
        bare = token.rstrip("0123456789").casefold().replace("’", "'")
        bare = bare.partition("_")[0].removesuffix("'s")
        nobody = bare in _NOBODY or bare in _PLACES
        if not nobody and token.isupper() and len(token) > 1:
            nobody = not (bare in given and len(token) > 3)
        start = match.start()
        end = match.end() - 2 if token.casefold().endswith(("'s", "’s")) else match.end()
        parts = bare.split("-")
        words.append(
            _Word(
                token,
                start,
                end,
                token[0].isupper() or token[0].istitle(),
                bare in given or (len(parts) == 2 and all(part in given for part in parts)),
                given.get(bare, False) or (len(parts) == 2 and all(given.get(part, False) for part in parts)),
                bare in family or (len(parts) > 1 and parts[-1] in family),
                family.get(bare, False) or (len(parts) > 1 and family.get(parts[-1], False)),
                bare in common,
                nobody,
                _opens(text, start),
            )
        )
    return words


def _opens(text: str, start: int) -> bool:
    head = text[max(0, start - 3) : start]
    stripped = head.rstrip(" \t\"'“”‘’(*-–•>#")
    return start == 0 or "\n" in head or (stripped[-1:] in (".", "!", "?", ":") if stripped else start < 3)


def _gap(text: str, words: list[_Word], at: int) -> str:
    """What stands between a word and the next."""
    return text[words[at].end : words[at + 1].start] if at + 1 < len(words) else "\n"


def _stretch(text: str, words: list[_Word], at: int, most: int = 3) -> int:
    """Where a name that begins at `at` ends: capitalised words, initials and particles between them."""
    until, count = at + 1, 1
    while until < len(words) and count < most:
        gap = _gap(text, words, until - 1)
        word = words[until]
        initial = len(words[until - 1].text) == 1 and gap == ". "
        if gap != " " and not initial:
            break
        if word.text.casefold() in _PARTICLES and until + 1 < len(words):
            ahead = until
            while ahead < len(words) and words[ahead].text.casefold() in _PARTICLES and _gap(text, words, ahead) == " ":
                ahead += 1
            if ahead < len(words) and words[ahead].could_be:
                until, count = ahead + 1, count + 1
                continue
            break
        if not word.could_be or (word.common and not word.family and not word.given and len(word.text) > 1):
            break
        until, count = until + 1, count + 1
    return until


def _name_at(text: str, words: list[_Word], at: int) -> tuple[int, float] | None:
    """Where a name that begins at a word ends, and how sure it is one; None if none begins there."""
    word = words[at]
    previous = words[at - 1] if at else None
    between = text[previous.end : word.start] if previous is not None else ""
    if not word.capital:
        particle = word.text.casefold() in ("van", "von", "de", "el", "al", "di") and previous is not None
        if particle and previous is not None and previous.text.casefold() in _TITLES and at + 1 < len(words):
            until = _stretch(text, words, at)
            return (until, 0.8) if until > at + 1 else None
        return None
    if previous is not None and previous.text.casefold() in _TITLES and between in (" ", ". ", "."):
        ordinary = word.common and not word.given and not word.family
        if word.text.casefold() in _OFFICES or (word.nobody and not word.family) or ordinary or len(word.text) == 1:
            return None
        if between != " " and len(previous.text) > 4:  # not short for a title: the sentence ends here
            return None
        if previous.text[0].isupper() or word.sure_family or word.strong:
            return _stretch(text, words, at), 0.9
    followed = at + 1 < len(words) and words[at + 1].capital and _gap(text, words, at) in (" ", ". ")
    if word.nobody or (word.text.casefold() in _TITLES and followed):
        return None
    if "_" in word.text and word.given:
        return at + 1, 0.8
    head = text[max(0, word.start - 40) : word.start].casefold()
    if (found := _announced(text, words, at, head, previous, between)) is not None:
        return found
    return _looks_like(text, words, at, head)


def _announced(
    text: str, words: list[_Word], at: int, head: str, previous: _Word | None, between: str
) -> tuple[int, float] | None:
    """A name that a greeting, an introduction or a signature announces."""
    word = words[at]
    if previous is not None and previous.text.casefold() in _GREETINGS and between in (" ", ", "):
        greets = previous.open_ or at < 3
        until = _stretch(text, words, at)
        closes = text[words[until - 1].end : words[until - 1].end + 1] in (",", ".", "!", ":", "\n", "?", "", ";")
        plain = word.common and not word.given and not word.text[-1].isdigit()
        if word.text.casefold() in _TITLES or (plain and not (closes and until == at + 1 and greets)):
            return None
        if word.strong or (greets and (closes or word.given)):
            return until, 0.85 if word.strong else 0.7
    introduced = _INTRODUCED.search(head)
    if introduced is None:
        return None
    until = _stretch(text, words, at)
    if _LABEL.search(head) and _gap(text, words, until - 1) == ", " and until < len(words) and words[until].could_be:
        line = text[words[until].end : words[until].end + 1]
        if line in ("", "\n") and not words[until].common:
            return _stretch(text, words, until), 0.8
    weak = introduced[0].strip().startswith(_SURE_INTRODUCTIONS)
    many = until - at > 1 and (word.given or words[until - 1].family)
    if word.strong or many or (not weak and not word.common):
        return until, 0.9 if word.strong or many else 0.6
    return None


def _looks_like(text: str, words: list[_Word], at: int, head: str) -> tuple[int, float] | None:
    """A name by its own words, and little by what is around."""
    word = words[at]
    until = _stretch(text, words, at)
    after = text[words[until - 1].end : words[until - 1].end + 24]
    if until - at > 1:
        last = words[until - 1]
        if word.strong and (last.family or not last.common):
            return until, 0.9 if last.family else 0.7
        if word.given and last.sure_family and not (word.open_ and word.common):
            return until, 0.75
        if len(word.text) == 1 or (word.common and not word.given):
            return None
        if last.sure_family and not word.common and not word.open_:
            return until, 0.6
        if not word.common and not last.common and not word.open_ and _MET_BEFORE.search(head):
            return until, 0.55
    gap = _gap(text, words, at)
    comma_form = gap == ", " and at + 1 < len(words) and words[at + 1].strong and words[at + 1].could_be
    if comma_form and word.family and not word.given and (word.open_ or _INTRODUCED.search(head)):
        return _stretch(text, words, at + 1), 0.7
    if until - at == 1 and word.text[-1].isdigit() and word.strong:
        return until, 0.55
    if until - at == 1 and word.strong and not word.common:
        if _PERSONAL_BEFORE.search(head) or _PERSONAL_AFTER.match(after):
            return until, 0.65
        if not word.open_:
            return until, 0.5
    if until - at == 1 and word.open_ and after.startswith(", "):
        if word.strong:
            return until, 0.6
        if not word.common and not word.text.endswith("ly") and _ASKED.match(after):
            return until, 0.55
    return None


def organizations(text: str) -> Iterator[Span]:
    """Firms, by the word that ends their names: Inc, GmbH, and Sons … Other organizations are not known."""
    _, family, common = _lists()
    for start, end, found in matches(_FIRM, text):
        first, _, rest = found.partition(" ")
        opens = first.casefold() in common and first.casefold() not in family and rest[:1].isupper() and " " in rest
        yield Span("organization", start + len(first) + 1 if opens else start, end, 0.6)
