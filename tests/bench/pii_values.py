"""Made-up personal data as people write it, from numbering plans, card schemes and key formats as their issuers publish
them, and look-alikes that are none. Knows nothing of the recognizers, and no recognizer was written from it.
"""

import base64
import json
import random
import string
from collections.abc import Callable

Draw = random.Random
Make = Callable[[Draw], str]


def digits(draw: Draw, n: int, first: str = "0123456789") -> str:
    return draw.choice(first) + "".join(draw.choice(string.digits) for _ in range(n - 1)) if n else ""


def text_of(draw: Draw, n: int, alphabet: str) -> str:
    return "".join(draw.choice(alphabet) for _ in range(n))


HEX = "0123456789abcdef"
BASE62 = string.ascii_letters + string.digits

# e-mail

_PEOPLE = ["anna", "j.doe", "m_keller", "lucie.martin", "k.o'brien", "wei-lin", "sales", "info", "p.rossi84", "tomasz"]
_HOSTS = ["gmail.com", "firma-mueller.de", "uni.edu.au", "mail.co.uk", "outlook.com", "bücher.example", "ex.io"]
_HOSTS += ["sub.dept.company.org", "proton.me", "orange.fr", "yandex.ru", "qq.com", "x.technology"]


def email(draw: Draw) -> str:
    user = draw.choice(_PEOPLE) + draw.choice(["", "", "", "+news", str(draw.randrange(100)), ".ext"])
    made = f"{user}@{draw.choice(_HOSTS)}"
    return draw.choice([made, made, made, made.upper() if made.isascii() else made, made.capitalize()])


def not_email(draw: Draw) -> str:
    return draw.choice(
        [
            "@types/node@20.11.5",
            "react@18.2.0",
            "git@github.com:acme/tool.git",
            "@maria_dev",
            "@app.route('/x')",
            "3 apples @ $0.50",
            "user@localhost",
            "a@b",
            "foo@@bar.com",
            "docker pull repo/image@sha256:" + text_of(draw, 12, HEX),
            "meet @ noon",
            "@Override",
            "x @ y.T",
            "john at example",
            "ssh deploy@10.1.2.3",
        ]
    )


# telephone: plans of some twenty countries, national and international ways of writing


def _grouped(draw: Draw, number: str, sizes: tuple[int, ...], separators: str = " -.") -> str:
    separator = draw.choice(separators)
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return separator.join(part for part in parts if part)


def _us(draw: Draw) -> str:
    area = draw.choice(["212", "415", "312", "206", "617", "713", "404", "602", "305", "512"])
    rest = digits(draw, 3, "23456789")
    while rest.endswith("11") or rest == "555":
        rest = digits(draw, 3, "23456789")
    line = digits(draw, 4)
    return draw.choice(
        [
            f"({area}) {rest}-{line}",
            f"{area}-{rest}-{line}",
            f"+1 {area} {rest} {line}",
            f"+1-{area}-{rest}-{line}",
            f"1 ({area}) {rest}-{line}",
            f"{area}.{rest}.{line}",
            f"+1{area}{rest}{line}",
            f"({area}) {rest}-{line} ext. {draw.randrange(100, 999)}",
        ]
    )


def _gb(draw: Draw) -> str:
    mobile = "7" + draw.choice(["400", "700", "800", "911", "912", "595"]) + digits(draw, 6)
    london = "20" + draw.choice("78") + digits(draw, 7)
    return draw.choice(
        [
            f"+44 {mobile[:4]} {mobile[4:]}",
            f"0{mobile[:4]} {mobile[4:]}",
            f"0{mobile}",
            f"020 {london[2:6]} {london[6:]}",
            f"+44 (0)20 {london[2:6]} {london[6:]}",
            f"+44{mobile}",
        ]
    )


def _de(draw: Draw) -> str:
    mobile = draw.choice(["151", "160", "171", "172", "176"]) + digits(draw, 8, "23456789")
    berlin = digits(draw, 8, "23456")
    return draw.choice(
        [
            f"+49 {mobile[:3]} {mobile[3:]}",
            f"0{mobile[:3]} {mobile[3:]}",
            f"0{mobile[:3]}/{mobile[3:]}",
            f"+49 30 {berlin[:4]} {berlin[4:]}",
            f"030 {berlin}",
            f"(030) {berlin[:4]}-{berlin[4:]}",
            f"0049 30 {berlin}",
        ]
    )


