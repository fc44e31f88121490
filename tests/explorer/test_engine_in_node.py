"""The engine of the page against Python: fixtures written here, compared in Node by vitest (web/tests).

With NIN_HEAVY=1 every planted fault, too, must make the comparison fail, which takes two minutes.
"""

import os

import fixtures
import node


def test_the_engine_of_the_page_says_what_python_says(tmp_path):
    node.install()
    fixtures.write(tmp_path)
    left_out = ["tests/teach/python.test.ts", "tests/teach/mutants.test.ts"]  # see test_taught_in_node.py
    if os.environ.get("NIN_HEAVY") != "1":
        left_out.append("tests/net/mutants.test.ts")
    said = node.run("vitest", "run", *(f"--exclude={name}" for name in left_out), NIN_FIXTURES=str(tmp_path))
    assert "passed" in said
    assert "skipped" not in said
    assert "failed" not in said
