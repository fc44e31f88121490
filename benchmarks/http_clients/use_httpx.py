"""httpx: a plain body, a form."""

import httpx
from steps import DATA, URL, step


def top(**sent):
    return httpx.post(URL + "/predict", timeout=20, **sent).json()[0]["label"]


step("content=bytes", lambda: top(content=DATA))
step("files and fields", lambda: top(files={"file": ("a.jpg", DATA)}, data={"top": "1"}))
