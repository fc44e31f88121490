"""`nin serve` under load, on loopback: every figure that is claimed of it, measured against the real program.

    python benchmarks/serve_load.py [--model nin-cifar10] [--threads N] [--out FILE.json] [--short] [SCENE ...]

    closed    1 to 256 clients that ask again as soon as they are answered; every answer compared with the engine's own
    open      Poisson arrivals at twice the capacity; times count from the planned moment, so a stall hides nothing
    slow      1,000 slow clients of five kinds beside honest ones
    large     bodies over the limit, refused while they are still being sent
    stop      100 times SIGTERM under load: requests lost, exit codes, seconds
    soak      200,000 requests and 10,000 aborted uploads: memory, files, threads before and after

The client is one process of asyncio and shares the machine with the server; its work counts against the server.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FAILED = (OSError, EOFError, asyncio.IncompleteReadError)
HEAD = "POST /predict?top=3 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS = 3  # in turn, for the machine is not the same from one minute to the next
SLOW_KINDS = ("silent", "head", "body", "reader", "half-closed")


@dataclass
class Served:
    """A running `nin serve`, and what offline says of the pictures it will be asked about."""

    process: subprocess.Popen
    port: int
    requests: list[bytes]
    answers: list[list[tuple[str, float]]]

    def memory(self) -> int:
        """Resident bytes."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    def held(self) -> dict[str, int]:
        """Open files and threads."""
        process = Path(f"/proc/{self.process.pid}")
        return {"files": len(list((process / "fd").iterdir())), "threads": len(list((process / "task").iterdir()))}

    def right(self, number: int, body: bytes) -> bool:
        """Whether an answer is the one of offline: same labels, scores within 1e-5 (batches round differently)."""
        found, expected = json.loads(body), self.answers[number]
        close = all(abs(one["score"] - score) < 1e-5 for one, (_, score) in zip(found, expected, strict=True))
        return close and [one["label"] for one in found] == [label for label, _ in expected]


