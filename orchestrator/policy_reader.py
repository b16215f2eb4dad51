"""From the policy file's data to the router's and the experts' types, every part checked by the folder it belongs to.

Works on whatever is well-formed and notes what is not, so that all of a file's errors are told at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as Folder
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from experts import registry
from experts.catalog import Catalog
from experts.errors import ConfigError, MadrigalError
from experts.spec import ExpertSpec, valid_name
from orchestrator import plugin_files
from orchestrator.plugins import Kit
from orchestrator.policy_file import (
    BACKENDS,
    DEFAULT_EXPERTS,
    PLUGINS,
    SELECTORS,
    SIGNALS,
    STRATEGIES,
    ConstraintRow,
    DecisionRow,
    kind_of,
)
from orchestrator.problems import Problems, given, suggest
from orchestrator.yaml_marks import Path
from router import rules
from router.policy import Card, Tools, compile_policy
from router.spec import Choice, ConstraintSpec, DecisionSpec, PluginChoice, PolicySpec, SessionSpec, SignalSpec
from router.tree import names

DEFAULT_POLICY = "auto"
"""The policy of the top of the file, and the model name that asks for it."""

GUARDS = frozenset({"jailbreak", "pii"})
"""Signals whose failure is never taken for "nothing found"."""

R = TypeVar("R", bound=BaseModel)

COMMON = frozenset(ExpertSpec.model_fields) - {"name", "options"}
"""An expert's keys that mean the same for every backend."""


