"""The form that people write: nothing is lost by leaving out what is as usual, and what is fixed stays so."""

import pytest
from hypothesis import given, settings

from networks import any_network
from nin.errors import UsageError
from nin.network.config import SettingError
from nin.network.form import CLASSES, USUAL_CLASSES, from_form, to_form
from nin.network.named import MODELS, author_imagenet, author_mnist, nin

SMALL = {"blocks": [{"channels": [8, 8], "kernel_size": 5}, {"channels": [8, CLASSES], "kernel_size": 3}]}


def with_last_width(width):
    return {"blocks": [SMALL["blocks"][0], {**SMALL["blocks"][1], "channels": [8, width]}]}


@settings(max_examples=100, deadline=None)
@given(any_network())
def test_every_network_comes_back_from_its_form(config):
    form = to_form(config)
    assert from_form(form, "another name") == config
    assert from_form(form, "", config.num_classes, config.in_channels) == config
    assert from_form({**config.to_dict()}, "another name") == config  # all that args.yaml holds is a form, too


@pytest.mark.parametrize("name", list(MODELS))
def test_a_form_is_for_any_number_of_classes(name):
    assert from_form(to_form(MODELS[name]()), "x", 7) == MODELS[name](7)


def test_what_is_as_usual_is_left_out():
    assert to_form(nin()) == {
        "name": "nin",
        "norm": "batch",
        "blocks": [
            {"channels": [48, 48], "kernel_size": 5, "pool": "max"},
            {"channels": [96, 96], "kernel_size": 3, "pool": "max"},
            {"channels": [160, 160], "kernel_size": 3},
            {"channels": [176, 176], "kernel_size": 3},
            {"channels": [176, 176, "classes"], "kernel_size": 3},
        ],
    }
    assert to_form(author_mnist())["in_channels"] == 1
    assert to_form(author_imagenet())["num_classes"] == 1000


def test_who_says_how_many_classes_and_channels():
    assert from_form(SMALL, "x").num_classes == USUAL_CLASSES
    assert from_form({**SMALL, "num_classes": 5}, "x").num_classes == 5
    assert from_form({**SMALL, "num_classes": 5}, "x", 7).num_classes == 7
    assert from_form(with_last_width(4), "x").num_classes == from_form(with_last_width(4), "x", 4).num_classes == 4
    assert from_form(SMALL, "x").in_channels == 3
    assert from_form(SMALL, "x", in_channels=1).in_channels == 1
    assert from_form({**SMALL, "in_channels": 1}, "x").in_channels == 1
    assert (from_form(SMALL, "x").name, from_form({**SMALL, "name": "y"}, "x").name) == ("x", "y")


@pytest.mark.parametrize(
    ("form", "asked", "message", "keys"),
    [
        (with_last_width(4), (5, None), "the last width is 4 and there are 5 classes", ("blocks", 1, "channels", 1)),
        (
            with_last_width("class"),
            (5, None),
            "the last width is 'class'; expected classes",
            ("blocks", 1, "channels", 1),
        ),
        (with_last_width(None), (5, None), "the last width is None", ("blocks", 1, "channels", 1)),
        (with_last_width(True), (5, None), "the last width is True", ("blocks", 1, "channels", 1)),
        ({**with_last_width(4), "num_classes": 5}, (4, None), "4 maps for 5 classes", ("blocks", 1, "channels", 1)),
        ({**SMALL, "num_classes": "x"}, (None, None), "num_classes is 'x'", ("num_classes",)),
        (SMALL, (0, None), "num_classes is 0", ("num_classes",)),
        (SMALL, (None, 0), "in_channels is 0", ("in_channels",)),
        ({**SMALL, "in_channels": 1}, (None, 3), "in_channels is 1 and the pictures have 3", ("in_channels",)),
        ({**SMALL, "blocks": 3}, (5, None), "blocks is 3; expected a list of blocks", ("blocks",)),
        ({"blocks": [{**SMALL["blocks"][0], "pol": 1}]}, (None, None), "did you mean pool?", ("blocks", 0, "pol")),
        ({**SMALL, "blokcs": 3}, (5, None), "did you mean blocks?", ("blokcs",)),
        ({}, (5, None), "lacks the setting 'blocks'", ()),
    ],
)
def test_faults_know_which_setting_they_are_about(form, asked, message, keys):
    with pytest.raises(SettingError, match=r"^[^\n]+$") as caught:
        from_form(form, "x", *asked)
    assert message in str(caught.value) and caught.value.keys == keys
    assert isinstance(caught.value, UsageError)