def _fr(draw: Draw) -> str:
    number = draw.choice(["6", "7", "1", "4"]) + digits(draw, 8, "2345")
    pairs = [number[1:3], number[3:5], number[5:7], number[7:]]
    return draw.choice(
        [
            f"0{number[0]} {' '.join(pairs)}",
            f"0{number[0]}.{'.'.join(pairs)}",
            f"+33 {number[0]} {' '.join(pairs)}",
            f"0033 {number[0]} {' '.join(pairs)}",
        ]
    )


def _plain(code: str, prefix: tuple[str, ...], n: int, sizes: tuple[int, ...]) -> Make:
    def make(draw: Draw) -> str:
        number = draw.choice(prefix)
        number += digits(draw, n - len(number), "23456789")
        return f"+{code} {_grouped(draw, number, sizes, ' ')}" if draw.random() < 0.7 else f"+{code}{number}"

    return make


PHONES: list[Make] = [
    _us,
    _us,
    _gb,
    _de,
    _fr,
    _plain("34", ("612", "655", "911"), 9, (3, 3, 3)),
    _plain("39", ("333", "347", "320"), 10, (3, 3, 4)),
    _plain("31", ("6",), 9, (1, 4, 4)),
    _plain("41", ("79", "78", "44"), 9, (2, 3, 2, 2)),
    _plain("43", ("664", "676"), 10, (3, 3, 4)),
    _plain("48", ("501", "601", "790"), 9, (3, 3, 3)),
    _plain("91", ("98", "99", "70"), 10, (5, 5)),
    _plain("81", ("90", "80"), 10, (2, 4, 4)),
    _plain("86", ("138", "139", "186"), 11, (3, 4, 4)),
    _plain("55", ("119", "219"), 11, (2, 5, 4)),
    _plain("61", ("412", "423"), 9, (3, 3, 3)),
    _plain("27", ("82", "83"), 9, (2, 3, 4)),
    _plain("46", ("70", "73"), 9, (2, 3, 2, 2)),
    _plain("353", ("85", "87"), 9, (2, 3, 4)),
    _plain("972", ("52", "54"), 9, (2, 3, 4)),
]


def phone(draw: Draw) -> str:
    return draw.choice(PHONES)(draw)


def not_phone(draw: Draw) -> str:
    return draw.choice(
        [
            f"order {digits(draw, 3)}-{digits(draw, 7)}-{digits(draw, 7)}",
            f"invoice no. {digits(draw, 10)}",
            f"ISBN 978-{draw.randrange(10)}-{digits(draw, 2)}-{digits(draw, 6)}-{draw.randrange(10)}",
            f"20{draw.randrange(10, 26)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}",
            f"from 12.05.20{draw.randrange(10, 26)} to 30.06.20{draw.randrange(10, 26)}",
            f"build 10.0.{digits(draw, 5, '12')}.{digits(draw, 4, '123')}",
            f"at {draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}.{digits(draw, 3)}",
            f"tracking 1Z{text_of(draw, 6, '0123456789ABCDEF')}{digits(draw, 10)}",
            f"$1,{digits(draw, 3)},{digits(draw, 3)}.50",
            f"52.{digits(draw, 6)}, 13.{digits(draw, 6)}",
            f"timestamp 1{digits(draw, 9, '67')}",
            f"sha1 {text_of(draw, 40, HEX)}",
            f"serial {digits(draw, 4)}-{digits(draw, 4)}-{digits(draw, 4)}",
            f"population of {draw.randrange(1, 9)} {digits(draw, 3)} {digits(draw, 3)}",
            "the sequence 1 1 2 3 5 8 13 21 34",
            "sizes 1920x1080 and 2560x1440",
            f"EAN {digits(draw, 13, '45')}",
            f"case 2:{draw.randrange(10, 24)}-cv-0{digits(draw, 4)}",
            f"pages 1024-1048, vol. {draw.randrange(10, 99)}",
            "3.14159265358979",
        ]
    )


# cards


