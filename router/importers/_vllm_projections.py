"""Projections of vLLM Semantic Router (partitions, scores, mappings) as our derived signals. Knows no decisions."""

from collections.abc import Mapping
from typing import Any

from router.importers._vllm_rules import Truth, all_of, any_of, negated
from router.importers._vllm_signals import Signals
from router.tree import Compare, In, Matched, Not, Rule


def project(section: Mapping[str, Any], signals: Signals) -> None:
    """Add a routing section's projections to its signals: a partition first changes what its members mean."""
    written = section.get("projections") or {}
    for row in written.get("partitions") or ():
        _partition(row, signals)
    for row in written.get("scores") or ():
        _score(row, signals)
    for row in written.get("mappings") or ():
        _mapping(row, signals)


def _partition(row: Mapping[str, Any], signals: Signals) -> None:
    """Only the winner of the members matches afterwards. Domains are labels of one signal here, so exclusive already:
    the default among them also stands for a text whose domain is not known."""
    place = f"projections.partitions.{row['name']}"
    members = [name for name in row["members"] if ("embedding", name) in signals.means]
    domains = [name for name in row["members"] if ("domain", name) in signals.means]
    if len(members) + len(domains) < len(row["members"]):
        signals.lose(place, "members that are neither embedding nor domain are left out")
    default = str(row.get("default") or "")
    if default in domains and isinstance(found := signals.means["domain", default], Compare | In):
        signals.means["domain", default] = any_of((found, Not(Matched(found.name))))
    if len(members) < 2:
        return
    made: dict[str, Any] = {"type": "partition", "of": [_name(signals, "embedding", name) for name in members]}
    if str(row.get("semantics")) == "softmax_exclusive":
        made["temperature"] = float(row.get("temperature") or 1.0)
    if default in members:
        made["default"] = _name(signals, "embedding", default)
    ours = signals.add("partition", row["name"], made)
    for name in members:
        signals.means["embedding", name] = Compare(ours, None, "==", _name(signals, "embedding", name))


def _name(signals: Signals, kind: str, name: str) -> str:
    found = signals.means[kind, name]
    assert isinstance(found, Matched), "a partition's members are signals, each in one partition"
    return found.name


def _score(row: Mapping[str, Any], signals: Signals) -> None:
    place = f"projections.scores.{row['name']}"
    if row.get("method", "weighted_sum") != "weighted_sum":
        signals.lose(place, f"the method {row['method']!r} became a weighted sum")
    terms: list[dict[str, Any]] = []
    for i, one in enumerate(row["inputs"]):
        terms += _terms(one, signals, f"{place}.inputs[{i}]")
    if not terms:
        signals.lose(place, "nothing of it could be carried; it is 0")
        terms = [{"value": next(iter(signals.made)), "weight": 0.0}] if signals.made else []
    if terms:
        name = signals.add("score", row["name"], {"type": "score", "terms": terms})
        signals.means["score", row["name"]] = Matched(name)


def _terms(one: Mapping[str, Any], signals: Signals, place: str) -> list[dict[str, Any]]:
    """One input as terms of ours: what counts if it matches, and what if it does not."""
    kind, weight = str(one.get("type", "")), float(one.get("weight", 1.0))
    source = str(one.get("value_source") or "")
    if kind == "kb_metric":
        return _metric(one, signals, place, weight)
    if kind == "projection":
        found = signals.means.get(("score", str(one["name"]))) or signals.lookup(kind, str(one["name"]), place)
    else:
        found = signals.lookup(kind, str(one.get("name")), place)
    if isinstance(found, bool):
        return []
    if source in ("raw", "score"):
        if isinstance(found, Matched):
            return [{"value": found.name, "weight": weight}]
        signals.lose(place, "its raw value became whether it matches")
    if source == "confidence":
        return [{"when": str(found), "weight": weight, "by": "confidence"}]
    match, miss = float(one.get("match") or 1.0), float(one.get("miss") or 0.0)
    terms = [{"when": str(found), "weight": round(weight * match, 6)}]
    if miss:
        terms.append({"when": str(negated(found)), "weight": round(weight * miss, 6)})
    return terms


def _metric(one: Mapping[str, Any], signals: Signals, place: str, weight: float) -> list[dict[str, Any]]:
    """A knowledge base's number: the best cosine, or that of one group less that of another."""
    base = signals.knowledge.get(one["kb"])
    if base is None:
        signals.lose(place, f"the knowledge base {one['kb']!r} was not given (--kb {one['kb']}=FILE); it counts 0")
        return []

    def best(group: str | None) -> str:
        file = base.file if group is None else base.file.replace(".json", f".{group}.json")
        signals.out.files[file] = base.content if group is None else base.part(group)
        name = str(one["kb"]) if group is None else f"{one['kb']}-{group}"
        return signals.once(name, {"type": "kb", "file": file, "threshold": 0.0, "nearest": 2, "scope": "last"})

    metric = base.metrics.get(one["metric"])
    if metric is None:
        if one["metric"] in ("best_score", "best_matched_score"):
            return [{"value": best(None), "weight": weight}]
        signals.lose(place, f"the knowledge base has no metric {one['metric']!r}; it counts 0")
        return []
    return [
        {"value": best(metric["positive_group"]), "weight": weight},
        {"value": best(metric["negative_group"]), "weight": -weight},
    ]


def _mapping(row: Mapping[str, Any], signals: Signals) -> None:
    """Bands of a score; where several may hold at once (multi_emit, top_k) each is a comparison of its own."""
    place = f"projections.mappings.{row['name']}"
    source = signals.means.get(("score", row["source"]))
    if not isinstance(source, Matched):
        signals.lose(place, f"its score {row['source']!r} could not be carried; none of its bands holds")
        return
    outputs = row["outputs"]
    if row.get("method", "threshold_bands") == "threshold_bands":
        made: dict[str, Any] = {"type": "band", "of": source.name, "bands": [dict(one) for one in outputs]}
        if slope := (row.get("calibration") or {}).get("slope"):
            made["slope"] = float(slope)
        name = signals.add("band", row["name"], made)
        for one in outputs:
            signals.means["projection", one["name"]] = Compare(name, None, "==", one["name"])
        return
    if row["method"] != "multi_emit":
        signals.lose(place, f"of {row['method']} every band that holds counts")
    for one in outputs:
        signals.means["projection", one["name"]] = _within(source.name, one)


def _within(score: str, output: Mapping[str, Any]) -> Truth:
    signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    parts: list[Rule] = [
        Compare(score, None, sign, float(output[key]))  # type: ignore[arg-type]
        for key, sign in signs.items()
        if output.get(key) is not None
    ]
    return all_of(parts)
