"""Sending and fetching models, over HTTP with a hub on this machine and with folders: the same bytes, or one line."""

import hashlib
import json
import os
import pickle
import socket
import sys
from pathlib import Path

import pytest
from test_folder import parts

from hub_stand_in import TOKEN, Hub
from nin.bundle import folder as folder_module
from nin.bundle import hub as module
from nin.bundle.folder import read_bundle, write_bundle
from nin.bundle.hub import pull, push
from nin.errors import ArtifactError, MissingExtra, ModelError, NinError, UsageError
from nin.sealed import open_sealed_json, seal_json

pytest.importorskip("huggingface_hub")

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub 2.4 with httpx2
REPO = "me/animals"


@pytest.fixture
def model(tmp_path) -> Path:
    """A model of four files and the log of its training."""
    write_bundle(tmp_path / "model", **parts(), log="epoch,val_loss\n1,0.5\n")
    return tmp_path / "model"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and huggingface_hub as it is where HF_ENDPOINT, HF_HOME and HF_TOKEN are those of a user of this hub."""
    from huggingface_hub import constants

    with Hub() as hub:
        settings = {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_URL_HOSTS": frozenset({"127.0.0.1"}),
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,  # the store's own protocol; without it huggingface_hub speaks Git LFS
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture(params=["hub", "folder"])
def place(request, tmp_path):
    """An empty place, and what it holds: (name to push to, function giving bytes by file name, function that puts)."""
    if request.param == "folder":
        folder = tmp_path / "store" / "animals"

        def put(files):
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                (folder / name).write_bytes(data)

        return str(folder), lambda: contents(folder), put
    hub = request.getfixturevalue("hub")

    def held():
        there = hub.files(REPO) if REPO in hub.repositories else {}
        return {name: data for name, data in there.items() if name != ".gitattributes"}

    return REPO, held, lambda files: hub.add(REPO, {**held(), **files})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(kind: type[NinError], text: str, call, *arguments, **options) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    said = str(caught.value)
    assert text in said
    assert "\n" not in said and TOKEN not in said and ".nin-" not in said
    return said


def changed(model: Path, change) -> dict[str, bytes]:
    """The model's files with a config.json that `change` has edited and sealed again."""
    files = contents(model)
    config = open_sealed_json(files["config.json"], "config.json")
    change(config)
    return {**files, "config.json": seal_json(config)}


def test_what_is_pushed_is_pulled_byte_for_byte(place, model, tmp_path):
    repo, held, _ = place
    sent = push(model, repo)
    assert held() == contents(model)
    got = pull(repo, tmp_path / "mine")
    assert contents(tmp_path / "mine") == contents(model)
    assert got.place == str(tmp_path / "mine") and got.revision == sent.revision
    assert got.files == sent.files == ("config.json", "README.md", "labels.txt", "model.safetensors", "training.csv")
    assert read_bundle(tmp_path / "mine").classes == read_bundle(model).classes


@pytest.mark.parametrize("fetched", [False, True], ids=["push", "pull"])
def test_every_file_is_read_once_on_its_way_to_a_folder(fetched, model, tmp_path, monkeypatch):
    read, real = [], folder_module.read_bytes

    def reading(path, **options):
        read.append(Path(path).name)
        return real(path, **options)

    monkeypatch.setattr(folder_module, "read_bytes", reading)
    pull(model, tmp_path / "copy") if fetched else push(model, tmp_path / "copy")
    assert len(read) == len(set(read)) and "model.safetensors" in read


def test_the_page_and_the_commit_are_told(hub, model):
    sent = push(model, REPO, message="두 번째")
    assert sent.place == f"{hub.url}/{REPO}"
    assert [(commit, message) for commit, message, _ in hub.repositories[REPO].commits[1:]] == [
        (sent.revision, "두 번째")
    ]
    assert {agent.split(";")[0] for agent in hub.agents} <= {"network-in-network/0.1.0", "python-httpx2/2.16.2"}


