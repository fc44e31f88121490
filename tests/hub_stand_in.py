"""A hub on this machine: what huggingface_hub asks of one over HTTP, answered as the real one answers.

Written from what huggingface_hub sends and expects (its sources, `hf_api.py`, `_commit_api.py`, `lfs.py`,
`file_download.py`), and Git LFS's published batch protocol. Kept in memory; every request is noted.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_stand_in_0123456789"
LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "unknown", "other")  # the real hub knows more, all in small letters


@dataclass
class Repository:
    """Commits, oldest first: (id, message, files by name); main is the last one."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, message: str, files: dict[str, bytes]) -> str:
        content = repr((len(self.commits), message, sorted(files.items()))).encode()
        self.commits.append((hashlib.sha1(content).hexdigest(), message, dict(files)))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        revision = self.tags.get(revision, revision)
        found = [c for c in self.commits if revision in ("main", c[0])]
        return (found[-1][0], found[-1][2]) if found else None


class Hub(ThreadingHTTPServer):
    """`with Hub() as hub:` listens on `hub.url`; `hub.faults` says what goes wrong: see `Answer`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}  # LFS: SHA-256 -> content
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.agents: set[str] = set()
        self.faults: dict[str, Any] = {}

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def add(self, name: str, files: dict[str, bytes], **settings: Any) -> str:
        """A commit of exactly these files; returns its id."""
        return self.repositories.setdefault(name, Repository(**settings)).commit("put there", files)

    def files(self, name: str) -> dict[str, bytes]:
        return self.repositories[name].commits[-1][2]


class Answer(BaseHTTPRequestHandler):
    """One request. Faults: `status` {path pattern: code}, `announced` {name: bytes}, `endless` and `damaged` names."""

    protocol_version = "HTTP/1.1"
    server: Hub
    ROUTES = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?", "info"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "put"),
        ("GET|HEAD", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)", "resolve"),
        ("GET", r"/cdn/(?P<oid>[0-9a-f]{64})", "cdn"),
    )

    def handle_request(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.body = b"".join(self.chunks())
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        self.server.agents.add(self.headers.get("User-Agent", ""))
        self.token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if not path.startswith(("/cdn/", "/lfs/")):
            self.server.tokens.add(self.token)
        for pattern, status in self.server.faults.get("status", {}).items():
            if re.search(pattern, path):
                return self.reply(status, {"error": "a planted fault\nof two lines"})
        for methods, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split("|"):
                return getattr(self, name)(**match.groupdict())
        return self.reply(404, {"error": f"no such route: {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def log_message(self, *_: object) -> None:
        pass

    def chunks(self):
        while length := int(self.rfile.readline().strip(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def reply(self, status: int, value: object = None, data: bytes | None = None, **headers: str) -> None:
        data = json.dumps(value).encode() if data is None else data
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repository(self, repo: str, *, write: bool = False) -> Repository | None:
        """The repository if this caller may see it (or write to it); else None, and the refusal is sent."""
        found = self.server.repositories.get(repo)
        if found is None or (found.private and self.token != TOKEN):
            self.reply(
                404 if self.token == TOKEN else 401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound"
            )
            return None
        if found.gated:
            self.reply(403, {"error": "ask the owner"}, X_Error_Code="GatedRepo")
            return None
        if write and (self.token != TOKEN or not repo.startswith("me/")):
            self.reply(403, {"error": "you may not write here"})
            return None
        return found

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if self.token != TOKEN or asked["organization"] != "me":
            return self.reply(403, {"error": f"you may not make {name}"})
        if name in self.server.repositories:
            return self.reply(409, {"error": "You already created this model repo"})
        self.server.repositories[name] = Repository(private=asked.get("visibility") == "private")
        self.server.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.reply(200, {"url": f"{self.server.url}/{name}", "name": name})

    def validate(self) -> None:
        front = re.match(r"---\n(.*?)\n---\n", json.loads(self.body)["content"], re.DOTALL)
        licence = yaml.safe_load(front[1]).get("license") if front else None
        wrong = [{"message": f'"license" must be one of [{", ".join(LICENCES)}]'}] if licence not in LICENCES else []
        self.reply(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def info(self, repo: str, revision: str | None) -> None:
        found = self.repository(repo)
        if found is None:
            return None
        state = found.at(revision or "main")
        if state is None:
            return self.reply(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        commit, files = state
        siblings: list[dict[str, object]] = [{"rfilename": name} for name in files]
        if parse_qs(urlsplit(self.path).query).get("blobs"):
            announced = self.server.faults.get("announced", {})
            siblings = [{"rfilename": n, "size": announced.get(n, len(data))} for n, data in files.items()]
        return self.reply(200, {"id": repo, "sha": commit, "private": found.private, "siblings": siblings})

    def preupload(self, repo: str, revision: str) -> None:
        if self.repository(repo, write=True):
            names = [file["path"] for file in json.loads(self.body)["files"]]
            modes = [{"path": n, "uploadMode": "lfs" if n.endswith("tensors") else "regular"} for n in names]
            self.reply(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})

    def batch(self, repo: str) -> None:
        if self.repository(repo, write=True):
            asked = json.loads(self.body)["objects"]
            place = {o["oid"]: {"upload": {"href": f"{self.server.url}/lfs/{o['oid']}"}} for o in asked}
            self.reply(200, {"objects": [{**o, "actions": place[o["oid"]]} for o in asked]})

    def put(self, oid: str) -> None:
        whole = hashlib.sha256(self.body).hexdigest() == oid
        if whole:
            self.server.objects[oid] = self.body
        self.reply(200 if whole else 400, {})

    def commit(self, repo: str, revision: str) -> None:
        found = self.repository(repo, write=True)
        if found is None:
            return None
        lines = [json.loads(line) for line in self.body.splitlines()]
        commit, files = found.at("main") or ("", {})
        if lines[0]["value"].get("parentCommit", commit) != commit:
            return self.reply(412, {"error": "A commit has happened since."})
        files = dict(files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            else:
                del files[value["path"]]
        commit = found.commit(lines[0]["value"]["summary"], files)
        return self.reply(200, {"commitUrl": f"{self.server.url}/{repo}/commit/{commit}", "commitOid": commit})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        found = self.repository(repo)
        state = found and found.at(revision)
        if not state:
            return self.reply(404, {"error": "no such revision"}, X_Error_Code="RevisionNotFound") if found else None
        commit, files = state
        if name not in files:
            return self.reply(404, {"error": "no such file"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        data, oid = files[name], hashlib.sha256(files[name]).hexdigest()
        if name.endswith("tensors"):
            self.server.objects[oid] = self.damaged(name, data)
            linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(data))}
            there = f"http://localhost:{self.server.server_port}/cdn/{oid}"  # another host: the token must not go there
            return self.reply(302, {}, X_Repo_Commit=commit, Location=there, **linked)
        if name in self.server.faults.get("endless", ()):
            return self.endless(commit, oid)
        return self.reply(200, data=self.damaged(name, data), ETag=f'"{oid}"', X_Repo_Commit=commit)

    def damaged(self, name: str, data: bytes) -> bytes:
        if name not in self.server.faults.get("damaged", ()):
            return data
        return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]

    def endless(self, commit: str, oid: str) -> None:
        self.send_response(200)
        for name, text in (("ETag", f'"{oid}"'), ("X-Repo-Commit", commit), ("Transfer-Encoding", "chunked")):
            self.send_header(name, text)
        self.end_headers()
        piece = b"x" * 2**20
        try:
            while self.command != "HEAD":
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            self.server.faults["ended"] = True

    def cdn(self, oid: str) -> None:
        if self.token is not None:
            return self.reply(400, {"error": "the token was sent to the store"})
        return self.reply(200, data=self.server.objects[oid])