class Reader:
    """Reads the parts of one file that folders decide; what is wrong goes to `problems`."""

    def __init__(self, data: Mapping[str, Any], problems: Problems, folder: Folder = Folder()) -> None:
        self.data, self.problems, self.folder = data, problems, folder
        own = data.get("plugins")
        own = own.get("folder") if isinstance(own, dict) else None
        self.own = folder / Folder(own).expanduser() if isinstance(own, str) else None
        if self.own is not None and not self.own.is_dir():
            problems.add(f"there is no such folder: {self.own}", ("plugins", "folder"))
        named = data.get("policies")
        bodies = [data, *(body for _, body in _items(named) if isinstance(body, dict))]
        guarded = {signal for body in bodies for signal in _constrained(body.get("constraints"))}
        self.guarded = _with_parts(guarded, [row for body in bodies for row in _items(body.get("signals"))])

    def experts(self) -> dict[str, ExpertSpec]:
        """Every expert of the file that is right, or the default one where the file names none."""
        written = self.data.get("experts", DEFAULT_EXPERTS)
        found: dict[str, ExpertSpec] = {}
        for name, row in _items(written):
            spec = self.expert(name, row, ("experts", name))
            if spec is not None:
                found[name] = spec
        return found

    def expert(self, name: str, row: Any, path: Path) -> ExpertSpec | None:
        """One expert: its common keys, and the rest as its backend's `Params`."""
        if not self.name(name, path):
            return None
        if not isinstance(row, dict):
            self.problems.add(f"must be a mapping such as {{source: …}}; {given(row)} was given", path)
            return None
        if "options" in row or "name" in row:
            key = "options" if "options" in row else "name"
            why = "write the backend's keys beside the others" if key == "options" else "the key above is its name"
            self.problems.add(f"unknown key {key!r}: {why}", (*path, key), at_key=True)
            return None
        model = self.params(BACKENDS, row.get("backend", "llama_cpp"), (*path, "backend"))
        if model is None:
            return None
        common = {key: value for key, value in row.items() if key in COMMON}
        rest = {key: value for key, value in row.items() if key not in COMMON}
        options = self.problems.validate(model, rest, path, known=COMMON)
        spec = self.problems.validate(ExpertSpec, {"name": name, **common}, path)
        if options is None or spec is None:
            return None
        spec = spec.model_copy(update={"options": options})
        try:
            Catalog.of([spec])
        except MadrigalError as error:  # its backend cannot make an engine of it: no source, no url …
            key = getattr(error, "key", None) or ""
            more = key.removeprefix(f"experts.{name}").removeprefix(".")
            remedy = f". {error.remedy}" if error.remedy else ""
            message = error.message.removeprefix(f"{key}: ")
            self.problems.add(message + remedy, (*path, *filter(None, more.split("."))))
            return None
        return spec

    def policies(self, experts: Mapping[str, ExpertSpec]) -> dict[str, PolicySpec]:
        """`auto`, then each named policy with what it shares of the top."""
        top = self.policy(DEFAULT_POLICY, self.data, (), experts, None)
        found = {DEFAULT_POLICY: top} if top else {}
        for name, row in _items(self.data.get("policies")):
            path: Path = ("policies", name)
            self.name(name, path)
            if name == DEFAULT_POLICY:
                self.problems.add("'auto' is the policy at the top of the file; choose another name", path, at_key=True)
            elif name in _keys(self.data.get("experts", DEFAULT_EXPERTS)):
                self.problems.add(f"{name!r} is an expert; a policy needs a name of its own", path, at_key=True)
            elif isinstance(row, dict) and (policy := self.policy(name, row, path, experts, top)):
                found[name] = policy
        return found

    def policy(
        self, name: str, row: Mapping[str, Any], path: Path, experts: Mapping[str, ExpertSpec], top: PolicySpec | None
    ) -> PolicySpec | None:
        """One policy from its mapping; `top` is the policy whose signals and constraints hold for it too."""
        shared = top.signals if top else ()
        rows = list(_numbered(row.get("constraints"), ConstraintRow, (*path, "constraints"), self.problems))
        signals = shared + tuple(self.signals(row.get("signals"), (*path, "signals"), {s.name for s in shared}))
        known = {signal.name for signal in signals} | _keys(row.get("signals"))
        known |= _keys(self.data.get("signals"))
        for at, constraint in rows:
            self.rule(constraint.when, (*at, "when"), known)
        for signal in signals[len(shared) :]:
            for place, rule in _made_of(signal.type, signal.params):
                steps = (int(step) if step.isdigit() else step for step in place.split("."))
                self.rule(rule, (*path, "signals", signal.name, *steps), known)
        constraints = (top.constraints if top else ()) + tuple(
            ConstraintSpec(name=r.name or r.when, when=r.when, refuse=r.refuse, require=r.require) for _, r in rows
        )
        session = self.session(row.get("session"), (*path, "session"), known) or (top.session if top else SessionSpec())
        decisions = list(self.decisions(row.get("decisions"), (*path, "decisions"), known, experts))
        if "decisions" not in row and not path:
            decisions = [self.default_decision(experts)] if experts else []
        if not decisions:
            return None
        order = row.get("order", "priority")
        return PolicySpec(
            name=name,
            description=row.get("description", "") if isinstance(row.get("description", ""), str) else "",
            order=order if order in ("priority", "confidence") else "priority",
            session=session,
            signals=signals,
            constraints=constraints,
            decisions=tuple(decisions),
        )

    def session(self, written: Any, path: Path, known: set[str]) -> SessionSpec | None:
        """The session section, None where there is none (the file's own validation tells what is wrong with it)."""
        spec = self.problems.validate(SessionSpec, written, path) if isinstance(written, dict) else None
        if spec is not None and spec.unless is not None:
            self.rule(spec.unless, (*path, "unless"), known)
        return spec

    def signals(self, written: Any, path: Path, taken: set[str]) -> Iterator[SignalSpec]:
        """The signals of one mapping. Guards, and what any constraint reads, fail rather than miss."""
        for name, row in _items(written):
            at = (*path, name)
            if "`" in name or not name.isprintable():
                self.problems.add(f"{name!r} is no name that an expression can hold: no backticks", at, at_key=True)
            if name in taken:
                self.problems.add(f"signal {name!r} is already defined at the top of the file", at, at_key=True)
            if not isinstance(row, dict) or "type" not in row:
                known = ", ".join(registry.known(SIGNALS))
                self.problems.add(f"a signal needs a type, as in {{type: keyword, …}}; known: {known}", at)
                continue
            model = self.params(SIGNALS, row["type"], (*at, "type"))
            if model is None:
                continue
            rest = {key: value for key, value in row.items() if key not in ("type", "on_error")}
            params = self.problems.validate(model, rest, at, known=("type", "on_error"))
            on_error = row.get("on_error", "fail" if row["type"] in GUARDS or name in self.guarded else "no_match")
            if on_error not in ("match", "no_match", "fail"):
                self.problems.add(f"must be match, no_match or fail; {given(on_error)} was given", (*at, "on_error"))
            elif params is not None:
                yield SignalSpec(name=name, type=row["type"], on_error=on_error, params=params)

    def decisions(
        self, written: Any, path: Path, known: set[str], experts: Mapping[str, ExpertSpec]
    ) -> Iterator[DecisionSpec]:
        """The decisions of one list."""
        seen: dict[str, int] = {}
        all_experts = _keys(self.data.get("experts", DEFAULT_EXPERTS))
        for at, row in _numbered(written, DecisionRow, path, self.problems):
            position = int(at[-1])
            name = row.name or f"decision-{position + 1}"
            if name in seen:
                self.problems.add(
                    f"decision {name!r} is here twice; the first is number {seen[name] + 1}", (*at, "name")
                )
            seen.setdefault(name, position)
            if row.when is not None:
                self.rule(row.when, (*at, "when"), known)
            use = (row.use,) if isinstance(row.use, str) else row.use
            self.use(use, (*at, "use"), all_experts, alone=isinstance(row.use, str))
            select = self.choice(SELECTORS, row.select, (*at, "select"))
            strategy = self.choice(STRATEGIES, row.strategy, (*at, "strategy"))
            self.named(strategy, (*at, "strategy"), all_experts)
            self.ruled(strategy, (*at, "strategy"), known)
            self.able(strategy, (*at, "strategy"), {name: experts[name] for name in use if name in experts})
            plugins = [self.plugin(one, (*at, "plugins", i), known) for i, one in enumerate(row.plugins)]
            if select and strategy and use and all(expert in experts for expert in use):
                yield DecisionSpec(
                    name=name,
                    when=row.when,
                    use=use,
                    select=select,
                    strategy=strategy,
                    plugins=tuple(plugin for plugin in plugins if plugin),
                    priority=row.priority,
                    tier=row.tier,
                    description=row.description,
                )

    def compile(self, policy: PolicySpec, cards: Mapping[str, Card], tools: Tools) -> None:
        """Compile a policy that was read without problems, to learn whether it runs."""
        try:
            compile_policy(policy, cards, tools)
        except ConfigError as error:
            key = error.key or ""
            remedy = f". {error.remedy}" if error.remedy else ""
            self.problems.add(error.message.removeprefix(f"{key}: ") + remedy, self.place(policy, key))

    def place(self, policy: PolicySpec, key: str) -> Path:
        """Where in the file a key of the compiler is: `signals.NAME`, `constraints.2.when`, `decisions.NAME.select`."""
        own: Path = () if policy.name == DEFAULT_POLICY else ("policies", policy.name)
        section, _, rest = key.partition(".")
        if section == "signals":
            return (*own, section, rest) if self.problems.doc.node((*own, section, rest)) else (section, rest)
        if section == "constraints":
            shared = len(self.data.get(section, ())) if own else 0
            number, *more = rest.split(".")
            at = int(number)
            return (*own, section, at - shared, *more) if at >= shared else (section, at, *more)
        if section == "decisions":
            for i, decision in enumerate(policy.decisions):
                for name in (str(i), decision.name):
                    if rest == name or rest.startswith(f"{name}."):
                        return (*own, section, i, *filter(None, rest[len(name) :].split(".")))
        return (*own, section) if section else own

    def default_decision(self, experts: Mapping[str, ExpertSpec]) -> DecisionSpec:
        """What holds where the file has no decisions: every expert, the first that can."""
        select, strategy = self.choice(SELECTORS, "static", ()), self.choice(STRATEGIES, "single", ())
        assert select and strategy, "the default selector and strategy need no parameters"
        return DecisionSpec(name="default", when=None, use=tuple(experts), select=select, strategy=strategy)

    def use(self, use: tuple[str, ...], path: Path, experts: set[str], *, alone: bool) -> None:
        """Check that every expert of a decision exists, once."""
        if not use:
            self.problems.add("at least one expert is needed", path)
        for i, expert in enumerate(use):
            at = path if alone else (*path, i)
            if expert not in experts:
                self.problems.add(f"unknown expert {expert!r}{suggest(expert, experts)}", at)
            elif expert in use[:i]:
                self.problems.add(f"expert {expert!r} is here twice", at)

    def plugin(self, written: Any, path: Path, known: set[str]) -> PluginChoice | None:
        """A plugin as its name or as `{type: name, when: …, …}`, built once to learn whether it can be."""
        when = written.get("when") if isinstance(written, dict) else None
        rest = {key: value for key, value in written.items() if key != "when"} if isinstance(written, dict) else written
        if when is not None and not isinstance(when, str):
            self.problems.add(f"must be an expression over signals; {given(when)} was given", (*path, "when"))
            return None
        if when is not None:
            self.rule(when, (*path, "when"), known)
        choice = self.choice(PLUGINS, rest, path)
        if choice is None:
            return None
        try:
            plugin_files.load(choice.type, self.own).build(choice.params, Kit(folder=self.folder))
        except MadrigalError as error:
            remedy = f". {error.remedy}" if error.remedy else ""
            key = getattr(error, "key", None) or ""
            self.problems.add(error.message + remedy, (*path, *filter(None, key.split("."))))
            return None
        return PluginChoice(type=choice.type, params=choice.params, when=when)

    def named(self, strategy: Choice | None, path: Path, experts: set[str]) -> None:
        """Check that the experts which a strategy's parameters name exist."""
        names = getattr(registry.load(STRATEGIES, strategy.type), "experts", None) if strategy else None
        for place, expert in names(strategy.params) if names and strategy else ():
            if expert not in experts:
                steps = (int(step) if step.isdigit() else step for step in place.split("."))
                self.problems.add(f"unknown expert {expert!r}{suggest(expert, experts)}", (*path, *steps))

    def ruled(self, strategy: Choice | None, path: Path, known: set[str]) -> None:
        """Check the expressions among a strategy's parameters."""
        rules_of = getattr(registry.load(STRATEGIES, strategy.type), "rules", None) if strategy else None
        for place, text in rules_of(strategy.params) if rules_of and strategy else ():
            self.rule(text, (*path, place), known)

    def able(self, strategy: Choice | None, path: Path, experts: Mapping[str, ExpertSpec]) -> None:
        """Check that the engines of a decision's experts can give what a strategy needs of them."""
        needs = getattr(registry.load(STRATEGIES, strategy.type), "needs", None) if strategy else None
        if strategy is None or needs is None:
            return
        for place, feature, name in needs(strategy.params, tuple(experts)):
            spec = experts[name]
            if feature not in registry.load(BACKENDS, spec.backend).capabilities(spec).features:
                wanted = getattr(strategy.params, place)
                why = f"the strategy {strategy.type} needs {feature} for {place}: {wanted}, which {name!r} cannot give"
                self.problems.add(f"{why} (backend {spec.backend})", (*path, place))

    def choice(self, package: str, written: Any, path: Path) -> Choice | None:
        """A file of `package` and its parameters, written as its name or as `{type: name, …}`."""
        kind = kind_of(package)
        if isinstance(written, dict) and "type" not in written:
            known = ", ".join(self.known(package))
            self.problems.add(f"a {kind} needs a type, as in {{type: name, …}}; known: {known or 'none'}", path)
            return None
        named = isinstance(written, dict)
        name = written["type"] if named else written
        model = self.params(package, name, (*path, "type") if named else path)
        if model is None:
            return None
        rest = {key: value for key, value in written.items() if key != "type"} if named else {}
        params = self.problems.validate(model, rest, path, known=("type",))
        return None if params is None else Choice(type=name, params=params)

    def params(self, package: str, name: Any, path: Path) -> type[BaseModel] | None:
        """The `Params` of the file that `name`, found at `path`, is in `package`."""
        kind = kind_of(package)
        if not isinstance(name, str):
            self.problems.add(f"must be the name of a {kind}; {given(name)} was given", path)
            return None
        known = self.known(package)
        if name not in known:
            self.problems.add(f"unknown {kind} {name!r}{suggest(name, known)}", path)
            return None
        try:
            file = plugin_files.load(name, self.own) if package == PLUGINS else registry.load(package, name)
        except ConfigError as error:  # a user's own file
            self.problems.add(str(error), path)
            return None
        model: type[BaseModel] = file.Params
        return model

    def known(self, package: str) -> tuple[str, ...]:
        """Names of a folder's files, a user's own among the plugins."""
        return plugin_files.known(self.own) if package == PLUGINS else registry.known(package)

    def rule(self, text: str, path: Path, known: set[str]) -> None:
        """Check one expression; what is wrong is told at its character in the file."""
        try:
            rules.parse(text, known)
        except rules.RuleError as error:
            remedy = f" {error.remedy}" if error.remedy else ""
            self.problems.add(f"{error.summary}.{remedy}", path, offset=error.offset)

    def name(self, name: str, path: Path) -> bool:
        """Check the name of an expert or policy."""
        try:
            valid_name(name)
        except ValueError as error:
            self.problems.add(str(error), path, at_key=True)
            return False
        return True


