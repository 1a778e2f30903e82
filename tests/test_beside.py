"""Work beside other work: it ends with it, and how either ends is told in its own words."""

import asyncio
import gc
import logging

import pytest

from ui.beside import beside


async def stubborn(ended):
    """Takes a moment to end."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.02)
        ended.append(True)


async def failing():
    raise OSError("The socket is gone.")


def test_what_goes_on_beside_has_ended_when_the_work_has():
    async def work():
        ended = []
        async with beside(stubborn(ended), stubborn(ended)):
            await asyncio.sleep(0)
            assert not ended
        return ended

    assert asyncio.run(work()) == [True, True]


def test_what_fails_beside_neither_ends_the_work_nor_is_logged(caplog):
    async def work():
        async with beside(failing()):
            await asyncio.sleep(0.01)
        return "done"

    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(work()) == "done"
        gc.collect()
    assert "socket" not in caplog.text


def test_what_the_work_raises_is_what_comes_out():
    async def work():
        async with beside(stubborn([]), failing()):
            await asyncio.sleep(0.01)
            raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        asyncio.run(work())


def test_who_cancels_the_work_once_more_while_it_ends_is_heard_with_their_own_words():
    """Servers tell their own cancelling from others' by its words."""

    async def work():
        async with beside(stubborn([])):
            await asyncio.sleep(60)

    async def cancelled():
        task = asyncio.create_task(work())
        for words in ("first", "second"):
            await asyncio.sleep(0.005)
            task.cancel(words)
        try:
            await task
        except asyncio.CancelledError as error:
            return error.args

    assert asyncio.run(cancelled()) == ("second",)
