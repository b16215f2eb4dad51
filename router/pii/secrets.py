"""Keys, tokens, passwords and private keys. Knows nothing of whether they still work.

Most are known by the prefix their issuer gives them, the rest by a word that says what follows and by looking drawn at
random. Placeholders, variables and code that only talks of secrets are none.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from router.pii import Span
from router.pii.around import compiled, matches

_PREFIXED = compiled(
    r"\b(?:"
    + "|".join(
        [
            r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",  # AWS
            r"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
            r"github_pat_[A-Za-z0-9_]{60,}",
            r"gl(?:pat|dt|rt|cbt|ptt|agent|oas)-[A-Za-z0-9_-]{20,64}",  # GitLab
            r"xox[abeoprs]-[A-Za-z0-9-]{20,}",  # Slack
            r"xapp-[A-Za-z0-9-]{20,}",
            r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
            r"whsec_[A-Za-z0-9+/=]{24,}",
            r"sk-(?:proj-|svcacct-|admin-|ant-|or-v1-|lf-)?[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic and others
            r"AIza[A-Za-z0-9_-]{35}",  # Google
            r"ya29\.[A-Za-z0-9_-]{20,}",
            r"GOCSPX-[A-Za-z0-9_-]{28}",
            r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
            r"npm_[A-Za-z0-9]{36}",
            r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
            r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",  # SendGrid
            r"key-[a-f0-9]{32}",  # Mailgun
            r"dop_v1_[a-f0-9]{64}",  # DigitalOcean
            r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
            r"dckr_pat_[A-Za-z0-9_-]{27}",
            r"gsk_[A-Za-z0-9]{40,}",
            r"r8_[A-Za-z0-9]{37}",
        ]
    )
    + r")"
)
_JWT = compiled(r"\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # JSON Web Token
_PEM = compiled(
    r"-----BEGIN (?:[A-Z]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,.-]*?-----END (?:[A-Z]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----"
)
_URL = compiled(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,64}:([^\s/@\"'<>]{3,128})@[\pL\pN\[]")
_KEY = (
    r"(?:api[ _-]?keys?|apikey|secret[ _-]?(?:access[ _-]?)?key|access[ _-]?key(?:[ _-]?id)?|account[ _-]?key"
    r"|private[ _-]?key|encryption[ _-]?key|signing[ _-]?key|client[ _-]?secret|app[ _-]?secret|auth[ _-]?token"
    r"|access[ _-]?token|refresh[ _-]?token|bearer[ _-]?token|secret|token|credentials?)"
)
_WORD = (
    r"(?:pass ?words?|passwd|passwort|kennwort|passphrase|pwd|mot de passe|contraseña|senha|pin code|密码|パスワード)"
)
_IS = r"""["'`]?\s*(?::=|=>|[:=]|\bis now\b|\bis\b|\bwas\b|\blautet\b|\bist\b|\best\b|\bes\b)\s*(?:Bearer\s+)?["'`]?"""
_VALUE = r"([^\s\"'`,;<>()\[\]{}]{6,})"
_ASSIGNED = compiled(rf"{_KEY}{_IS}{_VALUE}", ignore_case=True)
_PASSWORD = compiled(rf"{_WORD}{_IS}([^\s\"'`]{{6,}})", ignore_case=True)
_BEARER = compiled(r"\bBearer\s+([A-Za-z0-9._~+/-]{16,}=*)")

_PLACEHOLDER = re.compile(
    r"your|example|sample|dummy|placeholder|changeme|change_me|redacted|insert|replace|todo|none$|null$|true$|false$"
    r"|x{4,}|\*{3,}|\.{3}|•|^<|^\$[A-Za-z_]*$|\$[\{(]|\{\{|%\w+%|environ|getenv|process\.|config\.|settings\.|os\.|self\.|_token$|_key$|_secret$",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$|^[a-z]+(?:[A-Z][a-z]+)+$|^[A-Z][a-z]+(?:[A-Z][a-z]+)+$|^[a-z_]+$"
    r"|^[A-Za-z_][\w.]*[(\[]\w*[)\],;]*$"
)


def secrets(text: str) -> Iterator[Span]:
    """Keys by prefix, private keys, credentials in URLs, and what follows words such as `password:`."""
    for start, end, found in matches(_PREFIXED, text):
        if _PLACEHOLDER.search(found) is None and len(set(found)) > 10:
            yield Span("secret", start, end, 1.0)
    if "eyJ" in text:
        for start, end, found in matches(_JWT, text):
            if len(found) > 60:
                yield Span("secret", start, end, 1.0)
    if "PRIVATE KEY" in text:
        for start, end, _ in matches(_PEM, text):
            yield Span("secret", start, end, 1.0)
    for pattern, passes, score in (
        (_URL, bool, 0.9),
        (_ASSIGNED, _random, 0.8),
        (_BEARER, _random, 0.85),
        (_PASSWORD, _password, 0.75),
    ):
        for start, _, value in matches(pattern, text, 1):
            value = value.rstrip(".,:;")
            if value and not _PLACEHOLDER.search(value) and passes(value):
                yield Span("secret", start, start + len(value), score)


def _random(value: str) -> bool:
    """Whether a value looks drawn at random, not written: long, mixed, of many different characters."""
    if len(value) < 8 or _CODE.match(value):
        return False
    mixed = sum((any(c.isdigit() for c in value), any(c.islower() for c in value), any(c.isupper() for c in value)))
    return mixed >= 2 and entropy(value) >= min(3.0, math.log2(len(value)) - 0.7)


def _password(value: str) -> bool:
    """Whether a word may be a password: not only letters unless long and mixed, and not only digits unless many."""
    if len(value) < 6 or _CODE.match(value):
        return False
    if value.isalpha():
        return len(value) >= 12 and _random(value)
    return any(c.isalpha() for c in value) or (value.isdigit() and len(value) >= 8)


def entropy(value: str) -> float:
    """Bits per character, from the frequencies of the value's own characters."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
