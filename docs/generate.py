"""Write the generated parts of the documents afresh: tree, results, models, settings, promises, what the lesson quotes.

    python docs/generate.py            # rewrite
    python docs/generate.py --check    # exit 1 and name what is out of date

The tree's sentences are the modules' own first sentences; the results are those in experiments/*/result.json; the
models are those in src/nin/weights with what their cards say; the settings are the fields in src/nin/network/config.py;
the promises are those in docs/reliability.toml, each with tests that there must be.
web/src/lesson/measured.json is what the explorer's lesson quotes: it is built into the page, and no figure of it is
typed in.
A page for each model of the package comes from model_pages.py, that of Python's names from python_reference.py.
The help pages in docs/reference/cli.md have a generator of their own (see the top of that page).
"""

import ast
import itertools
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from model_pages import model_pages
from python_reference import python_page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nin"
QUOTED = ROOT / "web" / "src" / "lesson" / "measured.json"
ROOMS = (
    *("errors.py", "version.py", "extras.py", "orphans.py", "artifacts.py", "sealed.py", "choices.py"),
    *("network", "data", "bundle", "weights", "training", "engine", "report", "run", "commands"),
    *("server", "bulk", "importers", "claims", "paper", "explorer", "teaching", "cli"),
)
FRONT = (  # how the rows begin that stand on the front page
    "3,068 clothing photos",
    "CIFAR-10, `nin train cifar --epochs 40",
    "MNIST, `nin train mnist --epochs 8",
    "Fashion-MNIST",
)
OTHER = {  # files that are not modules
    "page.css": "the looks of the report: light, dark, phone and paper",
    "docs.html": "The server's page: every address of its interface, and a form to try a picture",
    "claims.toml": "The words of the claims in English and Korean",
    "page.html": "The page itself, as web/ builds it: one file, script and style inside",
    "korean.toml": "The Korean of the report's sentences, phrases and words",
    "recorded.json": "The results that `nin reproduce --show` prints: experiments/2026-11-24-paper, no curves",
    "korean.json": "The classes of the models in the package, in Korean",
}
USUAL = {  # what a network file need not say though its class has no default, or another one
    "name": "as the file is called",
    "num_classes": "the pictures' classes; without pictures 10",
    "in_channels": "the pictures' channels; without pictures 3",
}
FOLDERS = {  # that hold no modules
    "weights": "The models that come with the package, a folder each",
    "examples": "Pictures to try with the models in the package, and whom to thank for them",
}


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring."""
    if path.name in OTHER:
        return OTHER[path.name]
    if path.parent.name in FOLDERS:
        return FOLDERS[path.parent.name]
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].split(". ")[0].rstrip(".")


def tree() -> str:
    """The fenced tree of src/nin, one line a module, rooms in the order of the arrows."""
    rows = []

    def add(path: Path, depth: int) -> None:
        if path.is_file():
            rows.append((f"{'  ' * depth}{path.name}", sentence(path)))
        elif path.is_dir():
            rows.append((f"{'  ' * depth}{path.name}/", sentence(path / "__init__.py")))
            inside = [] if path.name in FOLDERS else sorted(path.iterdir(), key=lambda p: (p.is_dir(), p.name))
            for inner in inside:
                if (
                    inner.name in {*OTHER, *FOLDERS}
                    or (inner.suffix == ".py" and inner.name != "__init__.py")
                    or (inner / "__init__.py").is_file()
                ):
                    add(inner, depth + 1)

    for name in (*ROOMS, "__main__.py"):
        add(PACKAGE / name, 1)
    width = max(len(name) for name, _ in rows) + 2
    return "".join(f"{name:{width}}{text}\n" for name, text in rows)


def results(page: Path, *, front: bool = False) -> str:
    """The table of results for a page, one row per experiment, newest last; front: those for the front page."""
    head = "| data, command | result | n | minutes | machine |\n|---|---|---|---|---|\n"
    up = "../" * (len(page.relative_to(ROOT).parts) - 1)
    rows = []
    for path in sorted(ROOT.glob("experiments/*/result.json")):
        for row in json.loads(path.read_text(encoding="utf-8")).get("readme", []):
            if front and not row["what"].startswith(FRONT):
                continue
            link = f"[log]({up}{path.parent.relative_to(ROOT).as_posix()}/README.md)"
            rows.append(
                f"| {row['what']} | {row['result']} | {row['n']} | {row['minutes']} | {row['machine']}, {link} |\n"
            )
    return head + "".join(rows)


def models(folder: str) -> str:
    """The table of the models in the package; folder: where their pages lie, seen from the page with the table."""
    head = (
        "| name | what it knows | accuracy on test pictures | pictures of | parameters | size | "
        'foreign pictures called "unknown" |\n'
        "|---|---|---|---|---|---|---|\n"
    )
    rows = []
    for path in sorted(PACKAGE.glob("weights/*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        ours, labels = config["nin"], config["label_names"]
        name = f"[`{path.parent.name}`]({folder}/{path.parent.name}.md)"
        names = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
        low, high = ours["metrics"]["interval"]
        foreign = ", ".join(f"{row['unknown']:.0%} of {row['pictures']}" for row in ours["metrics"]["foreign"])
        measured = "" if ours["metrics"]["split"] == "test" else f" of {ours['metrics']['split']} pictures"
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        rows.append(
            f"| {name} | {names} | {ours['metrics']['accuracy']:.2%} ({low:.1%} to {high:.1%}){measured} | "
            f"{' x '.join(map(str, ours['preprocess']['size']))} pixels | {ours['provenance']['parameters']:,} | "
            f"{size / 1e6:.1f} MB | {foreign} |\n"
        )
    return head + "".join(rows)


def settings(name: str) -> str:
    """The table of the fields of a class in network/config.py: what each is by default, and what its docstring says."""
    tree = ast.parse((PACKAGE / "network" / "config.py").read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    rows = ["| setting | default | what it is |\n|---|---|---|\n"]
    for field, words in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(words, ast.Expr):
            default = USUAL.get(ast.unparse(field.target), "")
            if field.value and not default:
                usual = ast.literal_eval(field.value)
                default = f"`{usual if isinstance(usual, str) else json.dumps(usual)}`"
            rows.append(f"| `{ast.unparse(field.target)}` | {default} | {ast.literal_eval(words.value)} |\n")
    return "".join(rows)


def promises() -> str:
    """The table of what can be counted on: the promise, the tests that hold it, what they ask, how to ask more."""
    found = tomllib.loads((ROOT / "docs" / "reliability.toml").read_text(encoding="utf-8"))["promise"]
    planted = tomllib.loads((ROOT / "tests" / "planted" / "bugs.toml").read_text(encoding="utf-8"))["bug"]
    rows = ["| promise | what `make test` asks, and where | how to ask more | measured last |\n|---|---|---|---|\n"]
    for each in found:
        files = dict.fromkeys(test.partition("::")[0] for test in each["tests"])
        for test in each["tests"]:
            file, _, name = test.partition("::")
            if f"\ndef {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
                raise SystemExit(f"docs/reliability.toml names {test}, which is not there")
        where = ", ".join(f"[{Path(file).stem.removeprefix('test_')}](../{file})" for file in files)
        asked = each["asked"].replace("{bugs}", str(len(planted)))
        rows.append(
            f"| {each['promise']} | {asked} ({where}) | {each.get('more', '')} | {each.get('measured', '')} |\n"
        )
    return "".join(rows)


def quoted() -> str:
    """What the lesson quotes, as JSON: counts, claims about learning, the paper's table 5 with our own runs of it."""
    run, paper = "experiments/2026-11-30-lesson", "experiments/2026-11-24-paper"
    found = json.loads((ROOT / run / "result.json").read_text(encoding="utf-8"))
    claims = found["claims"]
    if claims is not None:
        kept = ("verdict", "verdicts", "measured", "curve")
        answers = {str(each["claim"]): {key: each[key] for key in kept if key in each} for each in claims["answers"]}
        about = {key: claims[key] for key in ("command", "n", "machine")}
        claims = {**about, "source": f"{run}/README.md", "answers": answers}
    tables = {
        length: json.loads((ROOT / paper / length / "result.json").read_text(encoding="utf-8"))["table5"]
        for length in ("short", "full")
    }
    rows = []
    for row in tables["short"]["rows"]:
        ours = {length: _row(table, row["row"]) for length, table in tables.items()}
        rows.append({"row": row["row"], "paper": row["paper"], **ours})
    short = tables["short"]["protocol"]
    lengths = {"epochs": short["epochs"]["cifar10"], "pictures": short["pictures"]["cifar10"]}
    whole = {
        "networks": found["networks"],
        "claims": claims,
        "table5": {"source": f"{paper}/README.md", "short": lengths, "rows": rows},
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _row(table: dict[str, Any], key: str) -> dict[str, Any]:
    """The error of a row with its spread over n runs; None where it was not run."""
    found = next(row for row in table["rows"] if row["row"] == key)
    return {name: found[name] for name in ("error", "spread", "n")}


def replaced(text: str, begin: str, end: str, content: str) -> str:
    """`text` with what stands between two markers replaced."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + content + end + after


def generated() -> dict[Path, str]:
    """Every document with generated parts, as it should be."""
    readme, house, measured = ROOT / "README.md", ROOT / "docs" / "architecture.md", ROOT / "docs" / "results.md"
    form, shipped = ROOT / "docs" / "reference" / "network-file.md", ROOT / "docs" / "models.md"
    counted_on = ROOT / "docs" / "reliability.md"
    pages = (readme, house, measured, form, shipped, counted_on)
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    texts[house] = replaced(texts[house], "```\nsrc/nin/\n", "```\n", tree())
    for page in (readme, measured):
        table = results(page, front=page == readme)
        texts[page] = replaced(texts[page], "<!-- results: begin -->\n", "<!-- results: end -->\n", table)
    for what, cls in (("network", "NINConfig"), ("block", "BlockConfig")):
        begin, end = f"<!-- {what}: begin -->\n", f"<!-- {what}: end -->\n"
        texts[form] = replaced(texts[form], begin, end, settings(cls))
    for page, folder in ((readme, "docs/models"), (shipped, "models")):
        texts[page] = replaced(texts[page], "<!-- models: begin -->\n", "<!-- models: end -->\n", models(folder))
    texts[ROOT / "docs" / "reference" / "python.md"] = python_page()
    begin, end = "<!-- promises: begin -->\n", "<!-- promises: end -->\n"
    texts[counted_on] = replaced(texts[counted_on], begin, end, promises())
    texts[QUOTED] = quoted()
    return texts | model_pages(PACKAGE / "weights")


def main() -> int:
    stale = {
        path: text
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date; run: python docs/generate.py\n")
        return bool(stale)
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