def test_the_default_folder_has_the_name_of_the_repository(place, model, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    repo, _, _ = place
    push(model, repo)
    assert pull(repo).place == "animals"
    assert contents(Path("animals")) == contents(model)


def test_run_folders_names_in_the_package_and_file_urls(tmp_path):
    (tmp_path / "run").mkdir()
    write_bundle(tmp_path / "run" / "model", **parts())
    there = tmp_path / "한 곳"
    url = there.as_uri()
    assert url.startswith("file:///") and "%20" in url
    push(tmp_path / "run", url)
    assert contents(there) == contents(tmp_path / "run" / "model")
    pull(url, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(there)
    push("nin-cifar10", there, overwrite=True)
    assert read_bundle(there).classes[0] == "airplane"


def test_a_second_push_needs_overwrite_and_leaves_nothing_of_the_first(place, model, tmp_path):
    repo, held, _ = place
    push(model, repo)
    before = held()
    write_bundle(tmp_path / "newer", **parts(metrics={}))
    refused(UsageError, "replace it with --overwrite", push, tmp_path / "newer", repo)
    assert held() == before
    push(tmp_path / "newer", repo, overwrite=True)
    assert held() == contents(tmp_path / "newer")
    assert "training.csv" in before and "training.csv" not in held()


@pytest.mark.parametrize("config", [{"config.json": b'{"model_type": "resnet"}'}, {}])
def test_a_model_that_is_not_ours_is_never_replaced(config, place, model):
    repo, held, put = place
    put({**config, "model.safetensors": b"theirs"})
    before = held()
    refused(UsageError, "--overwrite", push, model, repo)
    text = f"{repo} holds what is no model of nin; choose another place"
    refused(ModelError, text, push, model, repo, overwrite=True)
    assert held() == before


def test_other_files_of_a_repository_stay_and_those_of_a_folder_are_not_endangered(hub, model, tmp_path):
    hub.add(REPO, {"README.md": b"to come\n", "LICENSE": b"mine\n"})  # as the hub's page makes a repository
    push(model, REPO)
    assert hub.files(REPO) == {**contents(model), "LICENSE": b"mine\n"}
    pull(REPO, tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    before = contents(tmp_path / "mine")
    refused(ArtifactError, "holds notes.txt, which would be lost", pull, REPO, tmp_path / "mine", overwrite=True)
    refused(ArtifactError, "holds notes.txt, which would be lost", push, model, tmp_path / "mine", overwrite=True)
    assert contents(tmp_path / "mine") == before


def test_a_folder_that_is_there_is_replaced_only_on_demand(place, model, tmp_path):
    repo, _, _ = place
    push(model, repo)
    target = tmp_path / "mine"
    write_bundle(target, **parts(metrics={}))
    before = contents(target)
    refused(UsageError, "mine is not empty; choose another folder, or replace it with --overwrite", pull, repo, target)
    assert contents(target) == before
    pull(repo, target, overwrite=True)
    assert contents(target) == contents(model)
    (tmp_path / "file").write_text("not a folder")
    refused(ArtifactError, "file is not a folder; choose another path", pull, repo, tmp_path / "file", overwrite=True)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text("{}")
    refused(ModelError, "theirs holds what is no model of nin", pull, repo, tmp_path / "theirs", overwrite=True)


def flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


BAD = {
    "nothing there": (lambda m: {"notes.txt": b"hello"}, "has no config.json"),
    "not ours": (
        lambda m: {**contents(m), "config.json": b'{"model_type": "vit"}'},
        "config.json was not written by nin",
    ),
    "no JSON": (lambda m: {**contents(m), "config.json": b'"nin": {' * 9}, "config.json is damaged"),
    "config flipped": (lambda m: {**contents(m), "config.json": flip(contents(m)["config.json"])}, "is damaged"),
    "weights flipped": (
        lambda m: {**contents(m), "model.safetensors": flip(contents(m)["model.safetensors"])},
        "model.safetensors is damaged or was changed (SHA-256 differs from the one in config.json)",
    ),
    "weights cut": (
        lambda m: {**contents(m), "model.safetensors": contents(m)["model.safetensors"][:-9]},
        "model.safetensors is damaged or was changed",
    ),
    "labels missing": (lambda m: {n: d for n, d in contents(m).items() if n != "labels.txt"}, "labels.txt"),
    "newer": (lambda m: changed(m, lambda c: c["nin"].update(format=99)), "model format 99 and this program reads 1"),
    "strange file": (
        lambda m: {**changed(m, lambda c: c["nin"]["files"].update({"run.py": "0" * 64})), "run.py": b"boom"},
        "a list of files that nin does not write",
    ),
    "way out": (
        lambda m: changed(m, lambda c: c["nin"]["files"].update({"../../escaped.txt": "0" * 64})),
        "a list of files that nin does not write",
    ),
    "does not fit": (lambda m: changed(m, lambda c: c.update(num_classes=7)), "labels for another number of classes"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_whole_model_of_ours_is_refused_and_leaves_nothing(what, place, model, tmp_path):
    make, text = BAD[what]
    repo, _, put = place
    put(make(model))
    (tmp_path / "target").mkdir()
    said = refused(ModelError, text, pull, repo, tmp_path / "target" / "mine")
    assert repo in said
    assert list((tmp_path / "target").iterdir()) == []


def test_a_damaged_model_is_not_sent(place, model):
    repo, held, _ = place
    (model / "model.safetensors").write_bytes(flip((model / "model.safetensors").read_bytes()))
    refused(ModelError, "model.safetensors is damaged", push, model, repo)
    assert held() == {}
    refused(ModelError, "nothere does not exist", push, "nothere", repo)


class Canary:
    def __reduce__(self):
        return os.mkdir, ("/tmp/nin-hub-canary",)


def test_what_else_is_in_a_repository_is_not_even_fetched(place, model, tmp_path, request):
    repo, _, put = place
    evil = {
        "pytorch_model.bin": pickle.dumps(Canary()),
        "run.py": b"raise SystemExit",
        "model.onnx": b"not vouched for",
    }
    put({**contents(model), **evil})
    pull(repo, tmp_path / "mine")
    assert contents(tmp_path / "mine") == contents(model)
    assert not Path("/tmp/nin-hub-canary").exists()
    if repo == REPO:
        asked = {path.rpartition("/")[2] for _, path in request.getfixturevalue("hub").requests if "/resolve/" in path}
        assert asked == set(contents(model)) - {"model.safetensors"} | {"model.safetensors"}


def test_symbolic_links_in_a_folder_are_not_followed(model, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (model / "labels.txt").unlink()
    (model / "labels.txt").symlink_to(tmp_path / "secret")
    refused(ModelError, "labels.txt cannot be read", pull, model, tmp_path / "mine")
    refused(ModelError, "labels.txt cannot be read", push, model, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_sizes_are_looked_at_before_anything_is_fetched(hub, model, tmp_path):
    hub.add(REPO, contents(model))
    hub.faults["announced"] = {"model.safetensors": 2**40}
    text = f"{REPO}/model.safetensors has 1,099,511,627,776 bytes, and in a model of nin at most 1,073,741,824"
    refused(ModelError, text, pull, REPO, tmp_path / "mine")
    hub.faults["announced"] = {"config.json": 2**30}
    hub.requests.clear()
    refused(ModelError, f"{REPO}/config.json has 1,073,741,824 bytes", pull, REPO, tmp_path / "mine")
    assert not [path for _, path in hub.requests if "/resolve/" in path]


def test_a_download_that_never_ends_is_ended(hub, model, tmp_path):
    hub.add(REPO, contents(model))
    hub.faults["endless"] = ("labels.txt",)
    size = len(contents(model)["labels.txt"])
    text = f"{REPO}/labels.txt is larger than the {size} bytes announced"
    refused(ModelError, text, pull, REPO, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    assert [p for p in (tmp_path / "cache").rglob("*") if p.name.endswith(".incomplete")] == []


@pytest.mark.parametrize("name", ["labels.txt", "model.safetensors"])
def test_damage_on_the_way_is_noticed(name, hub, model, tmp_path):
    hub.add(REPO, contents(model))
    hub.faults["damaged"] = (name,)
    refused(ModelError, f"{REPO}/{name} is damaged or was changed", pull, REPO, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    hub.faults.clear()
    pull(REPO, tmp_path / "mine")  # what the cache now holds of it is not believed
    assert contents(tmp_path / "mine") == contents(model)


def test_revisions_are_branches_tags_and_commits(hub, model, tmp_path):
    first = hub.add(REPO, contents(model))
    write_bundle(tmp_path / "newer", **parts(metrics={}))
    hub.add(REPO, contents(tmp_path / "newer"))
    hub.repositories[REPO].tags["v1"] = first
    for name, revision, expected in (("a", None, "newer"), ("b", "v1", "model"), ("c", first, "model")):
        got = pull(REPO, tmp_path / name, revision=revision)
        assert contents(tmp_path / name) == contents(tmp_path / expected)
        assert (got.revision == first) == (expected == "model")
    refused(ModelError, f"{REPO} has no such revision", pull, REPO, tmp_path / "d", revision="v2")
    refused(UsageError, "has no revisions", pull, model, tmp_path / "d", revision="v1")


def test_private_stays_private(hub, model, tmp_path, monkeypatch):
    push(model, REPO, private=True)
    assert hub.repositories[REPO].private
    push(model, REPO, private=True, overwrite=True)
    pull(REPO, tmp_path / "mine")
    push(model, "me/open")
    assert not hub.repositories["me/open"].private
    text = "me/open exists and everybody can see it; choose another name, or leave out --private"
    refused(UsageError, text, push, model, "me/open", private=True, overwrite=True)
    assert len(hub.repositories["me/open"].commits) == 2
    monkeypatch.delenv("HF_TOKEN")
    gone = f"{REPO} is not on {hub.url}, or your token does not open it; check the name, or type hf auth login"
    refused(ModelError, gone, pull, REPO, tmp_path / "theirs")
    pull("me/open", tmp_path / "theirs")


def test_a_push_needs_a_token_and_the_right_one(hub, model, monkeypatch):
    refused(ModelError, "you may not make you/animals", push, model, "you/animals")
    hub.add("you/animals", {})
    refused(ModelError, "check that your token may do this: hf auth whoami", push, model, "you/animals")
    monkeypatch.delenv("HF_TOKEN")
    hub.requests.clear()
    refused(ModelError, "needs a token; type hf auth login, or set HF_TOKEN", push, model, REPO)
    assert hub.requests == [] and REPO not in hub.repositories


def test_gated_repositories_say_so(hub, model, tmp_path):
    hub.add(REPO, contents(model), gated=True)
    refused(ModelError, f"{REPO} is open to people its owner has admitted; ask on its page", pull, REPO, tmp_path / "m")


def test_offline_means_the_cache_and_not_one_request(hub, model, tmp_path, monkeypatch):
    sent = push(model, REPO)
    pull(REPO, tmp_path / "online")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert pull(REPO, tmp_path / "offline").revision == sent.revision
    assert contents(tmp_path / "offline") == contents(model)
    text = "me/other is not in the cache, and HF_HUB_OFFLINE is set"
    refused(ModelError, text, pull, "me/other", tmp_path / "other")
    refused(UsageError, "HF_HUB_OFFLINE is set, so nothing can be sent", push, model, REPO, overwrite=True)
    assert hub.requests == []
    digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    (blob,) = (tmp_path / "cache").rglob(digest)
    blob.write_bytes(flip(blob.read_bytes()))
    refused(ModelError, "model.safetensors is damaged", pull, REPO, tmp_path / "worse")


STAGES = {
    "push": (
        "api/models/me/animals$",
        "repos/create",
        "validate-yaml",
        "preupload",
        "objects/batch",
        "/lfs/",
        "/commit/",
    ),
    "pull": ("api/models/me/animals$", "resolve/.*/config.json", "resolve/.*/labels.txt", "/cdn/"),
}


@pytest.mark.parametrize(("verb", "stage"), [(verb, stage) for verb in STAGES for stage in STAGES[verb]])
def test_a_fault_at_any_stage_is_one_line_and_leaves_nothing_half_done(verb, stage, hub, model, tmp_path):
    if verb == "pull":
        hub.add(REPO, contents(model))
    hub.faults["status"] = {stage: 418}
    (tmp_path / "target").mkdir()
    if verb == "push":
        refused(ModelError, REPO, push, model, REPO)
        assert REPO not in hub.repositories or set(hub.files(REPO)) == {".gitattributes"}
        hub.faults.clear()
        push(model, REPO)  # and what was begun can be ended
        assert contents(model).items() <= hub.files(REPO).items()
    else:
        refused(ModelError, REPO, pull, REPO, tmp_path / "target" / "mine")
        assert list((tmp_path / "target").iterdir()) == []


def test_no_connection_is_one_line(hub, model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    text = f"http://127.0.0.1:1 cannot be used for {REPO}"
    refused(ModelError, text, pull, REPO, tmp_path / "mine")
    refused(ModelError, text, push, model, REPO)


def test_a_hub_that_says_nothing_is_given_up(hub, model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused(ModelError, f"cannot be used for {REPO}", pull, REPO, tmp_path / "mine")
        refused(ModelError, f"cannot be used for {REPO}", push, model, REPO)


def test_two_who_push_at_once_do_not_mix(hub, model, monkeypatch):
    push(model, REPO)
    look = module._present

    def look_and_be_late(*arguments):
        seen = look(*arguments)
        hub.add(REPO, {**hub.files(REPO), "labels.txt": b"of another\n"})
        return seen

    monkeypatch.setattr(module, "_present", look_and_be_late)
    refused(ModelError, "A commit has happened since", push, model, REPO, overwrite=True)
    assert hub.files(REPO)["labels.txt"] == b"of another\n"


def test_a_card_that_the_hub_does_not_take(hub, tmp_path):
    write_bundle(tmp_path / "odd", **parts(provenance={"license": "Min's own"}))
    refused(ModelError, f'the hub does not take {REPO} (Invalid metadata in README.md. - "license" must be one of',
            push, tmp_path / "odd", REPO)  # fmt: skip
    assert set(hub.files(REPO)) == {".gitattributes"}


def test_a_shipped_model_is_taken_by_the_hub(hub):
    push("nin-cifar10", "me/cifar")
    assert json.loads(hub.files("me/cifar")["config.json"])["architecture"] == "nin-large"


@pytest.mark.parametrize(
    ("repo", "text"),
    [
        (
            "animals",
            "animals is neither owner/name, as the hub has it, nor a folder that is there; a folder is written ./an",
        ),
        ("a/b/c", "a folder is written ./a/b/c"),
        ("me/ani mals", "neither owner/name"),
        ("me/../animals", "neither owner/name"),
        ("me/a..b", "neither owner/name"),
        ("me/a--b", "neither owner/name"),
        ("-me/animals", "neither owner/name"),
        ("https://huggingface.co/me/animals", "neither owner/name, as the hub has it, nor a folder that is there"),
        ("file://elsewhere/folder", "is not on this machine; expected file:///path/to/folder"),
        ("file:folder", "is not on this machine"),
        ("me/\x1b[31m", "me/\\x1b[31m is neither"),
        ("", " is neither owner/name"),
    ],
)
def test_names_that_are_neither_a_hub_id_nor_a_folder(repo, text, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(UsageError, text, pull, repo, tmp_path / "mine")
    refused(UsageError, text, push, model, repo)


def test_a_folder_that_is_there_goes_before_a_hub_id(hub, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(REPO).mkdir(parents=True)
    push(model, REPO)
    assert contents(Path(REPO)) == contents(model)
    assert hub.requests == []


def test_what_is_for_the_hub_is_refused_with_a_folder(model, tmp_path):
    text = "messages and private are for the hub"
    refused(UsageError, text, push, model, tmp_path / "store", message="first")
    refused(UsageError, text, push, model, tmp_path / "store", private=True)
    assert not (tmp_path / "store").exists()


def test_without_huggingface_hub_folders_work_and_the_hub_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    text = 'the hub needs huggingface_hub, which is not installed: pip install "network-in-network[hub]"'
    refused(MissingExtra, text, push, model, REPO)
    refused(MissingExtra, text, pull, REPO, tmp_path / "mine")
    push(model, tmp_path / "store")
    pull(tmp_path / "store", tmp_path / "mine")
    assert contents(tmp_path / "mine") == contents(model)
