"""Real HTTP clients against a running `nin serve`: client, version, what was asked, what came, as a table.

Run: python benchmarks/http_clients.py --out experiments/2026-11-30-http-clients

Clients from package indexes get an environment of their own each (kept under --venvs), programs are used where they are
installed; what is missing is said. Right is an answer whose likeliest class is what `nin predict` says of the picture
in this process; a refusal is right where one is expected and is one line that says so. The tests run the same clients.
"""

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "http_clients"
MODEL = "nin-cifar10"
MARK = "<!-- table -->"  # in README.md; what stands above it is kept
PACKAGES = {  # script -> what is installed for it; the first one's version is shown
    "tritonclient": ("tritonclient[http]", "pillow"),
    "kserve": ("kserve", "pillow"),
    "mlserver": ("mlserver", "requests", "pillow"),
    "open_inference": ("open-inference-openapi",),
    "requests": ("requests",),
    "httpx": ("httpx",),
    "aiohttp": ("aiohttp",),
    "openapi_python_client": ("openapi-python-client", "httpx", "attrs", "python-dateutil"),
    "standard_library": (),
}
POST, TYPE = "{url}/predict?top=1", "Content-Type: image/jpeg"
RUBY = (
    'require "net/http"; puts Net::HTTP.post(URI("{url}/predict?top=1"), File.binread("{picture}")).body; '
    'f=File.open("{picture}"); r=Net::HTTP::Post.new(URI("{url}/predict")); r.set_form([["file",f],["top","1"]], '
    '"multipart/form-data"); puts Net::HTTP.start(URI("{url}").host, URI("{url}").port) {{|h| h.request(r)}}.body'
)
NODE = (
    'const fs=require("fs"); const d=fs.readFileSync("{picture}"); (async()=>{{ const f=new FormData(); '
    'f.append("file",new Blob([d]),"a.jpg"); f.append("top","1"); '
    'for (const [p,b] of [["/predict?top=1",d],["/predict",f],["/predict?top=1",new Blob([d])]]) '
    'console.log(await (await fetch("{url}"+p,{{method:"POST",body:b}})).text()); }})()'
)
PHP = (
    'echo @file_get_contents("{url}/predict?top=1", false, stream_context_create(["http" => ["method" => "POST", '
    '"content" => file_get_contents("{picture}")]]));'
)
PROGRAMS = {  # name -> program, version, commands, each of which prints answers
    "curl": (
        "curl",
        ("--version",),
        {
            "--data-binary, its own type": ("curl", "-sS", "--data-binary", "@{picture}", POST),
            "-F file, -F top": ("curl", "-sS", "-F", "file=@{picture}", "-F", "top=1", "{url}/predict"),
            "-T (PUT becomes POST)": ("curl", "-sS", "-X", "POST", "-T", "{picture}", POST),
            "--http2 (Upgrade: h2c)": ("curl", "-sS", "--http2", "--data-binary", "@{picture}", "-H", TYPE, POST),
            "--http1.0": ("curl", "-sS", "-0", "--data-binary", "@{picture}", POST),
            "Expect: 100-continue, chunked": (
                *("curl", "-sS", "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"),
                *("--data-binary", "@{picture}", POST),
            ),
        },
    ),
    "wget": ("wget", ("--version",), {"--post-file": ("wget", "-qO-", "--post-file={picture}", POST)}),
    "httpie": (
        "http",
        ("--version",),
        {
            "@file": ("http", "--ignore-stdin", "-b", "POST", POST, "@{picture}"),
            "-f file@": ("http", "--ignore-stdin", "-b", "-f", "POST", "{url}/predict", "file@{picture}", "top=1"),
            "< file": ("sh", "-c", "http -b POST '{url}/predict?top=1' < '{picture}'"),
        },
    ),
    "ruby": ("ruby", ("--version",), {"Net::HTTP.post; set_form": ("ruby", "-e", RUBY)}),
    "node": ("node", ("--version",), {"fetch of Buffer, FormData, Blob": ("node", "-e", NODE)}),
    "php": ("php", ("--version",), {"file_get_contents": ("php", "-r", PHP)}),
    "java": (
        "java",
        ("-version",),
        {"HttpClient, HttpURLConnection": ("java", str(HERE / "Client.java"), "{url}", "{picture}")},
    ),
    "ab": ("ab", ("-V",), {"-k (HTTP/1.0, keep-alive)": ("ab", "-q", "-k", "-n", "5", "-s", "5", "{url}/healthz")}),
}