def _items(written: Any) -> Iterator[tuple[str, Any]]:
    """The items of a mapping; nothing where it is none (the file's own validation tells so)."""
    return iter(written.items() if isinstance(written, dict) else ())


def _keys(written: Any) -> set[str]:
    return set(written) if isinstance(written, dict) else set()


def _constrained(written: Any) -> Iterator[str]:
    """The signals that the constraints of a list read, as far as they are right."""
    for row in written if isinstance(written, list) else ():
        if isinstance(row, dict) and isinstance(row.get("when"), str):
            yield from _reads(row["when"])


def _reads(rule: str) -> frozenset[str]:
    """The signals an expression reads; none where it is wrong, which `Reader.rule` tells."""
    try:
        return names(rules.parse(rule))
    except ConfigError:
        return frozenset()


def _made_of(kind: str, params: BaseModel) -> Iterable[tuple[str, str]]:
    """What a derived signal reads: places and expressions. Nothing for a signal that reads the prompt."""
    file = registry.load(SIGNALS, kind)
    reads: Iterable[tuple[str, str]] = file.reads(params) if file.COST == "derived" else ()
    return reads


def _with_parts(guarded: set[str], rows: list[tuple[str, Any]]) -> set[str]:
    """These signals and all that they are made of, as far as they are right."""
    found, waiting = set[str](), set(guarded)
    while waiting:
        name = waiting.pop()
        found.add(name)
        for row in (row for other, row in rows if other == name and isinstance(row, dict)):
            if row.get("type") not in registry.known(SIGNALS):
                continue
            model: type[BaseModel] = registry.load(SIGNALS, row["type"]).Params
            try:
                params = model.model_validate({k: v for k, v in row.items() if k not in ("type", "on_error")})
            except ValidationError:  # told where the signal itself is read
                continue
            waiting |= {part for _, rule in _made_of(row["type"], params) for part in _reads(rule)} - found
    return found


def _numbered(written: Any, model: type[R], path: Path, problems: Problems) -> Iterator[tuple[Path, R]]:
    """Every row of a list that is right, with its place. Wrong rows are told by the file's own validation."""
    for i, row in enumerate(written if isinstance(written, list) else ()):
        checked = problems.validate(model, row, (*path, i))
        if checked is not None:
            yield (*path, i), checked
