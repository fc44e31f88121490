"""The list of planted bugs keeps up with the code and the tests; `make planted` plants them."""

import ast

import pytest

from planted.plant import ROOT, Bug, read_bugs

BUGS = read_bugs()


def test_every_planted_bug_has_its_place_and_leaves_a_program():
    for bug in BUGS:
        sound = (ROOT / bug.file).read_text(encoding="utf-8")
        assert ast.dump(ast.parse(bug.planted(sound))) != ast.dump(ast.parse(sound)), bug.name
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 43


def test_the_tests_that_are_to_notice_are_there():
    for bug in BUGS:
        assert bug.tests, bug.name
        for test in bug.tests:
            file, _, name = test.partition("::")
            assert f"\ndef {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_a_list_that_has_fallen_behind_is_told():
    bug = Bug("gone", "src/nin/errors.py", "x = 1", "x = 2", "an example", ("tests/test_house.py::test_x",))
    assert bug.planted("y = 0\nx = 1\n") == "y = 0\nx = 2\n"
    for source, count in (("y = 0\n", 0), ("x = 1\nx = 1\n", 2)):
        with pytest.raises(ValueError, match=rf"^gone: its text occurs {count} times in src/nin/errors\.py; bring"):
            bug.planted(source)
