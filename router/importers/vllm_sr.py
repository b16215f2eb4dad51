"""A vLLM Semantic Router v0.3 configuration as a policy file: models, signals, projections, decisions, recipes.

Reads the configuration alone. Knows nothing of files: knowledge bases are given, and come back as files to be written.
What its plugins and looping algorithms do is not carried; every such thing is noted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experts.errors import InputError
from experts.spec import valid_name
from router.importers import Imported
from router.importers._vllm_knowledge import Knowledge
from router.importers._vllm_projections import project
from router.importers._vllm_rules import rule
from router.importers._vllm_signals import Signals


def convert(config: Mapping[str, Any], knowledge: Mapping[str, Mapping[str, Any]] | None = None) -> Imported:
    """`config` is the parsed YAML, `knowledge` the parsed examples of each knowledge base by its name.

    Raises `InputError` where it is no such configuration.
    """
    if not isinstance(config, Mapping) or not (config.get("routing") or config.get("recipes")):
        raise InputError("this is no vLLM Semantic Router configuration: it has neither routing nor recipes")
    if str(config.get("version", "v0.3")) != "v0.3":
        raise InputError(f"version {config['version']} is not known here", remedy="Known: v0.3.")
    out = Imported()
    bases = Knowledge.of(config, knowledge or {})
    names = _experts(config, out)
    default = _default(config, names)
    _session(config, out)
    routing = config.get("routing") or {}
    if routing.get("decisions"):
        out.policy |= _policy(routing, names, default, bases, out, "routing")
    elif default is not None:
        out.policy["decisions"] = [{"name": "default", "use": [default]}]
    for recipe in config.get("recipes") or ():
        _recipe(recipe, config, names, default, bases, out)
    for section in ("listeners", "evaluation", "global"):
        for place, what in _ignored(config, section):
            out.lose(place, what)
    return out


def _experts(config: Mapping[str, Any], out: Imported) -> dict[str, str]:
    """Ours for each model of the providers; returns our name for each of theirs."""
    cards = {card["name"]: card for card in _cards(config)}
    names: dict[str, str] = {}
    experts: dict[str, Any] = {}
    for model in (config.get("providers") or {}).get("models") or ():
        place = f"providers.models.{model['name']}"
        name = names[model["name"]] = _name(model["name"], out, place)
        backends = model.get("backend_refs") or ()
        expert: dict[str, Any] = {
            "backend": "openai",
            "url": _url(backends[0]) if backends else "http://127.0.0.1:8000/v1",
            "model": model.get("provider_model_id") or model["name"],
        }
        if backends and backends[0].get("api_key_env"):
            expert["api_key_env"] = backends[0]["api_key_env"]
        if not backends:
            out.lose(place, "it has no backend; a server on this machine is assumed")
        if len(backends) > 1:
            out.lose(place, f"of its {len(backends)} backends only the first is used")
        if model.get("reliability"):
            out.lose(place, "reliability: see `fallback` for retries and breakers here")
        expert |= _price(model.get("pricing") or {}, out, place)
        expert |= _card(cards.get(model["name"]) or {}, out)
        experts[name] = expert
    if not experts:
        raise InputError("the configuration has no providers.models, so nobody could answer")
    out.policy["experts"] = experts
    return names


def _cards(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for section in (config.get("routing") or {}, *(r.get("routing") or {} for r in config.get("recipes") or ())):
        yield from section.get("modelCards") or ()


def _price(pricing: Mapping[str, Any], out: Imported, place: str) -> dict[str, Any]:
    prices = {"input": pricing.get("prompt_per_1m"), "output": pricing.get("completion_per_1m")}
    if pricing and str(pricing.get("currency", "USD")).upper() != "USD":
        out.lose(place, f"prices in {pricing['currency']} are not carried: prices are US dollars here")
        return {}
    given = {key: float(value) for key, value in prices.items() if value}
    return {"price": given} if given else {}


def _card(card: Mapping[str, Any], out: Imported) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if card.get("description"):
        made["description"] = str(card["description"])
    if card.get("context_window_size"):
        made["context_tokens"] = int(card["context_window_size"])
    if card.get("capabilities"):
        made["skills"] = [str(one) for one in card["capabilities"]]
    if card.get("tags"):
        made["tags"] = [str(tag) for tag in card["tags"]]
        if "deployment:self_hosted" in made["tags"]:
            made["local"] = True
    if "quality_score" in card:
        out.lose(f"modelCards.{card['name']}", "quality_score: quality is learned from outcomes here")
    return made


def _url(backend: Mapping[str, Any]) -> str:
    if backend.get("base_url"):
        return str(backend["base_url"]).rstrip("/")
    return f"{backend.get('protocol') or 'http'}://{str(backend['endpoint']).rstrip('/')}/v1"


def _name(name: str, out: Imported, place: str) -> str:
    """The name, with what no name of ours may hold made a hyphen."""
    try:
        return valid_name(name)
    except ValueError:
        ours = "".join(c if c.isalnum() or c in "._-/@" else "-" for c in name).strip("-") or "model"
        out.lose(place, f"is called {ours} here: names hold letters, digits and . _ - / @")
        return valid_name(ours)


def _default(config: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    written = ((config.get("providers") or {}).get("defaults") or {}).get("default_model")
    return names.get(str(written)) or next(iter(names.values()), None)


def _session(config: Mapping[str, Any], out: Imported) -> None:
    """There, protection keeps a conversation with its model; where it is off, every request is routed by its signals."""
    learning = ((config.get("global") or {}).get("router") or {}).get("learning") or {}
    protection = learning.get("protection") or {}
    if not (learning.get("enabled") and protection.get("enabled")):
        out.policy["session"] = {"tool_loops": False, "follow_up_tokens": 0}
        return
    idle = (protection.get("tuning") or {}).get("idle_timeout_seconds")
    if idle:
        out.policy["session"] = {"ttl_s": float(idle)}
    out.lose("global.router.learning", "only protection is carried, as `session`; its margins and weights are not")


def _policy(
    section: Mapping[str, Any],
    names: Mapping[str, str],
    default: str | None,
    bases: Knowledge,
    out: Imported,
    place: str,
) -> dict[str, Any]:
    """Signals and decisions of one routing section."""
    signals = Signals(section, bases, out, place)
    project(section, signals)
    made: dict[str, Any] = {}
    if str(section.get("strategy") or "priority") == "confidence":
        made["order"] = "confidence"
    decisions = _decisions(section.get("decisions") or (), signals, names, default, out, place)
    if signals.made:
        made["signals"] = signals.made
    made["decisions"] = decisions
    return made


def _decisions(
    rows: Sequence[Mapping[str, Any]],
    signals: Signals,
    names: Mapping[str, str],
    default: str | None,
    out: Imported,
    place: str,
) -> list[dict[str, Any]]:
    """The decisions in the order in which they are asked, up to the first that always holds."""
    asked = sorted(rows, key=lambda row: (row.get("tier") is None, row.get("tier") or 0, -(row.get("priority") or 0)))
    made: list[dict[str, Any]] = []
    for row in asked:
        where = f"{place}.decisions.{row['name']}"
        if made and "when" not in made[-1]:
            out.lose(where, "can never be reached: the one before always holds")
            continue
        when = rule(row.get("rules"), signals.lookup, f"{where}.rules")
        if when is False:
            out.lose(where, "is left out: its rules can never hold with what could be carried")
            continue
        decision: dict[str, Any] = {"name": row["name"]}
        if row.get("description"):
            decision["description"] = str(row["description"]).strip()
        if when is not True:
            decision["when"] = str(when)
        decision["use"] = _use(row, names, default, out, where)
        decision |= _select(row.get("algorithm") or {}, out, where)
        decision |= {key: row[key] for key in ("priority", "tier") if row.get(key) is not None}
        for plugin in row.get("plugins") or ():
            out.lose(where, f"the plugin {plugin.get('type')} is not carried")
        made.append(decision)
    if not made or "when" in made[-1]:
        assert default is not None, "there is at least one expert"
        last = {"name": "default", "description": "the default model", "use": [default]}
        lowest = min((d.get("priority", 0) for d in made), default=0) - 1
        made.append({**last, "priority": lowest})
    return made


def _use(row: Mapping[str, Any], names: Mapping[str, str], default: str | None, out: Imported, place: str) -> list[str]:
    use: list[str] = []
    for ref in row.get("modelRefs") or ():
        name = names.get(ref["model"])
        if name is None:
            out.lose(place, f"the model {ref['model']!r} is not among the providers")
        elif name not in use:
            use.append(name)
        if ref.get("lora_name"):
            out.lose(place, f"the adapter {ref['lora_name']!r} is not carried")
        if ref.get("use_reasoning"):
            out.lose(place, "use_reasoning and reasoning_effort are not carried: write them as an expert's defaults")
    return use or ([default] if default is not None else [])


def _select(algorithm: Mapping[str, Any], out: Imported, place: str) -> dict[str, Any]:
    kind = str(algorithm.get("type") or "static")
    if kind == "static":
        return {}
    weights = (algorithm.get("multi_factor") or {}).get("weights") or {}
    heaviest = max(weights, key=lambda factor: float(weights[factor]), default="")
    ours = "latency" if kind == "latency_aware" else {"latency": "latency", "load": "least_load"}.get(heaviest)
    if ours is None:
        out.lose(place, f"the algorithm {kind} is not carried: the models are taken in their order")
        return {}
    out.lose(place, f"the algorithm {kind} became {ours}; its settings are not carried")
    return {"select": ours}


def _recipe(
    recipe: Mapping[str, Any],
    config: Mapping[str, Any],
    names: Mapping[str, str],
    default: str | None,
    bases: Knowledge,
    out: Imported,
) -> None:
    """A recipe becomes a policy, called by the first model name that leads to it."""
    entries = [row for row in config.get("entrypoints") or () if row.get("recipe") == recipe["name"]]
    called = [name for row in entries for name in row.get("model_names") or ()]
    name = _name(called[0] if called else recipe["name"], out, f"recipes.{recipe['name']}")
    for more in called[1:]:
        out.lose(f"recipes.{recipe['name']}", f"is not called {more} here, only {name}")
    made = _policy(recipe.get("routing") or {}, names, default, bases, out, f"recipes.{recipe['name']}")
    described = {"description": str(recipe["description"])} if recipe.get("description") else {}
    out.policy.setdefault("policies", {})[name] = {**described, **made}


def _ignored(config: Mapping[str, Any], section: str) -> Iterator[tuple[str, str]]:
    """What is not carried of the sections that are not about routing."""
    written = config.get(section)
    if not written:
        return
    if section == "listeners":
        yield section, "where the server listens is said in `server` or with --host and --port"
        return
    for key, inner in written.items() if isinstance(written, Mapping) else ():
        if key == "router":
            for name in inner.get("auto_model_names") or ():
                yield "global.router.auto_model_names", f"the model name {name} is `auto` here"
        else:
            yield f"{section}.{key}", "is not carried"
