"""Behind a path prefix: nginx with the configuration that docs/serve.md shows, in front of a running server."""

import http.client
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urljoin

import pytest

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
AROUND = """
daemon off; master_process off; pid PLACE/pid; error_log PLACE/error.log;
events {}
http {
    access_log off;
    client_body_temp_path PLACE/b; proxy_temp_path PLACE/p; fastcgi_temp_path PLACE/f; uwsgi_temp_path PLACE/u;
    scgi_temp_path PLACE/s;
    server { listen 127.0.0.1:PORT; LOCATION }
}
"""


@pytest.fixture
def proxy(live, tmp_path):
    """The port of an nginx that has the server at /classify/."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    (location,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = AROUND.replace("LOCATION", location.replace("127.0.0.1:8000", f"127.0.0.1:{live.port}"))
    (tmp_path / "nginx.conf").write_text(text.replace("PLACE", str(tmp_path)).replace("PORT", str(port)))
    command = [NGINX, "-e", str(tmp_path / "error.log"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    process = subprocess.Popen(command)
    try:
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (tmp_path / "error.log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    reply = connection.getresponse()
    try:
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def test_the_example_works_and_every_address_leads_back_to_it(proxy, live, pictures):
    _, png = pictures[0]
    status, headers, _ = ask(proxy, "GET", "/classify/")
    page = urljoin("/classify/", headers["Location"])
    assert (status, page) == (307, "/classify/docs") and ask(proxy, "GET", page)[0] == 200
    document = json.loads(ask(proxy, "GET", "/classify/openapi.json")[2])
    root = urljoin("/classify/openapi.json", document["servers"][0]["url"]).rstrip("/")
    for path, methods in document["paths"].items():
        place = root + path.replace("{model}", "colours").replace("{version}", ("ab" * 32)[:12])
        for method in methods:
            status, _, _ = ask(proxy, method.upper(), place, png if method == "post" else None)
            assert status == (400 if place.endswith("/infer") else 307 if path == "/" else 200), place
    assert ask(proxy, "POST", "/classify/predict", png)[2] == live.ask("POST", "/predict", png).body
