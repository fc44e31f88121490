"""Commands of nin and Python scripts, each in a process of its own, forked from one that has imported what they need.

python one_after_another.py JOBS.json, a list of {"words": [...], "variables": {...}}: what follows `python` on a
command line, `-m nin ...` or a script, and environment variables. Ends with the first job that fails, and its code.
Importing torch anew for every command is most of what a short one costs.
"""

import importlib
import json
import os
import runpy
import sys
from pathlib import Path

NEEDED = (
    "torch",
    "PIL.Image",
    "nin.cli.app",
    "nin.training.loop",
)  # not onnxruntime: its threads do not outlive a fork


def job(words: list[str], variables: dict[str, str]) -> None:
    """Become `python words` with these variables."""
    os.environ.update(variables)
    if words[:2] == ["-m", "nin"]:
        sys.argv = ["nin", *words[2:]]
        runpy.run_module("nin", run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


def main() -> int:
    for name in NEEDED:
        importlib.import_module(name)
    if "onnxruntime" in sys.modules:
        raise SystemExit("onnxruntime is imported; a process that is forked now would hang when it ends")
    for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        child = os.fork()
        if child == 0:
            job(each["words"], each["variables"])
            sys.exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(f"{each['words']} ended with {code}", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
