"""The house rules, held by machine: arrows, torch-free rooms, sizes, one writer, no danger, a true tree in README.

Every gate is a function of sources, and has a test that it bites: planted sources it must refuse and must let pass.
"""

import ast
import importlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nin"

CORE = (
    "errors version",
    "extras orphans",
    "artifacts",
    "choices sealed",
    "network data",
    "bundle",
    "training",
    "engine",
    "report",
    "run",
    "commands",
)
SATELLITES = ("server", "bulk", "importers", "claims", "paper", "explorer", "teaching")
ORDER = (*CORE, " ".join(SATELLITES), "cli", " __main__")
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms.split(" ")}  # "" is nin/__init__.py

TORCH_FREE = (  # which never import torch, not even in a function
    *("nin.errors", "nin.version", "nin.extras", "nin.orphans", "nin.artifacts", "nin.choices"),
    *("nin.bundle", "nin.bundle.hub"),
    *("nin.network.config", "nin.training.evaluation", "nin.report", "nin.report.page", "nin.report.plots"),
    *("nin.network.form", "nin.network.named", "nin.run.network_file", "nin.run.which_network", "nin.training.slots"),
    *("nin.data.images", "nin.data.sources", "nin.data.preprocess", "nin.data.cache", "nin.data.check"),
    *("nin.data.whiten", "nin.data.given", "nin.run.options", "nin.run.run_folder", "nin.run.seen"),
    *("nin.engine.engine", "nin.engine.exporter", "nin.engine.trial", "nin.engine.protobuf", "nin.commands.check_data"),
    *("nin.server.handlers", "nin.server.lifetime", "nin.server.serve", "nin.bulk.job", "nin.bulk.answer"),
    *("nin.run.recorded", "nin.explorer.explore", "nin.explorer.publish", "nin.teaching.teach"),
)
DOORS = (  # which import torch only in a call that needs it, once it is known that it is installed
    *("nin", "nin.cli", "nin.cli.app", "nin.run.train", "nin.commands.classifier", "nin.commands.predict"),
    *("nin.commands.explain", "nin.commands.evaluate", "nin.commands.bench", "nin.commands.doctor"),
    *("nin.commands.summary", "nin.commands.demo", "nin.commands.export", "nin.importers.import_model"),
    *("nin.claims.measure", "nin.paper.reproduce"),
)

THIRD_PARTY = {
    "": set(),
    "__main__": set(),
    "errors": set(),
    "version": set(),
    "extras": set(),
    "orphans": set(),
    "artifacts": set(),
    "sealed": {"numpy", "safetensors"},
    "choices": set(),
    "network": {"torch"},
    "data": {"numpy", "PIL", "platformdirs", "torch", "sklearn", "scipy", "pillow_heif"},
    "bundle": {"numpy", "yaml", "huggingface_hub"},
    "training": {"numpy", "torch"},
    "engine": {"numpy", "torch", "onnxruntime", "openvino"},
    "report": {"numpy", "PIL", "resvg_py"},
    "run": {"numpy", "torch", "yaml"},
    "commands": {"numpy", "torch", "yaml", "platformdirs", "sklearn"},
    "server": {"numpy", "httptools"},
    "bulk": {"numpy", "ray", "pyarrow"},
    "importers": {"numpy", "torch", "safetensors"},  # others' weights come in types that NumPy lacks
    "claims": {"numpy", "torch"},
    "paper": {"numpy", "torch"},
    "explorer": {"numpy", "PIL"},
    "teaching": {"numpy", "yaml"},
    "cli": {"cyclopts", "rich"},
}

JUNK = {"util", "utils", "common", "helper", "helpers", "misc", "core", "base", "shared", "stuff", "tools", "lib"}
FILE_LINES, FUNCTION_LINES = 400, 60
CALLS_FROM_PYTHON = "nin.cli.calls"  # nin.train, resume and batch: what other rooms have, with progress shown


