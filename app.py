"""The server: Streamlit's script, the routes that feed it, and what lives as long as it does."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import streamlit as st
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from engine import contenders, runs, transfer, trash
from engine.errors import RightsError
from engine.library import index
from engine.supervisor import Supervisor
from ui import guard, patience, rights, sign_in, stage_routes, subjects
from ui.hub import Hub
from ui.probes import probes
from ui.routes import plotly_gzipped, routes
from ui.stage import Stage
from ui.views import Library

try:
    rights.check_key()
except RightsError as error:
    raise SystemExit(str(error)) from None  # before anything is started

library = Library(
    path=runs.path,
    members=contenders.members,
    checked=runs.checked,
    place=runs.queue_position,
)
hub = Hub(partial(subjects.opener, library=library))


def _open_library() -> None:
    """Let go of what a killed server left behind; read all runs before the first page asks."""
    transfer.clean()
    trash.purge_all()
    index.look()


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Start the engine's supervisor; at the end stop its workers, what measures and all reading."""
    patience.limit()
    supervisor = Supervisor()
    await asyncio.to_thread(supervisor.start)
    warm = asyncio.gather(asyncio.to_thread(plotly_gzipped), asyncio.to_thread(_open_library))
    # What is imported by now stays: a collection need not look at it again (80 ms each time).
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        await hub.stop()
        await asyncio.gather(asyncio.to_thread(supervisor.stop), asyncio.to_thread(probes.stop))
        await warm


app = st.App(
    str(Path(__file__).resolve().parent / "pages" / "main.py"),
    lifespan=lifespan,
    # Those with a name of their own first: the last of routes() takes every name under /live.
    routes=[*sign_in.routes(), *stage_routes.routes(Stage()), *routes(hub, library)],
    # The guard around everything: what it refuses, nobody else is bothered with.
    middleware=[Middleware(guard.Guard), Middleware(sign_in.OnlyPresenterUploads)],
    exception_handlers={HTTPException: guard.nothing_there},
)
