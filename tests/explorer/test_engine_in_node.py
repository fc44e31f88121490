"""The engine of the page against Python: fixtures written here, compared in Node by vitest (web/tests)."""

import fixtures
import node


def test_the_engine_of_the_page_says_what_python_says_and_notices_planted_faults(tmp_path):
    node.install()
    fixtures.write(tmp_path)
    said = node.run("vitest", "run", NIN_FIXTURES=str(tmp_path))
    assert "passed" in said
    assert "skipped" not in said
    assert "failed" not in said