def luhn(body: str) -> str:
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c) * (2 if i % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return body + str(-total % 10)


def card(draw: Draw) -> str:
    kind = draw.choice(["visa", "visa", "mc", "mc2", "amex", "discover", "jcb", "diners"])
    prefix, n = {
        "visa": ("4", 16),
        "mc": (draw.choice(["51", "52", "53", "54", "55"]), 16),
        "mc2": (str(draw.randrange(2221, 2721)), 16),
        "amex": (draw.choice(["34", "37"]), 15),
        "discover": ("6011", 16),
        "jcb": (str(draw.randrange(3528, 3590)), 16),
        "diners": ("36", 14),
    }[kind]
    number = luhn(prefix + "".join(draw.choice(string.digits) for _ in range(n - len(prefix) - 1)))
    sizes = {15: (4, 6, 5), 14: (4, 6, 4)}.get(n, (4, 4, 4, 4))
    return number if draw.random() < 0.3 else _grouped(draw, number, sizes, " -")


def not_card(draw: Draw) -> str:
    bad = list(luhn("4" + digits(draw, 14)))
    bad[7] = str((int(bad[7]) + draw.randrange(1, 9)) % 10)
    broken = "".join(bad)
    return draw.choice(
        [
            f"tracking number 94001{digits(draw, 17)}",
            f"IMEI {luhn('35' + digits(draw, 12))}",
            f"order id {broken}",
            f"reference {_grouped(draw, broken, (4, 4, 4, 4), ' -')}",
            f"uuid {text_of(draw, 8, HEX)}-{text_of(draw, 4, HEX)}-4{text_of(draw, 3, HEX)}-a{text_of(draw, 3, HEX)}-{text_of(draw, 12, HEX)}",
            f"timestamp {digits(draw, 1, '1')}{digits(draw, 15, '67')}",
            f"licence key {digits(draw, 4, '89')}-{digits(draw, 4)}-{digits(draw, 4)}-{digits(draw, 4)}",
            f"ISBN 978{digits(draw, 10)}",
            f"account {digits(draw, 10)}",
            "π is 3.1415926535897932",
            f"id={digits(draw, 18, '789')}",
            f"0.{digits(draw, 16)}",
            f"SKU {digits(draw, 12)}",
            f"{digits(draw, 4)} {digits(draw, 4)} rows in 2 tables",
        ]
    )


# IBAN: lengths and shapes by country, from the SWIFT registry

_IBANS = {
    "DE": "18n",
    "AT": "16n",
    "CH": "5n12c",
    "FR": "10n11c2n",
    "ES": "20n",
    "IT": "1a10n12c",
    "NL": "4a10n",
    "BE": "12n",
    "GB": "4a14n",
    "IE": "4a14n",
    "PL": "24n",
    "PT": "21n",
    "SE": "20n",
    "DK": "14n",
    "NO": "11n",
    "FI": "14n",
    "CZ": "20n",
    "LU": "3n13c",
    "GR": "7n16c",
    "SA": "2n18c",
    "AE": "19n",
    "TR": "6n16c",
}


def iban(draw: Draw) -> str:
    country = draw.choice(list(_IBANS))
    body, n = "", ""
    for c in _IBANS[country]:
        if c.isdigit():
            n += c
            continue
        alphabet = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits}[c]
        body += text_of(draw, int(n), alphabet)
        n = ""
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    whole = f"{country}{98 - number % 97:02}{body}"
    if draw.random() < 0.6:
        whole = " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
    return whole.lower() if draw.random() < 0.05 else whole


def not_iban(draw: Draw) -> str:
    good = iban(draw).replace(" ", "").upper()
    wrong = good[:2] + f"{(int(good[2:4]) + draw.randrange(1, 90)) % 97 + 2:02}" + good[4:]
    if int("".join(str(int(c, 36)) for c in wrong[4:] + wrong[:4])) % 97 == 1:
        wrong = wrong[:-1] + str((int(wrong[-1], 36) + 1) % 10)
    return draw.choice(
        [
            f"ref {wrong}",
            f"VAT DE{digits(draw, 9)}",
            "BIC DEUTDEFF500",
            f"FR{digits(draw, 2)} {digits(draw, 9)}",
            f"flight BA{digits(draw, 4)} and LH{digits(draw, 3)}",
            f"part GB29-{text_of(draw, 6, HEX).upper()}",
            f"MD5 {text_of(draw, 32, HEX)}",
            f"licence {text_of(draw, 5, BASE62).upper()}-{text_of(draw, 5, BASE62).upper()}-{text_of(draw, 5, BASE62).upper()}",
            f"passport {text_of(draw, 2, 'ABCDE')}{digits(draw, 7)}",
            f"container MSKU{digits(draw, 7)}",
        ]
    )


# US social security numbers