@dataclass
class Tally:
    """What came back: statuses, seconds of the answers with 200 and of refusals, wrong ones, failures."""

    statuses: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0

    def add(self, served: Served, number: int, status: int, body: bytes, seconds: float) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(seconds)
            self.wrong += not served.right(number, body)
        else:
            self.refused.append(seconds)

    def summary(self, duration: float) -> dict:
        return {
            "per_second": round(len(self.seconds) / duration, 1),
            **{f"p{part}_ms": round(1000 * quantile(self.seconds, part / 100), 1) for part in (50, 99)},
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "wrong": self.wrong,
            "lost": self.lost,
        }


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def pictures(count: int, side: int = 32) -> list[bytes]:
    """Smooth colours with some noise, as JPEG."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        noisy = np.clip(np.asarray(small, np.int16) + rng.integers(-12, 13, (side, side, 3)), 0, 255)
        held = BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(held, "JPEG", quality=90)
        found.append(held.getvalue())
    return found


def bare(model: str, threads: int | None, seconds: float, jpegs: list[bytes]) -> tuple[float, list]:
    """Pictures a second of the engine alone in batches of 32, and its answers to `jpegs`: label and score, top 3."""
    from nin.engine.engine import open_engine

    engine = open_engine(model, threads=threads)
    images = np.stack([engine.preprocess.load(jpeg) for jpeg in jpegs])
    chances = engine.run(images).probabilities
    best = [np.argsort(-row, kind="stable")[:3] for row in chances]
    answers = [[(engine.classes[i], float(row[i])) for i in order] for order, row in zip(best, chances, strict=True)]
    batch = np.concatenate([images] * (32 // len(images) + 1))[:32]
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        engine.run(batch)
        done += 32
    return done / (time.perf_counter() - start), answers


def start(model: str, jpegs: list[bytes], answers: list, *more: str) -> Served:
    """`nin serve` on a free port, ready; unless `more` names a runtime, with that of the bare engine."""
    more = more if "--runtime" in more else (*more, "--runtime", "onnxruntime")
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT / "src"))}
    process = subprocess.Popen([sys.executable, "-m", "nin", "serve", model, "--port", "0", "-q", *more],
                               stdout=subprocess.PIPE, env=environment)  # fmt: skip
    line = process.stdout.readline().decode()
    if not line:
        raise SystemExit(f"nin serve {model} did not start (exit code {process.wait()})")
    requests = [HEAD.format(len(jpeg)).encode() + jpeg for jpeg in jpegs]
    return Served(process, int(line.rpartition(":")[2]), requests, answers)


def stop(served: Served) -> int:
    """The exit code after SIGTERM."""
    served.process.send_signal(signal.SIGTERM)
    code = served.process.wait(20)
    served.process.stdout.close()
    return code


class Client:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; FAILED when the connection ends before the answer does."""
        if self.writer is None or self.reader.at_eof():  # closed while nobody asked: a new one, as every client does
            self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            self.writer.write(request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            body = await self.reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        except FAILED:
            self.close()
            raise
        if b"Connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None


async def ask_on(served: Served, tally: Tally, until: float, seed: int, gently: bool = True) -> None:
    """A client that asks again as soon as it is answered; refused, it waits a tenth of a second when `gently`."""
    client, rng = Client(served.port), random.Random(seed)
    while time.perf_counter() < until:
        number, begun = rng.randrange(len(served.requests)), time.perf_counter()
        try:
            status, body = await client.ask(served.requests[number])
        except FAILED:
            tally.lost += 1
            continue
        tally.add(served, number, status, body, time.perf_counter() - begun)
        if status == 503 and gently:
            await asyncio.sleep(0.1)
    client.close()


async def closed(served: Served, clients: int, seconds: float) -> dict:
    """`clients` that ask for `seconds`."""
    tally, begun = Tally(), time.perf_counter()
    await asyncio.gather(*(ask_on(served, tally, begun + seconds, seed) for seed in range(clients)))
    return {"clients": clients, **tally.summary(time.perf_counter() - begun)}


async def open_loop(served: Served, rate: float, seconds: float) -> dict:
    """Requests at random moments, `rate` a second on average, whether or not the earlier ones are answered."""
    tally, rng, idle, running = Tally(), random.Random(0), [], set()

    async def one(planned: float) -> None:
        number = rng.randrange(len(served.requests))
        client = idle.pop() if idle else Client(served.port)
        try:
            status, body = await client.ask(served.requests[number])
            tally.add(served, number, status, body, time.perf_counter() - planned)
            idle.append(client)
        except FAILED:
            tally.lost += 1

    begun = planned = time.perf_counter()
    while planned < begun + seconds:
        planned += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        task = asyncio.ensure_future(one(planned))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    for client in idle:
        client.close()
    refused = round(1000 * quantile(tally.refused, 0.99), 1) if tally.refused else None
    return {"rate": round(rate, 1), **tally.summary(time.perf_counter() - begun), "p99_refused_ms": refused}


async def slow_client(served: Served, kind: str, patience: float) -> float | None:
    """Seconds until the server has closed on a slow client; None when it has not within `patience`."""
    request = served.requests[0]
    begun = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=2**12)
        if kind == "half-closed":
            writer.write(request[:-20])
            writer.write_eof()
        if kind == "body":
            writer.write(request[: request.index(b"\r\n\r\n") + 4])
        if kind == "head":
            writer.write(request[:40])
        if kind == "reader":  # megabytes of answers, of which nothing is taken
            writer.transport.pause_reading()
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 15)
            await asyncio.sleep(1)
            writer.transport.resume_reading()
        while time.perf_counter() - begun < patience:
            if kind in ("head", "body"):
                writer.write(b"x")
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(2**16), 1.0):
                    return time.perf_counter() - begun
        return None
    except FAILED:
        return time.perf_counter() - begun
    finally:
        with suppress(Exception):
            writer.transport.abort()


