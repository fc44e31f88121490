"""Every sentence of a report has its Korean; one that had none would stay English and end nothing."""

import ast
from pathlib import Path

from nin.report import bilingual
from nin.report.bilingual import korean, say


def test_every_sentence_has_its_korean():
    said = set()
    for module in Path(bilingual.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                said |= {first.value for first in node.args[:1] if isinstance(first, ast.Constant)}
    assert len(said) > 20
    assert said - korean().keys() == set()


def test_a_sentence_without_korean_stays_english():
    assert str(say("Not {what}.", what="<b>")).count("Not &lt;b&gt;.") == 2
