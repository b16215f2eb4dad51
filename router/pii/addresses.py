"""E-mail, IP and MAC addresses, and host names. Knows nothing of who owns them."""

import ipaddress
import re
from collections.abc import Iterator

from router.pii import Span
from router.pii.around import alone, before, compiled, matches

_LABEL = r"[\pL\pN](?:[\pL\pN-]{0,61}[\pL\pN])?"
_EMAIL = compiled(rf"[\pL\pN.!#$%'*+^_`{{|}}~-]{{1,64}}@(?:{_LABEL}\.){{1,8}}(?:\pL{{2,24}}|xn--[a-z0-9-]{{2,40}})")
_SPELT = compiled(
    rf"[\pL\pN._+-]{{1,64}}\s?[\[({{<]\s?at\s?[\])}}>]\s?{_LABEL}(?:(?:\s?[\[({{<]\s?dot\s?[\])}}>]\s?|\.){_LABEL}){{1,6}}",
    ignore_case=True,
)
_SPELT_AT = re.compile(r"[\[({<]\s?at\s?[\])}>]", re.IGNORECASE)
_FORGES = ("git@", "hg@")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = compiled(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV6 = compiled(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:\.\d{1,3}){0,3}")
_MAC = compiled(
    r"[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
)
_BARE_MAC = compiled(r"[0-9A-Fa-f]{12}")
_DOMAIN = compiled(rf"(?:https?://|www\.)(?:{_LABEL}\.){{1,6}}\pL{{2,24}}", ignore_case=True)

_VERSION_WORDS = re.compile(
    r"\b(?:v|ver|version|release|build|section|sec|chapter|clause|article|firmware|oid|rev|revision|update|patch|§+)"
    r"\.?:?\s*$"
)
_IP_WORDS = re.compile(
    r"\b(?:ip|ipv4|ipv6|ping|host|server|address|addr|gateway|dns|nameserver|subnet|from|connect|resolve|client|route"
    r"|ssh|allow|deny|block|blocked|whitelist|proxy|listen|bind|port|http|https|adresse|router)\b"
)
_MAC_WORDS = re.compile(r"\b(?:mac|hwaddr|ether|bssid|hardware|physical|device|interface|station)\b")
_WELL_KNOWN = frozenset(
    """github.com gitlab.com google.com wikipedia.org youtube.com stackoverflow.com python.org pypi.org npmjs.com
    mozilla.org microsoft.com apple.com amazon.com facebook.com twitter.com x.com linkedin.com reddit.com medium.com
    openai.com anthropic.com huggingface.co arxiv.org w3.org w3schools.com cloudflare.com docker.com kubernetes.io
    readthedocs.io example.com example.org example.net localhost.localdomain bbc.co.uk nytimes.com cnn.com imdb.com
    instagram.com netflix.com yahoo.com bing.com duckduckgo.com archive.org gnu.org apache.org kernel.org debian.org
    ubuntu.com oracle.com ibm.com nvidia.com intel.com adobe.com paypal.com ebay.com tiktok.com whatsapp.com zoom.us
    slack.com discord.com notion.so figma.com canva.com kaggle.com nature.com sciencedirect.com springer.com ieee.org
    acm.org jstor.org who.int un.org europa.eu googleapis.com gstatic.com jsdelivr.net unpkg.com schema.org
    """.split()  # noqa: SIM905
)


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses, also spelt out: anna [at] firm [dot] org. Remotes of version control are none."""
    if "@" in text:
        for start, end, found in matches(_EMAIL, text):
            start += len(found) - len(found.lstrip(".!#$%'*+^`{|}~-"))
            found = text[start:end]
            if found.startswith("@") or (found.startswith(_FORGES) and text[end : end + 1] == ":"):
                continue
            yield Span("email", start, end, 1.0)
    if _SPELT_AT.search(text):
        for start, end, _ in matches(_SPELT, text):
            yield Span("email", start, end, 0.8)


def ips(text: str) -> Iterator[Span]:
    """IPv4 and IPv6 addresses that may be somebody's: no loopback, no mask; version numbers are none."""
    for start, end, found in matches(_IPV4, text):
        if _in_longer(text, start, end):
            continue
        words = before(text, start, 14)
        octets = [int(part) for part in found.split(".")]
        if _VERSION_WORDS.search(words) or found.startswith(("0.", "127.", "255.")):
            continue
        near = before(text, start, 30)
        small = max(octets) < 32 and len(set(octets)) > 1 and octets[0] not in (8, 10)
        yield Span("ip", start, end, 0.95 if _IP_WORDS.search(near) else 0.45 if small else 0.8)
    if text.count(":") > 1:
        for start, end, found in matches(_IPV6, text):
            if alone(text, start, end, ":.") and (score := _ipv6(found)):
                yield Span("ip", start, end, score)


def _in_longer(text: str, start: int, end: int) -> bool:
    """Whether four numbers are part of more: a version, a path, a fifth number."""
    left, right = text[max(0, start - 1) : start], text[end : end + 2]
    if left.isalnum() or left in ("_", ".", "-", "−"):
        return True
    if left == "/" and text[max(0, start - 2) : start] != "//":
        return True
    return bool(re.match(r"[\w]|[.-]\w", right)) and not re.match(r"[.-]\s|\.$", right)


def _ipv6(found: str) -> float:
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return 0.0
    groups = [group for group in found.split(":") if group]
    if address.is_loopback or address.is_unspecified or len(groups) < 2:
        return 0.0
    wide = sum(len(group) >= 3 for group in groups)
    if "::" in found and wide < 2:  # a::b, std::vector …
        return 0.3
    return 0.95


def macs(text: str) -> Iterator[Span]:
    """Hardware addresses: six pairs, three groups of four, or twelve digits that are called one."""
    for start, end, found in matches(_MAC, text):
        if not alone(text, start, end, ":-."):
            continue
        named = bool(_MAC_WORDS.search(before(text, start)))
        letters = any(c in "abcdefABCDEF" for c in found)
        yield Span("mac", start, end, 0.95 if named or letters else 0.7 if ":" in found else 0.4)
    if "mac" in text.casefold():
        for start, end, _ in matches(_BARE_MAC, text):
            if alone(text, start, end, ":-.") and re.search(r"\bmac\b", before(text, start)):
                yield Span("mac", start, end, 0.7)


def domains(text: str) -> Iterator[Span]:
    """Host names in web addresses, but those that everybody links to."""
    for start, end, found in matches(_DOMAIN, text):
        host = found.casefold().rpartition("/")[2].removeprefix("www.")
        known = any(host == site or host.endswith(f".{site}") for site in _WELL_KNOWN)
        if not known and not host.endswith((".gov", ".example", ".test")):
            yield Span("domain", start + len(found) - len(found.rpartition("/")[2]), end, 0.5)