def ssn(draw: Draw) -> str:
    area = draw.choice([draw.randrange(1, 666), draw.randrange(667, 900)])
    group, serial = draw.randrange(1, 100), draw.randrange(1, 10000)
    sep = draw.choice(["-", "-", "-", " ", ""])
    return f"{area:03}{sep}{group:02}{sep}{serial:04}"


def not_ssn(draw: Draw) -> str:
    return draw.choice(
        [
            f"part {digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 3)}",
            f"EIN {digits(draw, 2, '1234')}-{digits(draw, 7)}",
            f"ZIP {digits(draw, 5)}-{digits(draw, 4)}",
            f"ticket 000-{digits(draw, 2)}-{digits(draw, 4)}",
            f"9{digits(draw, 2, '1234')}-00-{digits(draw, 4)}",
            f"20{draw.randrange(10, 26)}-0{draw.randrange(1, 9)}-{draw.randrange(10, 28)}",
            "score 123-45",
            f"a {digits(draw, 9)} byte file",
            f"CAS {digits(draw, 4, '123456')}-{digits(draw, 2)}-{draw.randrange(10)}",
            f"phone 415-555-{digits(draw, 4)}",
            f"666-{digits(draw, 2)}-{digits(draw, 4)}",
            f"routing {digits(draw, 9)}",
            "NIST 800-53-r5",
            "version 2023-11-0012",
        ]
    )


# network addresses


def ip(draw: Draw) -> str:
    v4 = ".".join(
        str(n) for n in (draw.choice([10, 172, 192, 8, 54, 93, 185, 203]), *(draw.randrange(1, 255) for _ in range(3)))
    )
    group = [f"{draw.randrange(1, 65536):x}" for _ in range(8)]
    v6 = draw.choice(
        [
            ":".join(["2001", "db8", *group[2:]]),
            f"2a02:{group[0]}::{group[1]}",
            f"fe80::{group[0]}:{group[1]}:{group[2]}:{group[3]}",
            f"2001:db8:{group[0]}::1",
        ]
    )
    return v4 if draw.random() < 0.7 else v6


def not_ip(draw: Draw) -> str:
    return draw.choice(
        [
            f"version 4.{draw.randrange(30)}.{draw.randrange(9)}.{draw.randrange(9)}",
            f"v{draw.randrange(1, 20)}.{draw.randrange(10)}.{draw.randrange(10)}.{draw.randrange(900)}",
            f"section {draw.randrange(1, 9)}.{draw.randrange(1, 9)}.{draw.randrange(1, 9)}.{draw.randrange(1, 9)}",
            "OID 1.3.6.1.4.1.311.21.20",
            "999.12.400.1",
            "192.168.1",
            f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}",
            "std::vector<int>::iterator",
            "Foo::bar::baz",
            f"Chrome/{draw.randrange(90, 130)}.0.{draw.randrange(4000, 6500)}.{draw.randrange(10, 200)}",
            f"MAC {mac(draw)}",
            "aspect 16:9",
            "a::b",
            f"{draw.randrange(1, 99)}.{draw.randrange(10)}%",
            f"01.02.20{draw.randrange(10, 26)}",
            "netmask 255.255.255.0",
        ]
    )


def mac(draw: Draw) -> str:
    pairs = [text_of(draw, 2, HEX) for _ in range(6)]
    made = draw.choice([":", "-"]).join(pairs)
    if draw.random() < 0.15:
        flat = "".join(pairs)
        made = ".".join(flat[i : i + 4] for i in (0, 4, 8))
    return made.upper() if draw.random() < 0.5 else made


def not_mac(draw: Draw) -> str:
    return draw.choice(
        [
            ":".join(text_of(draw, 2, HEX) for _ in range(16)),
            ":".join(text_of(draw, 2, HEX) for _ in range(5)),
            f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}",
            f"2001:db8:{text_of(draw, 4, HEX)}::{text_of(draw, 4, HEX)}",
            f"#{text_of(draw, 6, HEX)}",
            f"commit {text_of(draw, 12, HEX)}",
            f"20{draw.randrange(10, 26)}-10-11-12-13-14",
            f"{text_of(draw, 8, HEX)}-{text_of(draw, 4, HEX)}-4{text_of(draw, 3, HEX)}-8{text_of(draw, 3, HEX)}-{text_of(draw, 12, HEX)}",
            "10.20.30.40",
            "ratio 10:20:30:40:50:60:70",
            "gg:hh:ii:jj:kk:ll",
        ]
    )


