"""Model folders sent to the Hugging Face hub or to a folder that stands for it, and fetched from there (torch-free).

A place is a hub id, owner/name, or a folder, and both hold the same files with the same bytes: config.json and what it
vouches for. Everything is verified before it is sent and again before it appears where it is fetched to; other files of
a repository are neither fetched nor touched, and nothing in any file is run.
The hub is reached through huggingface_hub, which finds token, cache and endpoint where it always does (`hf auth login`,
HF_TOKEN, HF_HOME, HF_ENDPOINT) and connects to nothing while HF_HUB_OFFLINE is set.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nin.artifacts import read_bytes, replace_folder, write_bytes
from nin.bundle.folder import CARD, REPLACEABLE, bundle_of, read_file, verified_files
from nin.bundle.shipped import CONFIG, find_model
from nin.choices import chosen, expanded, path_of
from nin.errors import ArtifactError, ModelError, UsageError, escape_name
from nin.extras import need
from nin.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Read = Callable[[str, int], bytes]  # a file's name, the most bytes it may have -> its content

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_CALLER: dict[str, Any] = {"library_name": "network-in-network", "library_version": __version__}  # of huggingface_hub
_MOST_WORDS = 200  # letters of what a hub says of a refusal
_PATIENCE = 10.0  # seconds that a hub has for its first answer; huggingface_hub would wait for ever


@dataclass(frozen=True)
class Shared:
    """A model that was sent or fetched: its repository, where it is now, at which commit (hub only), and its files."""

    repo: str
    place: str  # a folder, or the address of a page
    revision: str | None
    files: tuple[str, ...]


def push(
    model: str | Path, repo: str | Path, *, message: str | None = None, private: bool = False, overwrite: bool = False
) -> Shared:
    """Send a model to `repo`: a hub id, owner/name, or a folder (a path, or file://).

    `model` is a model folder, the run folder that holds one, or the name of a model in the package. On the hub all its
    files are one commit with `message`, on top of what is there; a repository that does not exist is made, for
    everybody to see unless `private`. Raises ModelError for what is no whole model and for what the hub refuses,
    UsageError where a model is already unless `overwrite` is given, MissingExtra without huggingface_hub.
    """
    message = chosen("message", message, str | None)
    private = chosen("private", private, bool)
    folder = _folder_of(repo)
    source = find_model(model)
    overwrite = chosen("overwrite", overwrite, bool)
    if folder is not None and (message is not None or private):
        raise UsageError(f"{escape_name(repo)} is a folder; messages and private are for the hub, leave them out")
    files = _verified(partial(read_file, source), source)
    if folder is None:
        return _send(files, str(repo), message or f"A model of nin {__version__}", private, overwrite)
    _write(files, folder, overwrite)
    return Shared(str(repo), str(folder), None, tuple(files))


def pull(
    repo: str | Path, folder: str | Path | None = None, *, revision: str | None = None, overwrite: bool = False
) -> Shared:
    """Fetch the model in `repo`, a hub id or a folder, into `folder`: by default the repository's name, here.

    `revision` is a branch, a tag or a commit of the hub. The folder appears when everything is verified, or not at all.
    Raises ModelError for what is no whole model of nin and for what the hub refuses; UsageError where `folder` is not
    empty, unless `overwrite` is given and it holds a model; ArtifactError where it cannot be written.
    """
    revision = chosen("revision", revision, str | None)
    overwrite = chosen("overwrite", overwrite, bool)
    source = _folder_of(repo)
    if source is not None and revision is not None:
        raise UsageError(f"{escape_name(repo)} is a folder, which has no revisions; leave revision out")
    target = path_of("folder", folder) if folder is not None else Path((source or Path(repo)).resolve().name)
    _expect_room(target, overwrite)
    hub = _Repository(str(repo), revision) if source is None else None
    place = source or Path(repo)
    files = _verified(hub.read if hub else partial(read_file, place), place)
    _write(files, target, overwrite)
    return Shared(str(repo), str(target), hub.commit if hub else None, tuple(files))


def _folder_of(repo: str | Path) -> Path | None:
    """The folder that a place names; None for a hub id. A folder that is there goes before a hub id."""
    text = str(chosen("repo", repo, str))
    if text.startswith("file:"):
        url = urlsplit(text)
        if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
            raise UsageError(f"{escape_name(text)} is not on this machine; expected file:///path/to/folder")
        return Path(unquote(url.path))
    path = expanded(text)
    if isinstance(repo, os.PathLike) or text in (".", "..") or text.startswith(("/", "./", "../", "~")):
        return path
    if text and path.exists():
        return path
    if _HUB_ID.fullmatch(text) and ".." not in text and "--" not in text:
        return None
    advice = "" if "://" in text else f"; a folder is written ./{escape_name(text)}"
    raise UsageError(
        f"{escape_name(text)} is neither owner/name, as the hub has it, nor a folder that is there{advice}"
    )


def _verified(read: Read, place: Path) -> dict[str, bytes]:
    """The files of a model by name, which together are one that can be used; read and digested once."""
    try:
        files = verified_files(read, place)
        bundle_of(files, place)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    return files


def _expect_room(folder: Path, overwrite: bool) -> None:
    """Raise unless `folder` is new or empty, or holds a model that may be overwritten."""
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise UsageError(
                f"{escape_name(folder)} is not empty; choose another folder, or replace it with --overwrite"
            )
        _expect_ours(read_bytes(folder / CONFIG) if (folder / CONFIG).is_file() else b"", folder)


def _expect_ours(config: bytes, place: Path) -> None:
    """Raise unless what is to be replaced is, by its config.json, a model of nin, damaged or not."""
    if b'"nin": {' not in config:
        raise ModelError(f"{escape_name(place)} holds what is no model of nin; choose another place")


def _write(files: Mapping[str, bytes], target: Path, overwrite: bool) -> None:
    """Give `target` these files, all at once."""
    _expect_room(target, overwrite)
    with replace_folder(target, may_hold=REPLACEABLE if overwrite else ()) as new:
        for name, data in files.items():
            write_bytes(new / name, data)


def _library() -> Any:
    need("huggingface_hub", what="the hub")
    import huggingface_hub

    return huggingface_hub


class _Repository:
    """The files of a repository of the hub, all of one commit: that of the first file read."""

    def __init__(self, repo: str, revision: str | None) -> None:
        self.hub = _library()
        self.repo = repo
        self.revision = revision or "main"
        self.commit: str | None = None
        self.offline = bool(self.hub.is_offline_mode())  # then huggingface_hub answers from its cache
        self.sizes: dict[str, int | None] = {}
        if not self.offline:
            with _refusals(repo):
                api = self.hub.HfApi(**_CALLER)
                info = api.model_info(repo, revision=revision, files_metadata=True, timeout=_PATIENCE)
            self.sizes = {file.rfilename: file.size for file in info.siblings or ()}

    def read(self, name: str, limit: int) -> bytes:
        """A file's content, refused unread where the hub announces more than `limit` bytes."""
        size = self.sizes.get(name)
        if not self.offline and name not in self.sizes:
            raise ModelError(f"{self.repo} has no {name}; expected a model that nin push has sent")
        if size is not None and size > limit:
            found = f"{self.repo}/{name} has {size:,} bytes, and in a model of nin at most {limit:,}"
            raise ModelError(f"{found}; it is not one of ours")
        with _refusals(self.repo):
            path = self.hub.hf_hub_download(
                self.repo,
                name,
                revision=self.commit or self.revision,
                force_download=not self.offline,  # a file damaged in the cache is mended, never believed
                tqdm_class=_meter(limit if size is None else size, f"{self.repo}/{name}"),
                **_CALLER,
            )
        self.commit = self.commit or Path(path).parent.name  # the cache has snapshots/COMMIT/NAME
        return read_bytes(path, limit=limit)


def _meter(limit: int, name: str) -> type:
    """A progress bar that shows nothing and ends a download of more bytes than were announced."""
    from huggingface_hub.utils import tqdm

    class Meter(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **{**settings, "disable": True})
            self.left: float = limit - (settings.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.left -= n or 0
            if self.left < 0:
                raise ModelError(f"{name} is larger than the {limit:,} bytes announced; the hub is at fault, try later")
            return None

    return Meter


def _send(files: Mapping[str, bytes], repo: str, message: str, private: bool, overwrite: bool) -> Shared:
    """One commit on the hub with these files, and without those of an earlier model that this one has not."""
    hub = _library()
    if hub.is_offline_mode():
        raise UsageError(f"HF_HUB_OFFLINE is set, so nothing can be sent to {repo}; unset it")
    if hub.get_token() is None:
        raise ModelError("sending a model to the hub needs a token; type hf auth login, or set HF_TOKEN")
    api = hub.HfApi(**_CALLER)
    present, parent = _present(api, repo, private)
    taken = present & set(REPLACEABLE) - {CARD}  # a new repository may have a README.md
    if taken and not overwrite:
        raise UsageError(f"{repo} holds a model already; choose another name, or replace it with --overwrite")
    if taken:
        _expect_ours(_Repository(repo, parent).read(CONFIG, 2**24) if CONFIG in taken else b"", Path(repo))
    operations = [hub.CommitOperationAdd(name, data) for name, data in files.items()]
    operations += [hub.CommitOperationDelete(name) for name in sorted(taken - set(files))]
    with _refusals(repo):
        commit = api.create_commit(repo, operations, commit_message=message, parent_commit=parent)
    return Shared(repo, f"{api.endpoint}/{repo}", commit.oid, tuple(files))


def _present(api: "HfApi", repo: str, private: bool) -> tuple[set[str], str | None]:
    """The files in a repository, which is made if it is not there, and its commit."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with _refusals(repo):
        try:
            info = api.model_info(repo, timeout=_PATIENCE)
        except RepositoryNotFoundError:
            api.create_repo(repo, private=private or None)  # None: as the owner's settings are
            return set(), None
    if private and not info.private:
        raise UsageError(f"{repo} exists and everybody can see it; choose another name, or leave out --private")
    return {file.rfilename for file in info.siblings or ()}, info.sha


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Turn what the hub, the network and huggingface_hub complain of into one line that says what to do."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(f"{repo} is open to people its owner has admitted; ask on its page") from error
    except errors.RepositoryNotFoundError as error:
        found = f"{repo} is not on {constants.ENDPOINT}, or your token does not open it"
        raise ModelError(f"{found}; check the name, or type hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repo} has no such revision; see its branches, tags and commits on the hub") from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        found = "is not in the cache, and HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "could not be fetched"
        raise ModelError(f"{repo} {found}; try again with a connection to {constants.ENDPOINT}") from error
    except errors.HfHubHTTPError as error:
        words = escape_name(error.server_message or "no reason given")[:_MOST_WORDS]
        status = error.response.status_code
        advice = "check that your token may do this: hf auth whoami" if status in (401, 403) else "try again later"
        raise ModelError(f"the hub refuses {repo} (status {status}: {words}); {advice}") from error
    except ValueError as error:  # an address or a card that huggingface_hub or the hub finds wrong
        raise ModelError(f"the hub does not take {repo} ({_words(error)}); mend that and try again") from error
    except (errors.HTTPError, errors.RevisionResolutionError, errors.XetDownloadError, OSError, RuntimeError) as error:
        found = f"{constants.ENDPOINT} cannot be used for {repo} ({_words(error)})"
        raise ModelError(f"{found}; check the connection and try again") from error


def _words(error: Exception) -> str:
    return escape_name(" ".join(str(error).split()) or type(error).__name__)[:_MOST_WORDS]
