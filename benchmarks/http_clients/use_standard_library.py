"""urllib, which calls a body without a type a form, and http.client, which calls it nothing."""

import http.client
import json
import urllib.request

from steps import DATA, URL, step


def opened():
    with urllib.request.urlopen(urllib.request.Request(URL + "/predict?top=1", data=DATA)) as reply:
        return json.load(reply)[0]["label"]


def plain():
    connection = http.client.HTTPConnection(URL.removeprefix("http://"))
    connection.request("POST", "/predict?top=1", DATA)
    return json.load(connection.getresponse())[0]["label"]


step("urllib: urlopen(data=bytes)", opened)
step("http.client: request(body=bytes)", plain)
