"""Texts around made-up personal data: per kind as many as asked for, each with the spans that are there.

Knows nothing of the recognizers. A third of the texts hold look-alikes only, the rest one or two of the kind among other
words, numbers and look-alikes. Sentences come in two halves: errors were looked at on `seen` only.
"""

import random
from dataclasses import dataclass
from typing import Literal

from tests.bench import pii_names as people
from tests.bench import pii_values as values

Half = Literal["seen", "unseen"]
Draw = random.Random


@dataclass(frozen=True)
class Text:
    """A text and the spans of one kind in it, as (start, end) in characters."""

    text: str
    spans: tuple[tuple[int, int], ...]


# {} is one of the kind, {-} a look-alike. Even lines are the seen half, odd ones the unseen.
CARRIERS: dict[str, list[str]] = {
    "email": [
        "Please forward the minutes to {} before Friday.",
        "From: {}\nTo: {}\nSubject: quarterly report",
        "You can reach me at {}, or just drop by.",
        "Contact <{}> or open an issue; {-} is not monitored.",
        "Schreiben Sie bitte an {} oder rufen Sie an.",
        "mailto:{}?subject=Hello",
        "name,address\nMeier,{}\nSchulz,{}",
        '{"user": "{}", "plan": "pro", "dep": "{-}"}',
        "My old address was {}; since May it is {}.",
        "écrivez-moi à {} svp",
        "Why does this regex not match {}? It should.",
        "Reply-To:{};",
        "I updated {-} and emailed ({}) about it.",
        "联系邮箱：{}，谢谢",
    ],
    "phone": [
        "Call me on {} after six.",
        "Tel.: {}  Fax: {}",
        "My number is {}, and the {-} has nothing to do with it.",
        "Mobile {} | office hours 9-17",
        "Bitte rufen Sie mich unter {} zurück.",
        "Appelez le {} pour confirmer votre rendez-vous du 12/05.",
        "Customer phone: {}\n{-}",
        "You can text {} or WhatsApp {}.",
        "She left a voicemail from {} about {-}.",
        "Contact: J. Weber, {}, 3rd floor",
        '{"phone": "{}", "note": "{-}"}',
        "mi teléfono es {} y estoy en casa",
        "Please add {} to my contacts.",
        "emergency line {} (24/7), {-}",
    ],
    "card": [
        "Please charge my Visa {} and send the receipt.",
        "card number: {}, exp 04/27, cvc 123",
        "I paid with {} but the {-} was never sent.",
        "Kreditkarte {} gültig bis 11/28",
        "Here are both cards: {} and {}.",
        "pan={}&amount=10.00",
        "The payment with {} was declined. {-}.",
        "{-}; my MasterCard is {}",
        "cc: {}",
        "Can you validate {} with the Luhn algorithm?",
        "Booking under card {} for two nights",
        '{"card": "{}", "ref": "{-}"}',
    ],
    "iban": [
        "Please transfer 200 EUR to {} by Monday.",
        "IBAN: {}\nBIC: DEUTDEFF500",
        "Meine Bankverbindung lautet {}, danke.",
        "Send the refund to my account {} ({-}).",
        "We moved from {} to {}.",
        "rib : {} ; {-}",
        "Payee Smith Ltd, {}, reference {-}",
        "iban={}&currency=EUR",
        "Il mio IBAN è {}.",
        "the mandate for {} was revoked",
    ],
    "ssn": [
        "My social security number is {}.",
        "SSN: {}, DOB 04/12/1981",
        "For the W-2 we need your SSN ({}) and address; {-}.",
        "Applicant's Social Security No. {}",
        "ssn={}",
        "taxpayer SSN {} filed {-}",
        "Her Social Security Number, {}, appears on page 2.",
        "employee ssn {} start date 2021-03-15",
        "The SSN on file, {}, is wrong; it should be {}.",
        'Record: {"ssn": "{}", "note": "{-}"}',
    ],
    "ip": [
        "The server at {} does not answer.",
        "ping {} works but {} times out",
        "Failed login from {} port 52144 ssh2",
        "Connect to http://{-h}/admin or {} directly.",
        "route add {}/24 via eth0, {-}",
        '[2024-05-01 12:33:10] {} - - "GET /index.html" 200',
        "My address is {}; {-}.",
        "nameserver {}",
        "blocked {} after five attempts ({-})",
        "Client IP: {}, User-Agent: curl/8.5.0",
        "What does {} resolve to?",
        "allow from {} deny from all",
    ],
    "mac": [
        "The printer's MAC address is {}.",
        "arp -a shows {} on en0, {-}",
        "Please whitelist {} and {}.",
        "ether {} txqueuelen 1000",
        "Wake-on-LAN packet to {} failed; {-}",
        "dhcp-host={},192.168.1.20",
        "device {} joined the network at 12:34:56",
        "MAC: {} ({-})",
        "HWaddr {}  inet addr:10.0.0.4",
        "bssid {} channel 11",
    ],
    "secret": [
        "Here is my key: {t}, can you debug the call?",
        'export TOKEN={t}\ncurl -H "Authorization: Bearer $TOKEN" https://api.example.com',
        "I accidentally committed {t} to the repo.",
        'api_key = "{o}"  # {-}',
        "password: {o}",
        "{-}\nclient_secret: {o}",
        "The database login is admin and the password is {o}.",
        "AWS_SECRET_ACCESS_KEY={o40}",
        "Authorization: Bearer {t}",
        "postgres://app:{u}@db.internal:5432/shop",
        "{t}\n{-}",
        "set the env var OPENAI_API_KEY to {t} please",
        '{"token": "{o}", "note": "{-}"}',
        "Use access token {t} for staging",
        "wifi passwort: {o}",
        "secretKey: '{o}',\nregion: 'eu-west-1'",
    ],
}
NOTHING: dict[str, list[str]] = {
    "email": ["See {-} for details.", "I ran {-} and then {-}.", "Why does {-} fail on my machine?"],
    "phone": ["Please check {-}.", "The log says {-} and {-}.", "{-}, thanks.", "It is about {-}; nothing urgent."],
    "card": ["Please check {-}.", "The log says {-} and {-}.", "What is {-}?", "{-} arrived late."],
    "iban": ["Please check {-}.", "See {-} and {-}.", "What is {-}?", "{-} was lost."],
    "ssn": ["Please check {-}.", "See {-} and {-}.", "What is {-}?", "{-} was lost."],
    "ip": ["Please check {-}.", "See {-} and {-}.", "What is {-}?", "It broke with {-}."],
    "mac": ["Please check {-}.", "See {-} and {-}.", "What is {-}?", "It broke with {-}."],
    "secret": ["{-}", "In the file it says {-}", "What does {-} mean?", "{-}\n{-}"],
}
MAKERS = {
    "email": (values.email, values.not_email),
    "phone": (values.phone, values.not_phone),
    "card": (values.card, values.not_card),
    "iban": (values.iban, values.not_iban),
    "ssn": (values.ssn, values.not_ssn),
    "ip": (values.ip, values.not_ip),
    "mac": (values.mac, values.not_mac),
}
_AROUND = [
    "",
    "",
    "Hi there, ",
    "Quick question. ",
    "Thanks for your help so far! ",
    "Note 1: ",
    "As discussed yesterday: ",
]
_AFTER = ["", "", " Let me know.", " It is 3 of 12.", "\n\nBest", " (see chapter 4.2)"]


