"""What the command line and Python call: every command's function, found by the command's name."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

PLACES = {
    "train": "nin.run.train.train_run",
    "resume": "nin.run.train.resume_run",
    "teach": "nin.teaching.teach.teach",
    "demo": "nin.commands.demo.demo",
    "load": "nin.commands.classifier.load",
    "predict": "nin.commands.predict.predict",
    "explain": "nin.commands.explain.explain",
    "explaining": "nin.commands.explain.explaining",
    "explore": "nin.explorer.explore.explore",
    "publish": "nin.explorer.publish.publish",
    "evaluate": "nin.commands.evaluate.evaluate",
    "export": "nin.commands.export.export",
    "bench": "nin.commands.bench.bench",
    "check": "nin.commands.check_data.check",
    "doctor": "nin.commands.doctor.doctor",
    "summary": "nin.commands.summary.summary",
    "import_model": "nin.importers.import_model.import_model",
    "push": "nin.bundle.hub.push",
    "pull": "nin.bundle.hub.pull",
    "batch": "nin.bulk.answer.answer_pictures",
    "serve": "nin.server.serve.serve",
    "claims": "nin.claims.measure.claims",
    "claims_page": "nin.claims.measure.claims_page",
    "reproduce": "nin.paper.reproduce.reproduce",
}


def journey(name: str) -> Callable[..., Any]:
    """The function of that command."""
    module, _, function = PLACES[name].rpartition(".")
    return getattr(import_module(module), function)
