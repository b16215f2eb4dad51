"""Signals of vLLM Semantic Router v0.3 as ours: each family's rules, and what a decision's (type, name) means here.

Knows nothing of decisions. Texts are read where it reads them: the last user turn. Its similarities are those of other
embedding models than ours, so thresholds on them are moved by one factor a family, the same for every configuration.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from router.importers import Imported
from router.importers._vllm_knowledge import Knowledge
from router.importers._vllm_rules import Truth, all_of, any_of, bounds, negated, rule
from router.tree import Compare, In, Matched

EMBEDDING = 0.72
"""Our cosine for one of 1 there."""
COMPLEXITY = 0.9
"""Our difference of cosines for one of 1 there."""
CONTRAST = 0.1
"""Difference of cosines from which a pattern of attacks counts, where a rule names none: its default."""
DOMAIN = 0.7
"""Our confidence in a domain, which is calibrated, for one of 1 there: classifiers that are not tend to be too sure."""
DOMAIN_THRESHOLD = 0.5
"""Confidence below which it knows no domain, where its configuration does not say: its default."""
_MODALITIES = {"AR": ("text",), "DIFFUSION": ("image", "audio", "video"), "BOTH": ("image", "audio", "video")}
_FEEDBACK = {
    "satisfied": "satisfied",
    "need_clarification": "need clarification",
    "wrong_answer": "wrong answer",
    "want_different": "want different",
}
_PII = {
    "PERSON": "name",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
    "ORGANIZATION": "organization",
    "DOMAIN_NAME": "domain",
}
_ALL_PII = ("email", "phone", "card", "iban", "ssn", "ip", "mac", "secret", "name", "organization", "domain")
Row = Mapping[str, Any]


class Signals:
    """The signals of one routing section: `made` is ours, `means` what (type, name) stands for."""

    def __init__(self, section: Row, knowledge: Knowledge, out: Imported, place: str) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.means: dict[tuple[str, str], Truth] = {}
        self.knowledge, self.out, self.place = knowledge, out, place
        self._composers: list[tuple[str, str, Row]] = []
        written = section.get("signals") or {}
        families: dict[str, tuple[str, Callable[[Row, str], None]]] = {
            "keywords": ("keyword", self._keyword),
            "embeddings": ("embedding", self._embedding),
            "domains": ("domain", self._domain),
            "fact_check": ("fact_check", self._fact_check),
            "user_feedbacks": ("user_feedback", self._feedback),
            "reasks": ("reask", self._reask),
            "preferences": ("preference", self._preference),
            "language": ("language", self._language),
            "context": ("context", self._context),
            "structure": ("structure", self._structure),
            "conversation": ("conversation", self._conversation),
            "complexity": ("complexity", self._complexity),
            "modality": ("modality", self._modality),
            "role_bindings": ("authz", self._role),
            "jailbreak": ("jailbreak", self._jailbreak),
            "pii": ("pii", self._pii),
            "kb": ("kb", self._kb),
            "events": ("event", self._event),
            "metadata": ("metadata", self._metadata),
        }
        self._clashes = _clashing(written)
        for family, rows in written.items():
            if family not in families:
                self.lose(f"signals.{family}", "signals of this family are not known here; what asks them is false")
                continue
            for row in rows:
                families[family][1](row, f"signals.{family}.{row.get('name')}")
        for name, label, composer in self._composers:
            where = f"signals.complexity.{name}.composer"
            self.means["complexity", f"{name}:{label}"] = all_of(
                (self.means["complexity", f"{name}:{label}"], rule(composer, self.lookup, where))
            )

    def lookup(self, kind: str, name: str, place: str) -> Truth:
        """What a condition means; false, and noted, where it means nothing here."""
        found = self.means.get((kind, name))
        if found is None:
            self.lose(place, f"the condition {kind} {name!r} has no meaning here; it counts as false")
            return False
        return found

    def lose(self, place: str, what: str) -> None:
        """Note what was not carried."""
        self.out.lose(f"{self.place}.{place}", what)

    def add(self, kind: str, name: str, row: dict[str, Any]) -> str:
        """A signal of ours, under its own name or, where two families share it, with its family's."""
        ours = f"{name} ({kind})" if name in self._clashes else name
        ours = ours.replace("`", "'")
        while ours in self.made:
            ours += "'"
        self.made[ours] = row
        return ours

    def once(self, name: str, row: dict[str, Any]) -> str:
        """The one signal that several of theirs are labels of."""
        for ours, known in self.made.items():
            if known == row:
                return ours
        return self.add("label", name, row)

    def _keyword(self, row: Row, place: str) -> None:
        words, operator = list(row["keywords"]), str(row.get("operator", "OR")).upper()
        case = {"case_sensitive": True} if row.get("case_sensitive") else {}
        method = str(row.get("method") or "").lower()
        key = {"regex": "regex", "bm25": "bm25", "ngram": "ngram"}.get(method, "any")
        more: dict[str, Any] = {"scope": "last", **case}
        if method == "bm25":
            more["bm25_threshold"] = row.get("bm25_threshold") or 0.1
        if method == "ngram":
            more |= {"ngram_threshold": row.get("ngram_threshold") or 0.4, "ngram_arity": row.get("ngram_arity") or 3}
        if row.get("fuzzy_match"):
            key = "fuzzy"
            shortest = sum(map(len, words)) / len(words)
            more["threshold"] = round(max(0.5, 1 - (row.get("fuzzy_threshold") or 2) / max(shortest, 4)), 2)
            self.lose(place, f"edits allowed became a similarity of {more['threshold']}")
        name = row["name"]
        if operator == "AND" and key == "any":
            self.means["keyword", name] = Matched(self.add("keyword", name, {"type": "keyword", "all": words, **more}))
        elif operator == "AND":
            parts = [
                self.add("keyword", f"{name}-{i}", {"type": "keyword", key: [w], **more}) for i, w in enumerate(words)
            ]
            self.means["keyword", name] = all_of([Matched(part) for part in parts])
        else:
            found = Matched(self.add("keyword", name, {"type": "keyword", key: words, **more}))
            self.means["keyword", name] = negated(found) if operator == "NOR" else found

    def _embedding(self, row: Row, place: str) -> None:
        over = str(row.get("aggregation_method") or "max")
        made = {
            "type": "embedding",
            "candidates": list(row["candidates"]),
            "threshold": round(float(row.get("threshold", 0.7)) * EMBEDDING, 3),
            **({"over": over} if over in ("mean", "any") else {}),
            "scope": "last",
        }
        if str(row.get("query_modality") or "text") != "text":
            self.lose(place, "it compares images; here it compares the text")
        self.means["embedding", row["name"]] = Matched(self.add("embedding", row["name"], made))

    def _domain(self, row: Row, place: str) -> None:
        module = (self.knowledge.modules.get("classifier") or {}).get("domain") or {}
        least = round(float(module.get("threshold") or DOMAIN_THRESHOLD) * DOMAIN, 3)
        name = self.once("domain", {"type": "domain", "min_confidence": least, "scope": "last"})
        labels = tuple(row.get("mmlu_categories") or (row["name"],))
        known = tuple(label for label in labels if label in DOMAINS)
        if len(known) < len(labels):
            self.lose(place, f"no subject of ours: {', '.join(label for label in labels if label not in known)}")
        self.means["domain", row["name"]] = (
            False
            if not known
            else Compare(name, None, "==", known[0])
            if len(known) == 1
            else In(name, None, False, known)
        )

    def _fact_check(self, row: Row, place: str) -> None:
        made = {"type": "fact_check", "scope": "last"}
        negative = row["name"] in ("no_fact_check_needed",)
        found = Matched(self.once("needs_fact_check", made))
        self.means["fact_check", row["name"]] = negated(found) if negative else found

    def _feedback(self, row: Row, place: str) -> None:
        label = _FEEDBACK.get(row["name"])
        if label is None:
            self.lose(place, "no kind of feedback of ours")
            return
        name = self.once("feedback", {"type": "feedback"})
        self.means["user_feedback", row["name"]] = Compare(name, None, "==", label)

    def _reask(self, row: Row, place: str) -> None:
        turns = int(row.get("lookback_turns") or 1)
        threshold = round(float(row.get("threshold", 0.8)) * 0.95, 3)
        made = {"type": "reask", "threshold": threshold, "turns": turns, "min_count": turns}
        self.means["reask", row["name"]] = Matched(self.add("reask", row["name"], made))

    def _preference(self, row: Row, place: str) -> None:
        told = [text for text in (row.get("description"), *(row.get("examples") or ())) if text]
        name = next((n for n, s in self.made.items() if s["type"] == "preference"), None)
        if name is None:
            name = self.add("preference", "preference", {"type": "preference", "routes": {}, "scope": "last"})
        self.made[name]["routes"][row["name"]] = told or [row["name"]]
        self.means["preference", row["name"]] = Compare(name, None, "==", row["name"])

    def _language(self, row: Row, place: str) -> None:
        code = str(row["name"]).lower().split("-")[0]
        made = {"type": "language", "min_confidence": float(row.get("threshold") or 0.3), "scope": "last"}
        self.means["language", row["name"]] = Compare(self.once("language", made), None, "==", code)

    def _context(self, row: Row, place: str) -> None:
        made: dict[str, Any] = {"type": "context", "min_tokens": tokens(row.get("min_tokens", 0))}
        if row.get("max_tokens") not in (None, ""):
            made["max_tokens"] = tokens(row["max_tokens"])
        self.means["context", row["name"]] = Matched(self.add("context", row["name"], made))

    def _structure(self, row: Row, place: str) -> None:
        feature, source = row["feature"], row["feature"]["source"]
        made: dict[str, Any] = {"type": "structure"}
        match source["type"]:
            case "regex":
                made |= {"regex": source["pattern"], "case_sensitive": True}
            case "keyword_set":
                made["words"] = list(source["keywords"])
            case "sequence":
                made["sequences"] = [list(words) for words in source["sequences"]]
            case "text_bytes":
                made["of"] = "bytes"
            case other:
                self.lose(place, f"a source of type {other!r} is not known here; it never matches")
                return
        if source.get("case_sensitive"):
            made["case_sensitive"] = True
        made["measure"] = "sequence" if "sequences" in made else feature["type"]
        made |= bounds(row.get("predicate"))
        made["scope"] = "last"
        self.means["structure", row["name"]] = Matched(self.add("structure", row["name"], made))

    def _conversation(self, row: Row, place: str) -> None:
        source = row["feature"]["source"]
        of = {
            "message": source.get("role") or "messages",
            "tool_definition": "tools",
            "assistant_tool_call": "tool_calls",
            "assistant_tool_cycle": "tool_results",
            "active_tool_loop": "tool_loop",
            "image_content": "images",
        }.get(source["type"])
        if of is None:
            self.lose(place, f"a source of type {source['type']!r} is not known here; it never matches")
            return
        made = {"type": "conversation", "of": of}
        made |= {key: int(value) for key, value in bounds(row.get("predicate")).items()}
        self.means["conversation", row["name"]] = Matched(self.add("conversation", row["name"], made))

    def _complexity(self, row: Row, place: str) -> None:
        name = row["name"]
        hard, easy = ((row.get(side) or {}).get("candidates") or [] for side in ("hard", "easy"))
        made: dict[str, Any] = {"type": "complexity", "scope": "last"}
        if hard and easy:
            threshold = round(float(row.get("threshold", 0.1)) * COMPLEXITY, 3)
            made |= {"hard": list(hard), "easy": list(easy), "threshold": threshold}
        else:
            self.lose(place, "without examples of both sides our own head judges")
        ours = self.add("complexity", name, made)
        for label in ("hard", "medium", "easy"):
            self.means["complexity", f"{name}:{label}"] = Compare(ours, None, "==", label)
            if row.get("composer"):
                self._composers.append((name, label, row["composer"]))
        self.means["complexity", name] = Matched(ours)

    def _modality(self, row: Row, place: str) -> None:
        kinds = _MODALITIES.get(str(row["name"]).upper())
        if kinds is None:
            self.lose(place, "no modality of ours")
            return
        name = self.once("modality", {"type": "modality", "scope": "last"})
        self.means["modality", row["name"]] = In(name, None, False, kinds)

    def _role(self, row: Row, place: str) -> None:
        lists: dict[str, list[str]] = {"users": [], "roles": [], "tenants": []}
        for subject in row.get("subjects") or ():
            key = {"user": "users", "group": "roles", "team": "tenants"}.get(str(subject.get("kind")).lower())
            if key is not None:
                lists[key].append(str(subject["name"]))
        if not any(lists.values()):
            self.lose(place, "it names no user, group or team")
            return
        made = {"type": "role", **{key: names for key, names in lists.items() if names}}
        ours = Matched(self.add("authz", row["name"], made))
        self.means["authz", row["name"]] = ours
        self.means.setdefault(("authz", str(row.get("role") or row["name"])), ours)

    def _jailbreak(self, row: Row, place: str) -> None:
        patterns = list(row.get("jailbreak_patterns") or ())
        scope = "user" if row.get("include_history") else "last"
        method = str(row.get("method") or "classifier")
        threshold = row.get("threshold")
        found: list[Truth] = []
        if method != "contrastive" or not patterns:
            if threshold is not None:
                self.lose(place, f"its threshold {threshold} is one of another classifier; ours keeps its own")
            found.append(Matched(self.add("jailbreak", row["name"], {"type": "jailbreak", "scope": scope})))
        if method != "classifier" and patterns:
            made: dict[str, Any] = {"type": "embedding", "candidates": patterns, "scope": scope}
            if benign := list(row.get("benign_patterns") or ()):
                least = float(threshold) if threshold is not None and method == "contrastive" else CONTRAST
                made |= {"against": benign, "threshold": round(least * COMPLEXITY, 3)}
            name = row["name"] if not found else f"{row['name']}-patterns"
            found.append(Matched(self.add("jailbreak", name, made)))
        self.means["jailbreak", row["name"]] = any_of(found)

    def _pii(self, row: Row, place: str) -> None:
        allowed = row.get("pii_types_allowed") or ()
        kinds = [kind for kind in _ALL_PII if kind not in {_PII.get(one) for one in allowed}]
        if unknown := [one for one in allowed if one not in _PII]:
            self.lose(place, f"allowed kinds that are not looked for here anyway: {', '.join(unknown)}")
        made: dict[str, Any] = {"type": "pii", "threshold": float(row.get("threshold") or 0.5)}
        if allowed:
            made["kinds"] = kinds
        made["scope"] = "user" if row.get("include_history") else "last"
        self.means["pii", row["name"]] = Matched(self.add("pii", row["name"], made))

    def _kb(self, row: Row, place: str) -> None:
        base = self.knowledge.get(row["kb"])
        if base is None:
            self.lose(
                place, f"the knowledge base {row['kb']!r} was not given (--kb {row['kb']}=FILE); it never matches"
            )
            return
        target, value = row["target"]["kind"], row["target"]["value"]
        labels = base.groups.get(value, ()) if target == "group" else (value,)
        labels = tuple(label for label in labels if label in base.labels)
        if not labels:
            self.lose(place, f"the knowledge base has no {target} {value!r}; it never matches")
            return
        made: dict[str, Any] = {"type": "kb", "file": base.file, "threshold": 0.0, "nearest": 2, "scope": "last"}
        self.out.files[base.file] = base.content
        if str(row.get("match") or "best") == "threshold":
            made |= {"in": list(labels), "match": "any", "threshold": round(base.threshold * EMBEDDING, 3)}
            self.means["kb", row["name"]] = Matched(self.add("kb", row["name"], made))
            return
        name = self.once(row["kb"], made)
        self.means["kb", row["name"]] = (
            Compare(name, None, "==", labels[0]) if len(labels) == 1 else In(name, None, False, labels)
        )

    def _event(self, row: Row, place: str) -> None:
        made = {
            "type": "event",
            "types": list(row.get("event_types") or ()),
            "severities": list(row.get("severities") or ()),
            "codes": list(row.get("action_codes") or ()),
            "urgent": bool(row.get("temporal")),
        }
        made = {key: value for key, value in made.items() if value}
        self.means["event", row["name"]] = Matched(self.add("event", row["name"], made))

    def _metadata(self, row: Row, place: str) -> None:
        tests = {
            key: row["predicate"][key] for key in ("equals", "in", "exists") if key in (row.get("predicate") or {})
        }
        made = {"type": "metadata", "metadata": row["key"], **tests}
        self.means["metadata", row["name"]] = Matched(self.add("metadata", row["name"], made))


DOMAINS = (
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
)


def tokens(written: Any) -> int:
    """`16K`, `1M`, `"999"` as a number."""
    text = str(written).strip().upper()
    factor = {"K": 1000, "M": 1_000_000}.get(text[-1:], 1)
    return int(float(text.rstrip("KM")) * factor)


def _clashing(written: Mapping[str, Any]) -> set[str]:
    """Names that two families use."""

    def names() -> Iterator[tuple[str, str]]:
        for family, rows in written.items():
            for row in rows or ():
                yield family, str(row.get("name"))

    families: dict[str, set[str]] = {}
    for family, name in names():
        families.setdefault(name, set()).add(family)
    return {name for name, found in families.items() if len(found) > 1} | {"domain", "feedback", "language", "modality"}