def run_script(python: str, name: str, url: str, model: str, picture: Path, label: str) -> list[dict]:
    """What one client in Python says of every step: step, ok, detail."""
    command = [python, str(HERE / f"use_{name}.py"), url, model, str(picture), label]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"step"')]
    if done.returncode:
        found.append({"step": "the script", "ok": False, "detail": done.stderr.strip().splitlines()[-1][:200]})
    return found


def run_program(command: tuple[str, ...], url: str, picture: Path, label: str) -> tuple[bool, str]:
    """Whether a program that prints answers gets the right ones only."""
    words = [word.format(url=url, picture=picture) if "{" in word else word for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if words[0] == "ab":
        kept = re.search(r"Keep-Alive requests:\s+(\d+)", done.stdout)
        return bool(kept and kept[1] == "5"), f"{kept[1] if kept else 0} of 5 on a kept connection"
    answers = re.findall(r'\[\{"label": "([^"]*)"', done.stdout)
    return bool(answers) and set(answers) == {label}, f"{len(answers)} x {answers[0]}" if answers else done.stdout[
        -200:
    ]


def prepared(name: str, venvs: Path) -> tuple[str, str]:
    """A Python that has a client's packages, and the client's version; '' where they could not be installed."""
    if not PACKAGES[name]:
        return sys.executable, platform.python_version()
    python = venvs / name / "bin" / "python"
    if not (venvs / name / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venvs / name)], check=True)
        done = subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES[name]], capture_output=True)
        if done.returncode:
            return "", "not installed"
        (venvs / name / "installed").touch()
    asked = f"import importlib.metadata as m; print(m.version({PACKAGES[name][0].partition('[')[0]!r}))"
    return str(python), subprocess.run([str(python), "-c", asked], capture_output=True, text=True).stdout.strip()


def version_of(program: str, asked: tuple[str, ...]) -> str:
    done = subprocess.run([program, *asked], capture_output=True, text=True)
    found = re.search(r"\d+\.\d[\w.]*", done.stdout + done.stderr)
    return found[0] if found else ""


def measured(url: str, picture: Path, label: str, venvs: Path) -> list[dict]:
    rows = []
    for name in PACKAGES:
        python, version = prepared(name, venvs)
        found = run_script(python, name, url, MODEL, picture, label) if python else []
        rows += [
            {"client": name, "version": version, **row} for row in found or [{"step": "", "ok": None, "detail": ""}]
        ]
    for name, (program, asked, commands) in PROGRAMS.items():
        if shutil.which(program) is None:
            rows.append({"client": name, "version": "not installed", "step": "", "ok": None, "detail": ""})
            continue
        for step, command in commands.items():
            ok, detail = run_program(command, url, picture, label)
            rows.append(
                {"client": name, "version": version_of(program, asked), "step": step, "ok": ok, "detail": detail}
            )
    return rows


def table(rows: list[dict]) -> str:
    words = {True: "as expected", False: "**not as expected**", None: "not tried"}
    lines = ["| client | version | asked | result | what came |", "|---|---|---|---|---|"]
    for row in rows:
        detail = re.sub(r"[|\n`]", " ", row["detail"])[:110]
        lines.append(f"| {row['client']} | {row['version']} | {row['step']} | {words[row['ok']]} | {detail} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for README.md and result.json")
    parser.add_argument("--venvs", type=Path, default=Path(tempfile.gettempdir()) / "nin-http-clients")
    chosen = parser.parse_args()
    import nin

    with tempfile.TemporaryDirectory() as place:
        picture = Path(place) / "picture.jpg"
        photograph().save(picture, quality=95)
        label = next(iter(nin.predict(MODEL, [str(picture)]))).label
        command = [sys.executable, "-m", "nin", "serve", MODEL, "--port", "0", "--threads", "1"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            rows = measured(server.stdout.readline().strip(), picture, label, chosen.venvs)
        finally:
            server.terminate()
            server.wait(30)
    print(table(rows))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "result.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        page = chosen.out / "README.md"
        words = page.read_text().partition(MARK)[0] if page.exists() else ""
        page.write_text(f"{words}{MARK}\n\n{table(rows)}")
    return int(server.returncode != 0 or any(row["ok"] is False for row in rows))


def photograph():
    """A real photograph, part of one that comes with scikit-learn."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("flower.jpg")).crop((200, 50, 500, 350)).resize((96, 96))


if __name__ == "__main__":
    sys.exit(main())
