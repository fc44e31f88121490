"""nin push and nin pull as a user types them: the real program, a hub on this machine found by its environment."""

import json

import pytest

from hub_stand_in import TOKEN, Hub

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(nin):
    """A hub and the variables with which huggingface_hub finds it."""
    with Hub() as hub:
        hub.variables = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(nin.folder.parent / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }
        yield hub


def test_a_model_goes_to_the_hub_and_comes_back(nin, model, photos, hub):
    sent = nin("push", "model", "me/animals", "--private", "--message", "first", **hub.variables)
    commit = hub.repositories["me/animals"].commits[-1][0]
    assert (sent.code, sent.out) == (0, f"{hub.url}/me/animals\n")
    assert sent.err == f"4 files verified, commit {commit[:12]}\n"
    assert hub.repositories["me/animals"].private
    got = nin("pull", "me/animals", "--json", **hub.variables)
    assert (got.code, got.err) == (0, "")
    assert json.loads(got.out) == {
        "repo": "me/animals",
        "place": "animals",
        "revision": commit,
        "files": ["config.json", "README.md", "labels.txt", "model.safetensors"],
    }
    assert TOKEN not in sent.out + sent.err + got.out + got.err
    assert hub.agents == {a for a in hub.agents if "torch" not in a}  # no list of what is installed here
    (answer,) = json.loads(nin("predict", "animals", "photos/dog/0.png", "--json").out)
    assert answer["predictions"][0]["label"] == "고양이"
    again = nin("pull", "me/animals", **hub.variables)
    assert (again.code, again.out) == (2, "")
    assert again.err.splitlines() == [
        "nin: animals is not empty; choose another folder, or replace it with --overwrite",
        "try: nin pull --help",
    ]


def test_a_folder_in_place_of_the_hub(nin, model):
    sent = nin("push", "model", "~/store/animals", "--json")
    assert sent.code == 0
    place = json.loads(sent.out)["place"]
    assert place.endswith("/store/animals")
    got = nin("pull", f"file://{place}", "mine")
    assert (got.code, got.out, got.err) == (0, "mine\n", "4 files verified\n")
    for file in model.iterdir():
        assert (nin.folder / "mine" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("push nothere me/animals", 1, "nothere does not exist; "),
        ("push model me/animals", 1, "sending a model to the hub needs a token; type hf auth login, or set HF_TOKEN"),
        ("push model animals", 2, "animals is neither owner/name, as the hub has it, nor a folder that is there; "),
        (
            "push model ./store --private",
            2,
            "./store is a folder; messages and private are for the hub, leave them out",
        ),
        ("push model", 2, "nin push needs REPO: a hub id, owner/name, or a folder: "),
        ("pull", 2, "nin pull needs REPO: a hub id, owner/name, or a folder: "),
        ("pull me/nothere", 1, "me/nothere is not on http://127.0.0.1:"),
        ("pull ./photos mine", 1, "photos has no config.json; expected the model folder that nin train wrote"),
        ("pull ./model model", 2, "model is not empty; choose another folder, or replace it with --overwrite"),
        ("pull ./model mine --revision v1", 2, "./model is a folder, which has no revisions; leave revision out"),
        ("download me/animals", 2, 'nin has no command "download"; did you mean nin pull?'),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(words, code, reason, nin, model, photos, hub):
    before = nin.left()
    outcome = nin(*words.split(), **{**hub.variables, "HF_TOKEN": ""})
    assert outcome.err.startswith(f"nin: {reason}")
    assert len(outcome.err.splitlines()) == code  # wrong usage: and a line of what to type
    assert (outcome.code, outcome.out) == (code, "")
    assert nin.left() == before and hub.repositories == {}


def test_no_connection_and_no_network_at_all(nin, model, hub):
    variables = {**hub.variables, "HF_ENDPOINT": "http://127.0.0.1:1"}
    outcome = nin("pull", "me/animals", **variables)
    assert (outcome.code, outcome.out) == (1, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("nin: http://127.0.0.1:1 cannot be used for me/animals (")
    offline = nin("pull", "me/animals", **variables, HF_HUB_OFFLINE="1")
    (line,) = offline.err.splitlines()
    assert line.startswith("nin: me/animals is not in the cache, and HF_HUB_OFFLINE is set; ")
