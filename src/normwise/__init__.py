"""normwise puts normalization where it belongs in any Keras model.

Importing it loads no backend; the functions that need one load it when they are called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = ("errors", "testing")
_PUBLIC = {
    "Comparison": "normwise.workflows.compare",
    "Finding": "normwise.rules",
    "Journal": "normwise.workflows.predicted",
    "Metrics": "normwise.training.metrics",
    "NormPlan": "normwise.norms.plan",
    "NormwiseError": "normwise.errors",
    "Recipe": "normwise.training.recipe",
    "Report": "normwise.rules",
    "Rewrite": "normwise.surgery.rewrite",
    "Run": "normwise.training.finished_run",
    "Tiling": "normwise.graph.tiling",
    "build": "normwise.workflows.plans",
    "check": "normwise.workflows.check",
    "compare": "normwise.workflows.compare",
    "configure": "normwise.workflows.configure",
    "cross_validate": "normwise.workflows.cross_validation",
    "draw": "normwise.workflows.show",
    "evaluate": "normwise.workflows.evaluate",
    "export": "normwise.workflows.export",
    "find_rate": "normwise.workflows.train",
    "fix": "normwise.workflows.fix",
    "fold": "normwise.workflows.fold",
    "place": "normwise.workflows.place",
    "plan_of": "normwise.workflows.plans",
    "predict": "normwise.workflows.predict",
    "recalibrate": "normwise.workflows.recalibrate",
    "show": "normwise.workflows.show",
    "tiling_of": "normwise.workflows.tiling",
    "train": "normwise.workflows.train",
}

__all__ = [
    "Comparison",
    "Finding",
    "Journal",
    "Metrics",
    "NormPlan",
    "NormwiseError",
    "Recipe",
    "Report",
    "Rewrite",
    "Run",
    "Tiling",
    "__version__",
    "build",
    "check",
    "compare",
    "configure",
    "cross_validate",
    "draw",
    "errors",
    "evaluate",
    "export",
    "find_rate",
    "fix",
    "fold",
    "place",
    "plan_of",
    "predict",
    "recalibrate",
    "show",
    "testing",
    "tiling_of",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"normwise.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'normwise' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from normwise import errors, testing
    from normwise.errors import NormwiseError
    from normwise.graph.tiling import Tiling
    from normwise.norms.plan import NormPlan
    from normwise.rules import Finding, Report
    from normwise.surgery.rewrite import Rewrite
    from normwise.training.finished_run import Run
    from normwise.training.metrics import Metrics
    from normwise.training.recipe import Recipe
    from normwise.workflows.check import check
    from normwise.workflows.compare import Comparison, compare
    from normwise.workflows.configure import configure
    from normwise.workflows.cross_validation import cross_validate
    from normwise.workflows.evaluate import evaluate
    from normwise.workflows.export import export
    from normwise.workflows.fix import fix
    from normwise.workflows.fold import fold
    from normwise.workflows.place import place
    from normwise.workflows.plans import build, plan_of
    from normwise.workflows.predict import predict
    from normwise.workflows.predicted import Journal
    from normwise.workflows.recalibrate import recalibrate
    from normwise.workflows.show import draw, show
    from normwise.workflows.tiling import tiling_of
    from normwise.workflows.train import find_rate, train
