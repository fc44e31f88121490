"""A batch on Ray Data, on the cores of one machine or on a cluster: planned, run, and continued after a restart.

Ray Data carries blocks, not pictures, a row each: the names of some hundred pictures in, the count of answers out. A
pool of stateful workers (nin.bulk.worker) reads, decodes, computes and writes each block as one Parquet file. If Ray
Data carried pictures as rows, it would cut and join them into blocks by its own rules, and after a retry or a restart
nobody could say which are answered. With one file a block, the file's name says it: Ray's retries double nothing, and
the destination shows which work is finished. (torch-free)
"""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

from nin.bulk.listing import BLOCK, Block, Listing, open_listing
from nin.bulk.places import Place, place_of
from nin.bulk.ray_cluster import finished_rows, joined_cluster
from nin.bulk.worker import BATCH, MANIFEST, Work, Worker, manifest_file, part_facts, read_manifest
from nin.choices import AnyRuntime, Runtime
from nin.engine.engine import Engine, engine_from_bytes, pack_engine
from nin.engine.fastest import Choice, fastest
from nin.engine.runtimes import REFERENCE, RUNTIMES
from nin.errors import ArtifactError, Interrupted, NinError, UsageError, escape_name
from nin.extras import need
from nin.version import __version__

FORMAT = 4  # of the manifest and of the parts
CHECK_THREADS = 16  # that check finished parts: a bucket answers slowly, but many at once
MADE_BY_LOCKS = (".lock",)


@dataclass(frozen=True)
class Batched:
    """The result. pictures, errors: in the whole destination; blocks: files, of which `skipped` were there before.

    seconds: from opening the model to the end; images_per_second: of the pictures answered in this run; processes: the
    workers that answered them; runtime: what they computed with.
    """

    destination: str
    pictures: int
    errors: int
    blocks: int
    skipped: int
    seconds: float
    images_per_second: float
    processes: int
    runtime: Runtime


@dataclass(frozen=True, eq=False)
class Batch:
    """Planned work: a model, a listing of pictures and a destination. Nothing is started."""

    model: bytes
    engine: Engine
    listing: Listing
    destination: Place
    block_size: int
    scores: bool
    choice: Choice

    @property
    def runtime(self) -> Runtime:
        """What every worker computes with."""
        return self.choice.runtime

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides the answers and how they are divided; a destination may be continued where it is equal."""
        engine = self.engine
        parts = [engine.digest, engine.classes, engine.preprocess.to_dict(), engine.calibration.to_dict()]
        return {
            "format": FORMAT,
            "model_sha256": hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
            "listing_sha256": self.listing.fingerprint,
            "block_size": self.block_size,
            "scores": self.scores,
            "runtime": self.runtime,  # eight-bit files round a little differently
        }

    @cached_property
    def work(self) -> Work:
        """What every worker needs to know."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        listing = self.listing
        place = listing.place.address
        return Work(place, self.destination.address, listing.kind, listing.column, digest, self.scores)

    def part(self, block: Block) -> str:
        """The name of a block's file."""
        digest = hashlib.sha256(f"{self.work.work} {block.digest}".encode()).hexdigest()
        return f"part-{block.number:05d}-{digest[:16]}.parquet"

    def manifest(self, **state: Any) -> bytes:
        """The file that says which work the destination belongs to, its parts, and whether all are finished."""
        said: dict[str, Any] = {"work": self.work.work, **self.identity, "nin": __version__}
        said |= {"model": self.engine.name, "classes": list(self.engine.classes), "source": self.listing.place.text}
        said |= {"pictures": self.listing.pictures, **state, "parts": [self.part(b) for b in self.listing.blocks]}
        return manifest_file(said)


def plan(
    model: str,
    source: str,
    destination: str,
    *,
    block_size: int | None = None,
    scores: bool = False,
    runtime: AnyRuntime = REFERENCE,
    column: str | None = None,
    threads: int = 1,
    address: str | None = None,
    overwrite: bool = False,
) -> Batch:
    """Open the model and list the pictures; raises ModelError, DataError or UsageError in one line.

    column: of Parquet files, the one with the pictures or their paths; None: recognised. runtime: "auto" is what the
    destination was begun with, as answers differ in their rounding; in a new one, or with `overwrite`, the fastest on
    this machine in a worker of so many `threads`; on the cluster at `address` ONNX Runtime, for nothing is known of its
    machines.
    """
    packed = pack_engine(model)
    engine = engine_from_bytes(packed, threads=1)
    target = place_of(destination)
    size = block_size or BLOCK
    listing = open_listing(source, size, column)
    here, there = (f"{text if '://' in text else Path(text).resolve()}/" for text in (source, target.address))
    if listing.kind != "pictures" and there.startswith(here):
        raise UsageError(
            f"{escape_name(target.text)} lies in {escape_name(listing.place.text)}, whose Parquet files are read; "
            "choose a destination outside of it"
        )
    _held(target)
    if runtime == "auto":
        begun = None if overwrite else _begun_with(target)
        measures = begun is None and address is None
        choice = fastest(packed, engine.digest, threads, BATCH) if measures else Choice(begun or REFERENCE)
    else:
        choice = Choice(runtime)
    if choice.runtime != REFERENCE:
        need(choice.runtime, what=f"a batch with --runtime {choice.runtime}")
    return Batch(packed, engine, listing, target, size, scores, choice)


