"""aiohttp: bytes are called octet-stream; a form."""

import asyncio

import aiohttp
from steps import DATA, URL, step


async def top(data):
    async with aiohttp.ClientSession() as session, session.post(URL + "/predict", data=data) as reply:
        return (await reply.json())[0]["label"]


def form():
    made = aiohttp.FormData()
    made.add_field("file", DATA, filename="a.jpg")
    made.add_field("top", "1")
    return made


step("data=bytes", lambda: asyncio.run(top(DATA)))


async def with_form():
    return await top(form())


step("FormData", lambda: asyncio.run(with_form()))