async def slow(served: Served, count: int, patience: float, honest: int = 4) -> dict:
    """`count` slow clients of five kinds beside `honest` ones, who are also measured alone."""
    alone = await closed(served, honest, 5)
    jobs = [asyncio.ensure_future(slow_client(served, SLOW_KINDS[i % 5], patience)) for i in range(count)]
    tally, begun = Tally(), time.perf_counter()
    beside = [asyncio.ensure_future(ask_on(served, tally, begun + patience / 2, seed)) for seed in range(honest)]
    times = await asyncio.gather(*jobs)
    await asyncio.gather(*beside)
    closed_on = {
        kind: [
            sum(t is not None for t in times[i::5]),
            len(times[i::5]),
            round(max(filter(None, times[i::5]), default=0), 1),
        ]
        for i, kind in enumerate(SLOW_KINDS)
    }
    return {"alone": alone, "beside": tally.summary(patience / 2), "closed": closed_on}


async def large(served: Served, count: int = 20) -> dict:
    """Bodies of 300 MB, announced and in chunks of 6 bytes: status, bytes taken before it, memory."""
    before, taken, statuses, most = served.memory(), [], Counter(), 0
    for number in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        small = number % 2
        length = b"Transfer-Encoding: chunked" if small else b"Content-Length: 300000000"
        writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n" + length + b"\r\n\r\n")
        answer, sent = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n")), 0
        piece = (b"1\r\nx\r\n" if small else b"x" * 6) * 2730
        with suppress(*FAILED):
            while not answer.done() and sent < 50_000_000:
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
                most = max(most, served.memory())
                await asyncio.sleep(0)
        with suppress(*FAILED):
            statuses[int((await answer)[9:12])] += 1
        taken.append(sent)
        writer.transport.abort()
    return {
        "statuses": dict(statuses),
        "most_bytes_sent": max(taken),
        "memory_growth_mb": round((most - before) / 2**20, 1),
    }


async def stopped(served: Served, clients: int, after: float) -> dict:
    """SIGTERM while `clients` ask: who sent a request and got no answer, the exit code, and how long it took."""
    tally = Tally()

    async def ask() -> None:
        client, rng = Client(served.port), random.Random(0)
        while True:
            number, begun = rng.randrange(len(served.requests)), time.perf_counter()
            try:
                if client.writer is None:
                    client.reader, client.writer = await asyncio.open_connection("127.0.0.1", served.port)
            except OSError:  # nobody listens any more
                return
            try:
                status, body = await client.ask(served.requests[number])
                tally.add(served, number, status, body, time.perf_counter() - begun)
            except FAILED:
                tally.lost += 1

    jobs = [asyncio.ensure_future(ask()) for _ in range(clients)]
    await asyncio.sleep(after)
    begun = time.perf_counter()
    served.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(served.process.wait, 20)
    took = time.perf_counter() - begun
    await asyncio.gather(*jobs)
    served.process.stdout.close()
    return {
        "lost": tally.lost,
        "answered": tally.statuses[200],
        "wrong": tally.wrong,
        "code": code,
        "seconds": round(took, 2),
    }