# secrets


def jwt(draw: Draw) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": draw.choice(["HS256", "RS256"]), "typ": "JWT"})
    body = part({"sub": digits(draw, 10), "iat": 1516239022, "role": draw.choice(["admin", "user"])})
    return f"{head}.{body}.{text_of(draw, 43, BASE62 + '-_')}"


def pem(draw: Draw) -> str:
    kind = draw.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = "\n".join(text_of(draw, 64, BASE62 + "+/") for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def token(draw: Draw) -> str:
    """A key that its issuer's prefix gives away."""
    up = string.ascii_uppercase
    return draw.choice(
        [
            lambda: draw.choice(["AKIA", "ASIA"]) + text_of(draw, 16, up + "234567"),
            lambda: draw.choice(["ghp_", "gho_", "ghs_"]) + text_of(draw, 36, BASE62),
            lambda: "github_pat_" + text_of(draw, 22, BASE62) + "_" + text_of(draw, 59, BASE62),
            lambda: "glpat-" + text_of(draw, 20, BASE62 + "-_"),
            lambda: f"xoxb-{digits(draw, 12, '123')}-{digits(draw, 12, '123')}-{text_of(draw, 24, BASE62)}",
            lambda: draw.choice(["sk_live_", "rk_live_"]) + text_of(draw, 24, BASE62),
            lambda: "sk-" + text_of(draw, 48, BASE62),
            lambda: "sk-proj-" + text_of(draw, 64, BASE62 + "-_"),
            lambda: "sk-ant-api03-" + text_of(draw, 93, BASE62 + "-_") + "AA",
            lambda: "AIza" + text_of(draw, 35, BASE62 + "-_"),
            lambda: "hf_" + text_of(draw, 34, BASE62),
            lambda: "npm_" + text_of(draw, 36, BASE62),
            lambda: "SG." + text_of(draw, 22, BASE62) + "." + text_of(draw, 43, BASE62),
            lambda: "pypi-AgEIcHlwaS5vcmc" + text_of(draw, 70, BASE62 + "-_"),
            lambda: jwt(draw),
            lambda: pem(draw),
        ]
    )()


def opaque(draw: Draw) -> str:
    """A key that nothing but the words before it gives away."""
    return draw.choice(
        [
            lambda: text_of(draw, 32, HEX),
            lambda: text_of(draw, 40, BASE62 + "+/"),
            lambda: text_of(draw, 24, BASE62),
            lambda: text_of(draw, 12, BASE62 + "!#$%&*"),
            lambda: draw.choice(["Winter", "tr0ub4dor&", "Blue-Horse", "P@ss"]) + digits(draw, 4) + draw.choice("!?#x"),
            lambda: text_of(draw, 28, BASE62 + "-_"),
        ]
    )()


def not_secret(draw: Draw) -> str:
    return draw.choice(
        [
            lambda: f"commit {text_of(draw, 40, HEX)}",
            lambda: f"sha256:{text_of(draw, 64, HEX)}",
            lambda: (
                f"request id {text_of(draw, 8, HEX)}-{text_of(draw, 4, HEX)}-4{text_of(draw, 3, HEX)}-9{text_of(draw, 3, HEX)}-{text_of(draw, 12, HEX)}"
            ),
            lambda: "api_key = os.environ['API_KEY']",
            lambda: "api_key: YOUR_API_KEY",
            lambda: "password: ********",
            lambda: "token = get_token(user)",
            lambda: "export SECRET_KEY=${SECRET_KEY}",
            lambda: "password: str = Field(min_length=8)",
            lambda: "the password must have 12 characters",
            lambda: "secret_key=<your-secret-key>",
            lambda: "Authorization: Bearer <token>",
            lambda: f"md5sum {text_of(draw, 32, HEX)}",
            lambda: "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA",
            lambda: "if password == confirm_password:",
            lambda: "api_key=xxxxxxxxxxxxxxxxxxxx",
            lambda: "class TokenRefreshInterceptor(BaseInterceptor)",
            lambda: "-----BEGIN PUBLIC KEY-----",
            lambda: "-----BEGIN CERTIFICATE-----",
            lambda: "forgot my password again, what now?",
            lambda: "max_tokens: 4096",
            lambda: "token: string;",
            lambda: "sk-learn and ghp pages",
        ]
    )()
