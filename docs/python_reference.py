"""The page of Python's public names, docs/reference/python.md: signatures and docstrings as the sources have them.

The names are those of nin.__all__, found where src/nin/__init__.py imports them from. Nothing is imported.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
GROUPS = {  # heading -> names; a name that is in none ends the generation
    "Train": ("train", "resume", "TrainOptions", "Listener", "teach", "TeachOptions", "check"),
    "Use": ("load", "open_engine", "Engine", "predict", "explain", "evaluate", "batch", "shipped"),
    "Hand on": ("export", "publish", "push", "pull", "import_model"),
    "Build": (
        *("create_model", "list_models", "summary", "NINConfig", "BlockConfig", "NIN", "MLPConv"),
        *("GlobalAveragePool2d", "convolutionize", "fully_connect"),
    ),
    "Errors": ("NinError",),
}
LEFT_OUT = {"__version__"}


def origins() -> dict[str, str]:
    """Public name -> the module it is imported from."""
    tree = ast.parse((SOURCES / "nin" / "__init__.py").read_text(encoding="utf-8"))
    found = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    public = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return {name: found[name] for name in ast.literal_eval(public) if name not in LEFT_OUT}


def definition(name: str, module: str) -> ast.FunctionDef | ast.ClassDef:
    """The statement that defines a name."""
    path = SOURCES.joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise SystemExit(f"{module} does not define {name}")


def signature(name: str, node: ast.FunctionDef) -> str:
    """`name(a, *, b=1) -> C` as a fenced block, one parameter a line where it is long."""
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    returns = f" -> {_kind(node.returns)}" if node.returns else ""
    line = f"{name}({arguments}){returns}"
    if len(line) > 100:
        parts = _parts(node)
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```py\n{line}\n```\n\n"


def _parts(node: ast.FunctionDef) -> list[str]:
    """Every parameter with its type and default, and the star before those that go by name."""
    given = node.args
    usual = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    found = [_part(argument, value) for argument, value in zip(given.args, usual, strict=True)]
    if given.vararg or given.kwonlyargs:
        found.append(f"*{ast.unparse(given.vararg)}" if given.vararg else "*")
    found += [_part(argument, value) for argument, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg:
        found.append(f"**{ast.unparse(given.kwarg)}")
    return [part for part in found if part != "self"]


def _kind(node: ast.expr) -> str:
    """A type as it is read; one that is written in quotes loses them."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _part(argument: ast.arg, value: ast.expr | None) -> str:
    equals = " = " if argument.annotation else "="
    return ast.unparse(argument) + (f"{equals}{ast.unparse(value)}" if value else "")


def words(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The docstring as Markdown."""
    text = escaped(ast.get_docstring(node) or "")
    named = {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)} | {
        ast.unparse(field.target) for field in node.body if isinstance(field, ast.AnnAssign)
    }

    def apart(found: re.Match[str]) -> str:
        """What is said of a parameter or a field stands in a paragraph of its own."""
        known = set(found[1].split(", ")) <= named
        return f"\n\n{', '.join(f'`{name}`' for name in found[1].split(', '))}: " if known else found[0]

    text = re.sub(r"(?:\n|(?<=[.;]) )(\w+(?:, \w+)*): ", apart, text)
    return re.sub(r"\n{3,}", "\n\n", text) + "\n\n"


def escaped(text: str) -> str:
    """Text whose < and * stay what they are; what stands between backticks needs nothing."""
    parts = text.split("`")
    return "`".join(part if i % 2 else re.sub(r"[<*]", r"\\\g<0>", part) for i, part in enumerate(parts))


def fields(node: ast.ClassDef) -> str:
    """The documented fields of a dataclass as a table."""
    rows = ""
    for field, said in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant):
            default = f"`{ast.unparse(field.value)}`" if field.value else ""
            kind = ast.unparse(field.annotation).replace("|", "\\|")
            text = escaped(" ".join(str(said.value.value).split()))
            rows += f"| `{ast.unparse(field.target)}` | `{kind}` | {default} | {text} |\n"
    return f"| field | type | default | what it is |\n|---|---|---|---|\n{rows}\n" if rows else ""


def entry(name: str, module: str) -> str:
    """Everything about one public name."""
    node = definition(name, module)
    if isinstance(node, ast.FunctionDef):
        return f"### nin.{name}\n\n{signature(f'nin.{name}', node)}{words(node)}"
    text = f"### nin.{name}\n\n"
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    for method in methods:
        if method.name == "__init__":
            text += signature(f"nin.{name}", method).replace(" -> None", "")
    text += words(node) + fields(node)
    for method in methods:
        if not method.name.startswith("_") and ast.get_docstring(method):
            property_ = any(ast.unparse(each) == "property" for each in method.decorator_list)
            shown = f"```py\n{method.name}: {_kind(method.returns)}\n```\n\n" if property_ and method.returns else ""
            text += f"**{name}.{method.name}**\n\n{shown or signature(method.name, method)}{words(method)}"
    return text


def python_page() -> str:
    """The whole page."""
    found = origins()
    missing = set(found) ^ {name for names in GROUPS.values() for name in names}
    if missing:
        raise SystemExit(f"docs/python_reference.py: GROUPS and nin.__all__ differ in {', '.join(sorted(missing))}")
    text = (
        "# Python\n\nThe public names, written by `python docs/generate.py` from the docstrings. Everything else may "
        "change without notice. How they are used: [From Python](../python.md).\n\n"
    )
    for heading, names in GROUPS.items():
        text += f"## {heading}\n\n" + "".join(entry(name, found[name]) for name in names)
    return text.rstrip() + "\n"