def texts(kind: str, n: int, seed: int, half: Half | None = None) -> list[Text]:
    """`n` texts of one kind. The same arguments give the same texts."""
    draw = Draw(f"{kind}-{seed}-{half}")
    if kind == "name":
        return [Text(*people.text(draw, half)) for _ in range(n)]
    return [_text(kind, draw, half) for _ in range(n)]


def _text(kind: str, draw: Draw, half: Half | None) -> Text:
    pool = CARRIERS[kind]
    pool = pool[::2] if half == "seen" else pool[1::2] if half == "unseen" else pool
    if draw.random() < 1 / 3:
        pool = NOTHING[kind]
    carrier = draw.choice(pool)
    text, spans, at = draw.choice(_AROUND), [], 0
    while at < len(carrier):
        mark = next((m for m in ("{}", "{-}", "{-h}", "{t}", "{o}", "{o40}", "{u}") if carrier.startswith(m, at)), None)
        if mark is None:
            text += carrier[at]
            at += 1
            continue
        made, counts = _fill(kind, mark, draw)
        if counts:
            spans.append((len(text), len(text) + len(made)))
        text += made
        at += len(mark)
    return Text(text + draw.choice(_AFTER), tuple(spans))


def _fill(kind: str, mark: str, draw: Draw) -> tuple[str, bool]:
    """What stands for a mark, and whether it is of the kind."""
    if mark == "{-h}":
        return draw.choice(["localhost", "db.internal", "example.org"]), False
    if kind != "secret":
        own, other = MAKERS[kind]
        return (other(draw), False) if mark == "{-}" else (own(draw), True)
    match mark:
        case "{-}":
            return values.not_secret(draw), False
        case "{t}":
            return values.token(draw), True
        case "{o40}":
            return values.text_of(draw, 40, values.BASE62 + "+/"), True
        case "{u}":
            return values.text_of(draw, 16, values.BASE62), True
    return values.opaque(draw), True
