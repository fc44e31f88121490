"""requests: a plain body without a type, a stream, a form."""

from io import BytesIO

import requests
from steps import DATA, URL, step


def top(**sent):
    return requests.post(URL + "/predict", timeout=20, **sent).json()[0]["label"]


step("data=bytes", lambda: top(data=DATA))
step("data=a file", lambda: top(data=BytesIO(DATA)))
step("data=generator (chunked)", lambda: top(data=(DATA[i : i + 999] for i in range(0, len(DATA), 999))))
step("files and fields", lambda: top(files={"file": BytesIO(DATA)}, data={"top": "1", "maps": "1"}))
step("a file without a name", lambda: top(files={"file": (None, DATA)}))