async def soak(served: Served, requests: int, aborted: int, clients: int = 16) -> dict:
    """Memory, files and threads of the server before and after.

    A tenth of the requests come before they are counted, and more until the server is warm: its memory grows once when
    the largest batch of `clients` first comes together, which is no leak, and no number of requests is sure to bring.
    """
    tally = Tally()  # of the requests that count

    async def some(count: int, seed: int, tally: Tally) -> None:
        client, rng = Client(served.port), random.Random(seed)
        for _ in range(count):
            number = rng.randrange(len(served.requests))
            tally.add(served, number, *await client.ask(served.requests[number]), 0.0)
        client.close()

    async def abort(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        request = served.requests[number % len(served.requests)]
        writer.write(request[: 1 + number * 7919 % len(request)])
        await asyncio.sleep(0)
        writer.transport.abort()

    async def warm() -> None:
        """Rounds that all begin at once, until ten of them in a row bring less than half a megabyte."""
        least, steady = served.memory(), 0
        for _ in range(200):
            await asyncio.gather(*(some(4, seed, Tally()) for seed in range(clients)))
            grown = served.memory() > least + 2**19
            least, steady = (served.memory(), 0) if grown else (least, steady + 1)
            if steady == 10:
                return

    await asyncio.gather(*(some(requests // 10 // clients, seed, Tally()) for seed in range(clients)))
    for number in range(aborted // 10):
        await abort(number)
    await warm()
    await asyncio.sleep(2)
    before = {"memory": served.memory(), **served.held()}
    begun, curve = time.perf_counter(), []
    for tenth in range(10):
        seeds = range(tenth * clients, (tenth + 1) * clients)
        await asyncio.gather(*(some(requests // 10 // clients, seed, tally) for seed in seeds))
        curve.append(round((served.memory() - before["memory"]) / 2**20, 1))
    duration = time.perf_counter() - begun
    for number in range(aborted):
        await abort(number)
    await asyncio.sleep(2)
    after = {"memory": served.memory(), **served.held()}
    growth = {name: after[name] - before[name] for name in before}
    growth["memory_mb"] = round(growth.pop("memory") / 2**20, 2)
    return {"requests": requests, "aborted": aborted, **tally.summary(duration), "growth": growth, "curve_mb": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=["closed", "open", "slow", "large", "stop", "soak"])
    parser.add_argument("--model", default="nin-cifar10")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    options = parser.parse_args()
    part = 0.1 if options.short else 1.0
    jpegs = pictures(64)
    more = ["--threads", str(options.threads)] if options.threads else []
    engine, answers = bare(options.model, options.threads, 10 * part + 1, jpegs)
    found: dict = {"model": options.model, "cores": os.cpu_count(), "engine_per_second": round(engine, 1)}
    print(f"engine alone, batches of 32: {engine:.0f} pictures a second", flush=True)

    def scene(name: str, work, *arguments) -> dict:
        """One scene against a fresh server."""
        served = start(options.model, jpegs, answers, *more)
        try:
            result = asyncio.run(work(served, *arguments))
        finally:
            code = stop(served) if served.process.poll() is None else served.process.returncode
        print(name, json.dumps(result), f"exit {code}", flush=True)
        return {**result, "exit": code}

    if "closed" in options.scenes:
        rows = [scene("closed", closed, clients, 10 * part) for _ in range(ROUNDS) for clients in CLIENTS]
        rates = {n: statistics.median(row["per_second"] for row in rows if row["clients"] == n) for n in CLIENTS}
        most, peak = rates[CLIENTS[-1]], max(rates.values())
        found["closed"] = {
            "rows": rows,
            "medians": rates,
            "256_of_peak": most / peak,
            "256_of_engine": most / engine,
            "wrong": sum(row["wrong"] for row in rows),
        }
    if "open" in options.scenes:
        found["open_unloaded"] = scene("open, half", open_loop, engine / 4, 20 * part)
        found["capacity"] = scene("capacity", closed, 64, 20 * part)["per_second"]
        found["open"] = scene("open, twice", open_loop, 2 * found["capacity"], 120 * part)
        found["goodput_of_capacity"] = found["open"]["per_second"] / found["capacity"]
    if "slow" in options.scenes:
        found["slow"] = scene("slow", slow, int(1000 * part), 45.0)
    if "large" in options.scenes:
        found["large"] = scene("large", large)
    if "stop" in options.scenes:
        runs = [scene("stop", stopped, 32, random.Random(n).uniform(0.2, 1.5)) for n in range(int(100 * part))]
        found["stop"] = {
            "runs": len(runs),
            "lost": sum(run["lost"] for run in runs),
            "codes": Counter(r["code"] for r in runs),
        }
        found["stop"]["seconds"] = [
            statistics.median(run["seconds"] for run in runs),
            max(run["seconds"] for run in runs),
        ]
    if "soak" in options.scenes:
        found["soak"] = scene("soak", soak, int(200_000 * part), int(10_000 * part))
    text = json.dumps(found, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
