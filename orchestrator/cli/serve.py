"""`madrigal serve`: read the policy, pull what is missing, listen. Knows nothing of requests: that is api/."""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import ConfigError, InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, err

if TYPE_CHECKING:
    from orchestrator.config import Config

QUESTION = "What is the capital of France?"


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Listen here instead.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Listen here instead; 0: any free port.", show_default=False)] = None,
    pull: Annotated[bool, typer.Option(help="Fetch missing models first.")] = True,
) -> None:
    """Serve the chat API: fetches missing models, then listens until Ctrl-C or SIGTERM."""
    from orchestrator.config import served_config

    os.environ["MADRIGAL_CONFIG"] = str(Path(config).absolute())
    for name, given in (("MADRIGAL_HOST", host), ("MADRIGAL_PORT", port)):
        if given is not None:
            os.environ[name] = str(given)
    settings = served_config()
    keyed = _guarded(settings)
    door = listen(settings.server.host, settings.server.port)
    with door:
        if pull:
            from orchestrator.cli.experts import pull_missing

            pull_missing(settings, err())
        address, number = door.getsockname()[:2]
        if number != settings.server.port:  # 0 was asked for: what was found holds, also when the file is read again
            os.environ["MADRIGAL_PORT"] = str(number)
        _run(settings, door, banner(settings, url_of(address, number), keyed=keyed))


def banner(config: "Config", url: str, *, keyed: bool = False) -> str:
    """What a newcomer needs once the server runs: its URL, a line to try, and the policy in use."""
    policy = config.policies["auto"]
    names = [*config.experts, *(c.name for c in policy.constraints), *(d.name for d in policy.decisions)]
    width = max(map(len, names))
    lines = [f"Madrigal serves {url}", ""]
    header = ' -H "authorization: Bearer $MADRIGAL_API_KEY"' if keyed else ""
    body = f'{{"model": "auto", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
    lines += [f"  curl {url}/v1/chat/completions{header} -H 'content-type: application/json' -d '{body}'", ""]
    lines.append(f"Policy {config.file} ({config.policy_hash})")
    for constraint in policy.constraints:
        demanded = constraint.require.model_dump(exclude_defaults=True) if constraint.require else {}
        effect = f"only {', '.join(demanded)}" if demanded else "refused"
        lines.append(f"  {constraint.name:<{width}}  when {' '.join(constraint.when.split())}: {effect}")
    for decision in policy.decisions:
        when = f"when {' '.join(decision.when.split())}" if decision.when else "otherwise"
        how = "" if decision.strategy.type == "single" else f" by {decision.strategy.type}"
        lines.append(f"  {decision.name:<{width}}  {when}: {', '.join(decision.use)}{how}")
    lines.append("Experts")
    for name, spec in config.experts.items():
        lines.append(f"  {name:<{width}}  {spec.backend}  {spec.source or spec.model or ''}".rstrip())
    if len(config.policies) > 1:
        lines.append(f"Further policies: {', '.join(list(config.policies)[1:])}")
    return "\n".join([*lines, "", f"Talk to it: madrigal chat --url {url}    Stop it: Ctrl-C"])


def url_of(address: str, port: int) -> str:
    """The URL to show for a listening address: the wildcard addresses are reached on loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
    return f"http://{shown}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `InputError` that says who has the port, or why the address cannot be used."""
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}: {error.strerror}", remedy="Use an address of this machine."
        ) from None
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(where)
        door.listen(1)  # here and now, so that two servers cannot both believe that they have it
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            who = holder(port)
            raise InputError(
                f"port {port} on {host} is in use{f' by {who}' if who else ''}.",
                remedy="Stop that, or choose another: madrigal serve --port 0 takes any free one.",
            ) from None
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}.", remedy=_remedy(port)) from None
    door.setblocking(False)
    door.set_inheritable(True)
    return door


def holder(port: int) -> str | None:
    """The process that listens on a TCP port, as `pid 12 (name)`; None where it cannot be told."""
    import psutil

    try:
        for one in psutil.net_connections(kind="tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return f"pid {one.pid} ({psutil.Process(one.pid).name()})"
    except psutil.Error:
        return None
    return None


def _remedy(port: int) -> str:
    return "Ports below 1024 need privileges." if 0 < port < 1024 else "Use an address of this machine."


def _guarded(config: "Config") -> bool:
    """Whether callers need a key. Raises `ConfigError` where others than this machine could call without one."""
    import asyncio

    from orchestrator.keys import Keys
    from orchestrator.store.store import Store

    async def required() -> bool:
        store = await Store.open(config.store.address())
        try:
            keys = await Keys.open(store, config.server.keys)
            try:
                return keys.required
            finally:
                await keys.close()
        finally:
            await store.close()

    keyed = asyncio.run(required())
    if not config.server.loopback and not keyed:
        raise ConfigError(
            f"listening on {config.server.host} lets other machines in, and there is no key",
            file=config.file,
            key="server.host",
            remedy="Make a key first (madrigal keys create NAME), or listen on 127.0.0.1.",
        )
    return keyed


def _run(config: "Config", door: socket.socket, told: str) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            print(told, flush=True)

    settings = uvicorn.Config(
        "api.app:create_app",
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=log_config(config.server.log_level),
        workers=config.server.workers,
        timeout_graceful_shutdown=max(1, round(config.server.drain_s)),
        timeout_keep_alive=75,
    )
    try:
        if config.server.workers > 1:
            print(
                f"{told}\n\n{config.server.workers} workers: each runs engines and counts limits of its own", flush=True
            )
            Multiprocess(settings, sockets=[door]).run()
            return
        server = Server(settings)
        server.run(sockets=[door])
    except KeyboardInterrupt:  # uvicorn has stopped gracefully by now
        return
    if not server.started:
        sys.exit(2)


def log_config(level: str) -> dict[str, Any]:
    """Logging for `logging.config.dictConfig`: one line a record, on stderr; uvicorn only where something is wrong."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"madrigal": {"level": level.upper()}, "uvicorn": {"level": "WARNING"}},
    }
