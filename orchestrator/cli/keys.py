"""`madrigal keys`: make, list and revoke keys while the server runs, and see what each has used."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from experts.errors import InputError, NotFoundError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, emit_json, out, table
from orchestrator.cli._store import StoreOption, read_config, with_store

if TYPE_CHECKING:
    from orchestrator.caller import Key
    from orchestrator.keys import Keys
    from orchestrator.store.records import UsageRow
    from orchestrator.store.store import Store

app = typer.Typer(help="Who may call: make, list and revoke keys, and see what each has used.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is called in lists, usage and logs.")],
    tenant: Annotated[str, typer.Option(help="Whose requests these are.")] = "default",
    user: Annotated[str | None, typer.Option(help="Who the caller is, for policies and the log.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="admin, trace, or a word your policy asks for. Repeatable.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it may call, prefix/* allowed. Repeatable.  [default: all]")
    ] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests it may start in any minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens it may use in any minute.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="US dollars it may spend in --period.")] = None,
    period: Annotated[
        Literal["total", "day", "month"], typer.Option(help="When the budget starts anew (UTC).")
    ] = "month",
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 2026-12-31 (its end), a time with zone, or 12h, 30d.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Make a key and show its token, once: only a hash of it is stored."""
    from orchestrator.caller import Quota

    ends = None if expires is None else moment(expires, datetime.now(UTC)).timestamp()

    async def work(keys: Keys) -> tuple[Key, str]:
        return await keys.create(
            name,
            tenant=tenant,
            user=user,
            roles=role or (),
            models=model or (),
            quota=Quota(rpm, tpm, budget, period),
            expires_at=ends,
        )

    key, token = _with_keys(store, config, work)
    if json:
        emit_json({**_described(key), "token": token})
        return
    out().print(f"Key {key.name!r} ({key.id}) is in force. Its token is shown only now:\n", markup=False)
    print(token)


@app.command("list")
def list_(
    revoked: Annotated[bool, typer.Option("--revoked", help="Also those no longer in force.")] = False,
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Show the keys of the database. Those of the configuration file are there to be read."""
    found = _with_keys(store, config, lambda keys: keys.list(revoked=revoked))
    if json:
        emit_json([_described(key) for key in found])
        return
    if not found:
        out().print("No keys. 'madrigal keys create NAME' makes one.")
        return
    shown = table("name", "id", "tenant", "roles", "models", "limits", "state")
    shown.columns[1].no_wrap = True
    for key in found:
        shown.add_row(
            key.name,
            key.id,
            f"{key.tenant}/{key.user}" if key.user else key.tenant,
            ", ".join(sorted(key.roles)),
            ", ".join(key.models) or "all",
            _limits(key),
            _state(key),
        )
    out().print(shown)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Put a key out of force. Running servers follow within two seconds."""
    key = _with_keys(store, config, lambda keys: keys.revoke(name))
    out().print(f"Key {key.name!r} ({key.id}) is revoked.", markup=False)


@app.command()
def usage(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    since: Annotated[str | None, typer.Option(help="First day (UTC), 2026-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day (UTC).")] = None,
    by: Annotated[Literal["day", "expert", "decision"], typer.Option(help="What a row is.")] = "day",
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Show what a key has used: requests, tokens, dollars."""
    first, last = _date(since, "--since"), _date(until, "--until")

    async def work(opened: Store) -> list[UsageRow]:
        from orchestrator.store import queries

        return await queries.usage(opened, key_id=await _id_of(name, opened, config), since=first, until=last, by=by)

    rows = with_store(store, config, work)
    if json:
        emit_json([{by: row.group, **_amounts(row)} for row in rows])
        return
    if not rows:
        out().print("Nothing was used in that time.")
        return
    shown = table(by, "requests", "calls", "prompt tokens", "completion tokens", "cached tokens", "USD")
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in rows:
        shown.add_row(
            row.group or "(none)",
            *(f"{amount:,}" for amount in list(_amounts(row).values())[:-1]),
            f"{row.cost_usd:.6f}",
        )
    out().print(shown)


def moment(text: str, now: datetime) -> datetime:
    """The moment `text` means: `12h` or `30d` from `now`, the end of a UTC day, or a time with its zone."""
    try:
        if match := re.fullmatch(r"(\d{1,6})([hd])", text):
            return now + int(match[1]) * (timedelta(hours=1) if match[2] == "h" else timedelta(days=1))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1)
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        given = None
    if given is None or given.tzinfo is None:
        raise InputError(
            f"--expires must be a day, a time with zone, or a span, not {text!r}.",
            remedy="For example 2026-12-31, 2026-12-31T18:00+01:00, 12h or 30d.",
        )
    return given


def _with_keys(url: str | None, config: Path, work: Any) -> Any:
    async def run(opened: Store) -> Any:
        from orchestrator.keys import Keys

        return await work(await Keys.open(opened))

    return with_store(url, config, run)


async def _id_of(name: str, opened: Store, config: Path) -> str:
    from orchestrator.caller import ANONYMOUS
    from orchestrator.keys import Keys

    loaded = read_config(config)
    ids = {ANONYMOUS.id: ANONYMOUS.id}
    for spec in loaded.server.keys if loaded is not None else ():
        ids[spec.name] = ids[f"config:{spec.name}"] = f"config:{spec.name}"
    for key in await (await Keys.open(opened)).list(revoked=True):
        ids[key.name] = ids[key.id] = key.id  # of several keys that had a name in turn, the newest
    if name not in ids:
        raise NotFoundError(f"no key has the name or id {name!r}.", remedy="'madrigal keys list --revoked' shows them.")
    return ids[name]


def _date(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} must be a day as 2026-01-31, not {text!r}.") from None


def _amounts(row: UsageRow) -> dict[str, Any]:
    names = ("requests", "calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")
    return {name: getattr(row, name) for name in names}


def _described(key: Key) -> dict[str, Any]:
    quota = key.quota
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "tenant": key.tenant,
        "user": key.user,
        "roles": sorted(key.roles),
        "models": list(key.models),
        "requests_per_minute": quota.requests_per_minute,
        "tokens_per_minute": quota.tokens_per_minute,
        "budget_usd": quota.budget_usd,
        "budget_period": quota.budget_period,
        "created_at": _iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
    }


def _limits(key: Key) -> str:
    quota = key.quota
    parts = [
        f"{quota.requests_per_minute} req/min" if quota.requests_per_minute is not None else "",
        f"{quota.tokens_per_minute} tok/min" if quota.tokens_per_minute is not None else "",
        f"${quota.budget_usd:g}/{quota.budget_period}" if quota.budget_usd is not None else "",
    ]
    return ", ".join(part for part in parts if part) or "none"


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    expired = key.expires_at <= datetime.now(UTC).timestamp()
    return f"expired {_day(key.expires_at)}" if expired else f"until {_day(key.expires_at)}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