def _held(destination: Place) -> frozenset[str]:
    """What lies at the destination, but for leftovers; UsageError where none of it is ours."""
    names = destination.names()
    names = frozenset(n for n in names if n not in MADE_BY_LOCKS and not (n.startswith(".nin-") and n.endswith(".tmp")))
    if names and MANIFEST not in names:
        text = f"{escape_name(destination.text)} holds {escape_name(min(names))}, which nin batch did not write"
        raise UsageError(f"{text}; choose an empty or new destination")
    return names


def _begun_with(destination: Place) -> Runtime | None:
    """The runtime of the work that was begun at a destination; None where none was, or none that is known."""
    try:
        begun = read_manifest(destination).get("runtime") if MANIFEST in destination.names() else None
    except ArtifactError:
        return None  # damaged: `answer` says so
    return next((runtime for runtime in RUNTIMES if runtime == begun), None)


def answer(
    batch: Batch,
    *,
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    overwrite: bool = False,
    told: Callable[[int, int], bool] | None = None,
) -> Batched:
    """Answer the pictures that are not answered yet. told(pictures done, all pictures) returns whether to stop.

    address: of a Ray cluster, host:port or auto; None: the cores of this machine. workers: processes, by default as
    many as the cores allow; threads: of each worker. Raises Interrupted when `told` asks to stop; ArtifactError or
    UsageError, with nothing changed, where the destination holds anything else; NinError where the cluster is silent.
    """
    started = perf_counter()
    listing = batch.listing
    destination = batch.destination
    old = _begun(batch, overwrite)
    finished = {} if old is None or overwrite else _finished(batch)
    left = [block for block in listing.blocks if batch.part(block) not in finished]
    done = sum(count for count, _ in finished.values())
    errors = sum(failed for _, failed in finished.values())
    processes: set[int] = set()
    with ExitStack() as claim, ExitStack() as cluster:  # unwound in this order: Ray, half-written files, the lock
        ray = None
        workers = workers or 0
        if left:
            room = 2 * sum(len(block.inputs) for block in left) + len(batch.model)
            ray, workers = cluster.enter_context(joined_cluster(address, workers, threads, len(left), room))
        claim.enter_context(destination.claimed())
        old = _begun(batch, overwrite)  # again, as another process may have begun before the lock was held
        claim.callback(destination.tidy)
        _begin(batch, old, again=overwrite)
        if ray is not None:
            rows = [{"number": b.number, "name": batch.part(b), "inputs": b.inputs} for b in left]
            work = replace(batch.work, threads=threads, runtime=batch.runtime)
            for number, row in enumerate(finished_rows(ray, Worker, work, batch.model, rows, workers, threads), 1):
                if row["failed"] is not None:
                    raise NinError(row["failed"])
                done += row["pictures"]
                errors += row["errors"]
                processes.add(row["pid"])
                if told and told(done, listing.pictures) and number < len(left):
                    count = len(finished) + number
                    said = f"stopped; {count:,} of {len(listing.blocks):,} parts are finished and stay"
                    raise Interrupted(f"{said}: the same command goes on")
        destination.write(MANIFEST, batch.manifest(state="complete", errors=errors))
    seconds = perf_counter() - started
    return Batched(
        destination.text,
        pictures=done,
        errors=errors,
        blocks=len(listing.blocks),
        skipped=len(finished),
        seconds=seconds,
        images_per_second=(done - sum(count for count, _ in finished.values())) / seconds,
        processes=len(processes),
        runtime=batch.runtime,
    )


def _begun(batch: Batch, overwrite: bool) -> dict[str, Any] | None:
    """The manifest of work that was begun at the destination; None where it is empty.

    Raises UsageError where it holds other files or, unless it is to be overwritten, other work.
    """
    destination = batch.destination
    shown = escape_name(destination.text)
    names = _held(destination)
    if not names:
        return None
    begun = read_manifest(destination)
    strangers = names - {MANIFEST, *begun["parts"]}
    if strangers:
        found = escape_name(min(strangers))
        raise UsageError(f"{shown} holds {found}, which nin batch did not write; move it away, or choose another")
    if overwrite:
        return begun
    for name, words in (
        ("format", "by another version of nin"),
        ("model_sha256", f"with another model, {escape_name(begun['model'])}"),
        ("block_size", f"with --block-size {begun['block_size']}"),
        ("scores", "with --scores" if begun["scores"] else "without --scores"),
        ("runtime", f"with --runtime {escape_name(str(begun.get('runtime')))}"),
        ("listing_sha256", f"for {begun['pictures']:,} pictures of {escape_name(begun['source'])}, as they were then"),
    ):
        if begun[name] != batch.identity[name]:
            raise UsageError(
                f"{shown} was begun {words}; choose another destination, or replace what is there with --overwrite"
            )
    return begun


def _begin(batch: Batch, old: dict[str, Any] | None, *, again: bool) -> None:
    """Write the manifest, after removing our own earlier parts if that is wanted (`again`), and nothing else."""
    destination = batch.destination
    if old is not None and not again:
        return
    if old is not None:
        for name in sorted(destination.names() & set(old["parts"])):
            destination.remove(name)
    destination.write(MANIFEST, batch.manifest(state="unfinished", errors=None))


def _finished(batch: Batch) -> dict[str, tuple[int, int]]:
    """(pictures, errors) of the parts that are there and whole, by name."""
    there = batch.destination.names()
    counts = {batch.part(block): block.pictures for block in batch.listing.blocks}
    names = [name for name in counts if name in there]
    with ThreadPoolExecutor(CHECK_THREADS) as pool:
        found = zip(names, pool.map(partial(part_facts, batch.destination), names), strict=True)
        return {name: facts for name, facts in found if facts is not None and facts[0] == counts[name]}