def words(text: str) -> list[str]:
    return text.split()


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def sources() -> dict[str, str]:
    """Module name -> its text, for every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("nin", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


SOURCES = sources()


def room_of(module: str) -> str:
    return (module + ".").split(".")[1]


def imports(module: str, texts: dict[str, str], *, typing_too: bool = True) -> list[tuple[int, str]]:
    """(line, module) of everything a module imports, in functions too; names of our own are resolved to modules."""
    tree = ast.parse(texts[module])
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and not typing_too:
            skipped |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{module}:{node.lineno}: write imports out in full")
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append((node.lineno, inner if inner in texts else str(node.module)))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0] if node.args else None
            found += [(node.lineno, first.value)] if isinstance(first, ast.Constant) else []
    return found


def arrow_faults(texts: dict[str, str]) -> list[str]:
    """Imports of a room to the right, between network and data, and of third-party packages a room has no use for."""
    faults = []
    for module in texts:
        room = room_of(module)
        if room not in RANK:
            faults.append(f"{module}: unknown room {room!r}")
            continue
        for line, name in imports(module, texts):
            if not may_import(room, name):
                faults.append(f"{module}:{line} imports {name}")
    return faults


def may_import(room: str, name: str) -> bool:
    root, other = name.split(".")[0], room_of(name)
    if root == "nin":
        return other == room or (other != "" and RANK.get(other, 99) < RANK[room])
    return root in sys.stdlib_module_names or root in THIRD_PARTY[room]


def cycles(texts: dict[str, str]) -> list[str]:
    """Modules that reach themselves by imports, those for type checkers alone included."""
    graph = {
        module: {name for _, name in imports(module, texts) if name in texts and name != module} | _named(module, texts)
        for module in texts
    }
    return sorted(module for module in graph if module in reached(graph, graph[module]))


def _named(module: str, texts: dict[str, str]) -> set[str]:
    """Packages that a module names: `from nin.cli import app` begins with all that nin/cli/__init__.py imports."""
    found = [node for node in ast.walk(ast.parse(texts[module])) if isinstance(node, ast.ImportFrom)]
    return {str(node.module) for node in found if node.module in texts and node.module != module}


def reached(graph: dict[str, set[str]], start: set[str]) -> set[str]:
    seen, queue = set(), list(start)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += graph.get(module, ())
    return seen


def torch_faults(texts: dict[str, str], free: tuple[str, ...] = TORCH_FREE) -> list[str]:
    """Modules that a torch-free one reaches and that import torch."""
    graph = {module: {name for _, name in imports(module, texts, typing_too=False)} for module in texts}
    faults = []
    for module in set(free) & set(texts):
        for name in sorted(reached(graph, {module}) & set(texts)):
            faults += [f"{module} -> {name}" for other in graph[name] if other.split(".")[0] == "torch"]
    return faults


WRITE_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"}
METHODS = set(
    words("""
    write_text write_bytes mkdir makedirs touch rename renames unlink rmdir rmtree removedirs symlink_to hardlink_to
    symlink link chmod lchmod chown truncate ftruncate mkfifo copyfile copytree copy2 copyfileobj copymode copystat
    make_archive sendfile tofile savez savez_compressed savetxt save_file NamedTemporaryFile TemporaryFile mkstemp
    TemporaryDirectory SpooledTemporaryFile mkdtemp FileHandler RotatingFileHandler
    """)
)
CALLS = {"os.replace", "os.remove", "os.write", "shutil.copy", "shutil.move", "torch.save", "numpy.save", "np.save"}
OPENERS = {"open", "fdopen", "ZipFile", "TarFile", "GzipFile", "BZ2File", "LZMAFile", "memmap", "open_memmap", "FileIO"}
MODE = re.compile(r"(?=.*[wax+])[rwaxbtcU+]{1,4}(:\w*)?")


def calls(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func), ast.unparse(node.func).split(".")[-1]


def write_faults(text: str) -> list[str]:
    """Everything in a source that could create, change, move or remove a file."""
    tree, faults = ast.parse(text), []
    for node, name, last in calls(tree):
        if name == "os.open":
            flags = {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)} & WRITE_FLAGS
            bad = bool(flags) and ast.unparse(node.args[0]) != "os.devnull"
        elif last in OPENERS:
            bad = opens_for_writing(node, name)
        elif last == "replace" and "." in name:  # of a text it takes two arguments, of a path one
            bad = name == "os.replace" or (len(node.args) == 1 and not node.keywords and name != "dataclasses.replace")
        elif last in ("save", "savefig", "imsave", "dump") and "." in name:
            bad = name in CALLS or not in_memory(node, tree)
        else:
            bad = name in CALLS or (last in METHODS and name not in own_names(tree))
        faults += [f"{node.lineno}: {name}"] if bad else []
    hidden = {"replace", "remove", "rename", "write", "open", "copy", "move", "link"}  # from os import replace
    taken = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module in ("os", "shutil")]
    return faults + [f"{n.lineno}: {alias.name}" for n in taken for alias in n.names if alias.name in hidden]


def opens_for_writing(node: ast.Call, name: str) -> bool:
    """Whether a call named like open may write; a mode that is not spelled out counts as one that does."""
    path_first = name in ("open", "io.open", "gzip.open", "bz2.open", "lzma.open", "tarfile.open") or "open" not in name
    path_first = path_first or name.endswith("fdopen")
    modes = node.args[1:] if path_first else node.args
    modes = [*modes, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    written = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
    hidden = name in ("open", "io.open", "os.fdopen") and len(written) < len(modes)
    return hidden or any(MODE.fullmatch(mode) for mode in written)


def in_memory(node: ast.Call, tree: ast.AST) -> bool:
    """Whether a .save(...) goes to a BytesIO made in this module, or is a function of one of our own modules."""
    made = [inner for inner in ast.walk(tree) if isinstance(inner, ast.Assign)]
    made = [inner for inner in made if re.fullmatch(r"(io\.)?(Bytes|String)IO\(.*\)", ast.unparse(inner.value))]
    buffers = {ast.unparse(target) for inner in made for target in inner.targets}
    given = {ast.unparse(argument) for argument in node.args}
    return bool(given & buffers) or ast.unparse(node.func).split(".")[0] in own_names(tree)


def own_names(tree: ast.AST) -> set[str]:
    """Names that a source imports from this package."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "nin"]
    return {alias.asname or alias.name for node in found for alias in node.names}


PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "dbm"}
RUNNERS = set(
    words("""
    eval exec compile __import__ builtins.eval builtins.exec os.system os.popen torch.load torch.hub.load yaml.load
    yaml.unsafe_load yaml.full_load yaml.load_all yaml.unsafe_load_all yaml.full_load_all
    """)
)
SAFE = {"allow_pickle": "False", "weights_only": "True", "shell": "False"}


def danger_faults(text: str) -> list[str]:
    """Calls that run code from data, or a shell, or unpack an archive wherever it likes."""
    tree, faults = ast.parse(text), []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        faults += [f"{node.lineno}: {name}" for name in names if name.split(".")[0] in PICKLES]
    for node, name, last in calls(tree):
        if last == "install_completion":  # its shell is a name such as "bash"
            continue
        risky = [word for word in node.keywords if word.arg in SAFE and ast.unparse(word.value) != SAFE[word.arg]]
        guarded = name == "torch.load" and any(word.arg == "weights_only" for word in node.keywords)  # True, or risky
        if (
            (name in RUNNERS and not guarded)
            or last in ("extractall", "extract", "getoutput", "getstatusoutput")
            or risky
        ):
            faults.append(f"{node.lineno}: {name}")
    return faults


def screen_faults(text: str) -> list[str]:
    """What puts something on the screen."""
    tree = ast.parse(text)
    faults = [f"{node.lineno}: {name}" for node, name, _ in calls(tree) if name in ("print", "logging.basicConfig")]
    places = [(node.lineno, ast.unparse(node)) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return faults + [f"{line}: {name}" for line, name in places if name in ("sys.stdout", "sys.stderr")]


def size_faults(module: str, text: str) -> list[str]:
    faults = [f"{module}: {len(text.splitlines())} lines"] if len(text.splitlines()) > FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            faults += [f"{module}.{node.name}: {length} lines"] if length > FUNCTION_LINES else []
    return faults


def doc_faults(module: str, text: str) -> list[str]:
    """The module and its public functions and classes that do not say what they are."""
    tree = ast.parse(text)
    faults = [] if ast.get_docstring(tree) else [f"{module}: no docstring"]
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    return faults + [f"{module}.{node.name}: no docstring" for node in public if not ast.get_docstring(node)]


def name_faults(texts: dict[str, str]) -> list[str]:
    """Public classes, functions and modules whose name stands twice in the package: one meaning a word."""
    places: dict[str, list[str]] = {}
    packages = {module.rpartition(".")[0] for module in texts}
    for module, text in texts.items():
        if module not in packages and not module.endswith("__main__"):
            places.setdefault(module.rpartition(".")[2] + ".py", []).append(module)
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                places.setdefault(node.name, []).append(module)
    return [f"{name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]


def swallow_faults(text: str) -> list[str]:
    """Handlers that catch everything and do nothing."""
    return [
        f"{node.lineno}: except {ast.unparse(node.type) if node.type else ''}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
    ]


def test_arrows_point_one_way():
    assert {"nin", "nin.errors", "nin.artifacts", "nin.bundle"} <= set(SOURCES)  # something is looked at
    assert arrow_faults(SOURCES) == []


def test_no_module_imports_itself_in_a_circle():
    assert cycles(SOURCES) == []


def test_torch_free_rooms_name_no_torch():
    assert set(TORCH_FREE) | set(DOORS) <= set(SOURCES)
    assert torch_faults(SOURCES) == []


@pytest.mark.parametrize("module", [*TORCH_FREE, *DOORS])
def test_torch_free_rooms_live_without_torch(module):
    """Judged by a fresh interpreter in which torch cannot be imported."""
    code = f"import sys; sys.modules['torch'] = None; import {module}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_junk_drawers():
    assert [module for module in SOURCES if set(module.split(".")) & JUNK] == []


def test_files_and_functions_are_small():
    assert [fault for module, text in SOURCES.items() for fault in size_faults(module, text)] == []


def test_modules_and_public_names_say_what_they_are():
    assert [fault for module, text in SOURCES.items() for fault in doc_faults(module, text)] == []


def test_only_artifacts_writes_files():
    own = ("nin.artifacts", "nin.orphans")  # that one removes what this one could not finish
    others = {module: text for module, text in SOURCES.items() if module not in own}
    faults = [f"{module}:{fault}" for module, text in others.items() for fault in write_faults(text)]
    assert [fault for fault in faults if not (fault.startswith("nin.cli.") and fault.endswith(": os.write"))] == []


def test_nothing_runs_code_from_data():
    assert [f"{module}:{fault}" for module, text in SOURCES.items() for fault in danger_faults(text)] == []


def test_only_the_command_line_prints():
    others = {module: text for module, text in SOURCES.items() if room_of(module) not in ("cli", "artifacts")}
    assert [f"{module}:{fault}" for module, text in others.items() for fault in screen_faults(text)] == []


def test_no_public_name_stands_twice():
    assert name_faults({module: text for module, text in SOURCES.items() if module != CALLS_FROM_PYTHON}) == []


def test_no_error_is_swallowed():
    assert [f"{module}:{fault}" for module, text in SOURCES.items() for fault in swallow_faults(text)] == []


PLANTED_ARROWS = [
    ("nin.data.sources", "import nin.network.layers"),
    ("nin.data.sources", "from nin.cli import main"),
    ("nin.data.sources", "import torch, requests"),
    ("nin.network.layers", "from nin import bundle"),
    ("nin.network.layers", "from nin.data import images"),
    ("nin.network.layers", "import numpy"),
    ("nin.errors", "from nin.artifacts import x"),
    ("nin.errors", "from nin import artifacts"),
    ("nin.artifacts", "import torch"),
    ("nin.bundle", "def f():\n    from nin.training import evaluation"),
    ("nin.bundle", "import nin"),
    ("nin.bundle", "import nin.artifacts, nin.commands"),
    ("nin.bundle", "import_module('nin.report.page')"),
    ("nin.report.page", "if TYPE_CHECKING:\n    from nin.cli import main"),
    ("nin.cli", "import torch"),
    ("nin.toolbox", ""),
]


@pytest.mark.parametrize(("module", "source"), PLANTED_ARROWS)
def test_the_arrow_gate_bites(module, source):
    assert len(arrow_faults({module: source})) == 1


def test_the_arrow_gate_lets_right_imports_pass():
    fine = "import json\nimport numpy as np\nfrom nin.version import __version__\nimport nin.data.images"
    assert (
        arrow_faults({"nin.data.sources": fine, "nin.cli": "from nin.server.serve import serve\nimport rich.text"})
        == []
    )
    with pytest.raises(AssertionError, match="write imports out in full"):
        arrow_faults({"nin.data.sources": "from . import images"})


def test_the_torch_and_cycle_gates_bite():
    lazy = {"nin.data.cache": "def f():\n    from nin.data import far", "nin.data.far": "import nin.data.further"}
    further = "def f():\n    import torch.nn"
    assert torch_faults({**lazy, "nin.data.further": further}) == ["nin.data.cache -> nin.data.further"]
    assert torch_faults({**lazy, "nin.data.further": "if TYPE_CHECKING:\n    import torch"}) == []
    assert cycles({**lazy, "nin.data.further": "import nin.data.cache"}) == sorted([*lazy, "nin.data.further"])
    typed = "if TYPE_CHECKING:\n    from nin.data import cache"
    assert cycles({**lazy, "nin.data.further": typed}) == sorted([*lazy, "nin.data.further"])
    assert cycles({**lazy, "nin.data.further": ""}) == []
    package = {"nin.cli": "def f():\n    from nin.cli import app", "nin.cli.screen": ""}
    assert cycles({**package, "nin.cli.app": "from nin.cli import screen"}) == ["nin.cli", "nin.cli.app"]
    assert cycles({**package, "nin.cli.app": "from nin.cli.screen import x"}) == []


WRITES = lines("""
open('a', 'w')
open(p, mode='a')
open(p, 'rb+')
open(p, mode)
io.open(p, 'w')
os.fdopen(f, 'w')
os.fdopen(f, mode)
p.open('xb')
p.open(mode='w')
archive.open(member, 'w')
gzip.open(p, 'wb')
tarfile.open(p, 'w:gz')
ZipFile(p, 'w')
zipfile.ZipFile(p, mode='a')
os.open(p, os.O_WRONLY)
os.open(p, os.O_RDWR | os.O_CREAT)
os.write(1, b'')
p.write_text('')
p.write_bytes(b'')
p.mkdir()
os.makedirs(p)
p.touch()
p.unlink()
os.remove(p)
p.rename(q)
p.replace(q)
os.replace(p, q)
shutil.copy(p, q)
shutil.copyfile(p, q)
shutil.move(p, q)
shutil.rmtree(p)
tempfile.mkdtemp()
np.save(p, a)
np.savez(p, a=a)
a.tofile(p)
np.memmap(p, mode='w+')
np.memmap(p, np.uint8, 'r+')
torch.save(model, p)
save_file(tensors, p)
rmtree(p)
from shutil import move
image.save('a.png')
image.save(path)
figure.savefig(path)
json.dump(value, file)
yaml.dump(value, stream)
""")
READS = lines("""
open(p)
open(p, 'rb')
open(p, 'rb', opener=f)
p.open()
p.open('rb')
p.open(encoding='utf-8')
archive.open(member)
gzip.open(p)
Image.open(p)
os.open(p, os.O_RDONLY)
os.open(os.devnull, os.O_WRONLY)
text.replace('a', 'b')
replace(config, x=1)
dataclasses.replace(config)
names.remove(1)
np.memmap(p, np.uint8, 'r')
np.memmap(p, np.uint8, 'c', shape=(3,))
held = io.BytesIO(); image.save(held, 'PNG')
held = BytesIO(); figure.savefig(held, format='png')
from nin.training import checkpoint; checkpoint.save(folder)
from nin.artifacts import write_text; write_text(p, '')
json.dumps(value)
""")


def test_the_writing_gate_bites():
    assert [source for source in WRITES if not write_faults(f"def f():\n    {source}")] == []
    assert [source for source in READS if write_faults(source)] == []


DANGERS = lines("""
import pickle
from pickle import loads
import joblib
torch.load(p)
torch.load(p, weights_only=flag)
model.load(p, weights_only=False)
eval(x)
exec(x)
__import__(x)
compile(x, '', 'exec')
np.load(p, allow_pickle=True)
np.load(p, allow_pickle=flag)
yaml.load(x)
yaml.unsafe_load(x)
os.system(x)
subprocess.run(x, shell=True)
subprocess.run(x, shell=shell)
archive.extractall(p)
archive.extract(m)
""")
HARMLESS = lines("""
torch.load(p, weights_only=True)
app.install_completion(shell=shell)
model.eval()
re.compile('a')
torch.compile(m)
np.load(p)
np.load(p, allow_pickle=False)
yaml.safe_load(x)
subprocess.run(['a'])
json.loads(x)
archive.open(m)
import copyreg
""")


def test_the_danger_gate_bites():
    assert [source for source in DANGERS if not danger_faults(source)] == []
    assert [source for source in HARMLESS if danger_faults(source)] == []


def test_the_other_gates_bite():
    assert screen_faults("print(1)\nsys.stdout.write('')\nprint_table()") == ["1: print", "2: sys.stdout"]
    assert size_faults("m", "def f():\n" + "    x = 1\n" * 60) == ["m.f: 61 lines"]
    assert size_faults("m", "def f():\n" + "    x = 1\n" * 59) == []
    assert size_faults("m", "x = 1\n" * 401) == ["m: 401 lines"]
    assert doc_faults("m", "'x'\ndef f(): pass\ndef _g(): pass\nclass A: 'y'") == ["m.f: no docstring"]
    assert doc_faults("m", "") == ["m: no docstring"]
    assert swallow_faults("try:\n    x\nexcept Exception:\n    pass") == ["3: except Exception"]
    twice = {"nin.data.cache": "class Facts: ...\ndef _load(): ...", "nin.report.cache": "def load(): ..."}
    assert name_faults(twice) == ["cache.py: nin.data.cache, nin.report.cache"]
    other = {"nin.run.train": "async def load(): ...\nclass Facts: ..."}
    assert [fault.split(":")[0] for fault in name_faults({**twice, **other})] == ["Facts", "cache.py", "load"]
    assert name_faults({"nin.run": "def f(): ...", "nin.run.run": "class F: ..."}) == []
    assert swallow_faults("try:\n    x\nexcept OSError:\n    pass") == []


FRESH = """
import sys, time
before, started = set(sys.modules), time.process_time()
import nin
spent = time.process_time() - started
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
sys.__stdout__.write(f"{spent} {sorted(loaded)}")
"""


def test_import_is_silent_quick_and_alone():
    """Processor time of the import itself (not of the clock on the wall), median of five fresh processes."""
    runs = [subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True) for _ in range(5)]
    assert [run.stderr for run in runs] == [""] * 5
    assert {run.stdout.split(" ", 1)[1] for run in runs} == {"['nin']"}
    assert statistics.median(float(run.stdout.split()[0]) for run in runs) < 0.05


def test_no_room_hides_a_public_name():
    """Importing nin.x makes it an attribute of nin, in the place of a function of that name."""
    rooms = {room_of(module) for module in SOURCES}
    assert rooms & (set(importlib.import_module("nin").__all__) - {"__version__"}) == set()


def test_public_names_exist_and_are_explained():
    nin = importlib.import_module("nin")
    assert sorted(set(nin.__all__), key=str) == sorted(nin.__all__)
    assert set(nin.__all__) <= set(dir(nin))
    for name in nin.__all__:
        assert (getattr(nin, name).__doc__ or "").strip(), f"nin.{name} has no docstring"
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        nin.nothing_of_ours  # noqa: B018  the look-up is the test


def missing_names(text: str) -> list[str]:
    """Names of this package that a source imports and that are not there."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [(node.module, alias.name) for node in found for alias in node.names if node.module.split(".")[0] == "nin"]
    return [f"{module}.{name}" for module, name in ours if not exists(module, name)]


def exists(module: str, name: str) -> bool:
    """Whether `from module import name` works."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("experiments/*/run.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_scripts_that_no_test_runs_import_what_exists(path):
    assert missing_names(path.read_text()) == []


def test_a_missing_name_would_be_seen():
    text = "from nin.engine import engine\nfrom nin.errors import NinError, Gone\nfrom os import path"
    assert missing_names(text) == ["nin.errors.Gone"]


def tree_of(text: str) -> dict[str, str]:
    """Path -> sentence of the fenced block that begins with src/nin/, folders by indentation."""
    block = re.search(r"^```\w*\nsrc/nin/[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block, "there is no fenced block that begins with src/nin/"
    found, above = {}, []
    for line in block[1].splitlines():
        indent, name, sentence = re.fullmatch(r"( +)(\S+) *(.*)", line).groups()
        above = [(depth, folder) for depth, folder in above if depth < len(indent)]
        path = "".join(folder for _, folder in above) + name
        found[path] = sentence
        if name.endswith("/"):
            above.append((len(indent), name))
    return found


def test_the_tree_in_the_documents_is_the_tree_on_disk():
    without_modules = {PACKAGE / "weights", PACKAGE / "explorer" / "examples"}
    told = tree_of((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    real = {
        path.relative_to(PACKAGE).as_posix() + "/" * path.is_dir()
        for path in PACKAGE.rglob("*")
        if "__pycache__" not in path.parts and path.suffix != ".pyc" and not without_modules & set(path.parents)
    }
    optional = {name for name in real if name.endswith(("__init__.py", "py.typed"))}
    assert set(told) - real == set()
    assert real - set(told) - optional == set()
    assert [name for name, sentence in told.items() if not sentence] == []


def test_the_tree_reader_reads():
    text = "x\n```\nsrc/nin/\n  a.py    what a is\n  room/   a room\n    b.py  what b is\n  c.py    what c is\n```\n"
    assert list(tree_of(text)) == ["a.py", "room/", "room/b.py", "c.py"]
    assert tree_of(text)["room/b.py"] == "what b is"
    with pytest.raises(AssertionError, match="no fenced block"):
        tree_of("```\nsrc/other/\n```")


def test_no_two_test_files_bear_the_same_name():
    """pytest imports them as modules of one level: the second of a name is not collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_version_is_the_same_everywhere():
    version = importlib.import_module("nin").__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
