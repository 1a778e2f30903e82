"""Work that goes on beside other work in an event loop, and ends with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have these done meanwhile; at the end they are cancelled and waited for.

    works  how they end is nobody's business: a socket that is gone ends what sends to it
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        # Not gather: where this is cancelled too, that would say so in the words of another's end.
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen, or it would be logged as lost
