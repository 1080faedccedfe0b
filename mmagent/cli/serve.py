"""`mmagent serve`: offer the local engine as a Realtime server."""

from __future__ import annotations

from typing import Annotated

import typer

from mmagent.cli.options import Command, command_app, with_settings
from mmagent.config import Loaded
from mmagent.errors import ConfigError

app = command_app()


@app.command(cls=Command)
@with_settings
def serve(
    loaded: Loaded,
    host: Annotated[
        str, typer.Option(help="The address to listen on; others than loopback want --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    token: Annotated[
        str, typer.Option(metavar="KEY", help="The key that clients must bring; or set MMAGENT_SERVE_TOKEN.")
    ] = "",
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A web page's origin that may connect; repeatable.")
    ] = None,
    tls_cert: Annotated[str, typer.Option(metavar="FILE", help="A certificate (PEM): serve wss:// and https://.")] = "",
    tls_key: Annotated[str, typer.Option(metavar="FILE", help="Its key (PEM), if it is in another file.")] = "",
) -> None:
    """Offer the local engine as a Realtime server, on ws://127.0.0.1:8765/v1/realtime unless told otherwise."""
    import asyncio

    from mmagent.engines.local.server import Door

    token = token or loaded.secret("MMAGENT_SERVE_TOKEN") or ""
    door = Door(host, port, token, tuple(allow_origin or ()), tls_cert, tls_key, loaded.settings.dialect)
    if not door.loopback and not token:
        raise ConfigError(
            f"Anyone who reaches {host} could use this machine.", "Give --token KEY, or listen on 127.0.0.1."
        )
    door.tls()
    asyncio.run(_serve(loaded, door))


async def _serve(loaded: Loaded, door: object) -> None:
    import asyncio
    import signal
    import sys

    from mmagent.agent.engines import part_names
    from mmagent.cli.live import loading
    from mmagent.engines.local.parts import Parts
    from mmagent.engines.local.server import Door, RealtimeServer

    assert isinstance(door, Door)
    names = part_names(loaded)
    parts: Parts | None = None

    async def load() -> Parts:
        nonlocal parts
        with loading(quiet=False) as progress:
            parts = await Parts.load(names, progress=progress)
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, server.stop)
        return parts

    server = RealtimeServer(door, names, load, temperature=loaded.settings.temperature)

    def ready(port: int) -> None:
        scheme = "wss" if door.tls_cert else "ws"
        sys.stdout.write(f"{scheme}://{door.host}:{port}/v1/realtime\n")
        sys.stdout.flush()

    try:
        await server.run(ready)
    finally:
        if parts is not None:
            parts.close()
