"""Every error that normwise raises on purpose.

    NormwiseError                 something the user can mend; the command line exits 2
    ├── ModelReadError            a model or file that can't be read as a graph
    │   ├── NoModelError          a file that may well be whole, and holds no model
    │   └── WeightsTooLargeError  weights that are left unread, as they are too many
    ├── PlanError                 a text that is no norm plan, or a plan that can't hold
    ├── SurgeryError              a model that can't be copied, changed or verified as asked
    │   └── PromiseError          a rewrite that would not keep what it promises
    ├── CheckError                a check with impossible settings
    ├── NetworkError              a network that can't be built with these options
    ├── RasterError               an image file that can't be read or written
    │   └── UnseenImageError      one that a worker doesn't see as the machine that asked for it
    ├── DataError                 a data folder with problems (all of them, in `.problems`)
    ├── RecipeError               a recipe with unknown or impossible settings
    ├── RunError                  a run folder that can't be used or resumed
    │   └── DivergedError         a training whose loss is no number any more
    ├── PredictionError           an image of several that failed in a way nobody foresaw
    ├── PictureFormatError        a picture whose suffix is none that can be drawn
    ├── OutputExistsError         an output that would be overwritten
    ├── DistributionError         processes or machines that can't work together
    ├── BackendMissingError       no Keras backend is installed
    ├── EngineMissingError        an engine or format whose packages aren't installed
    └── ExportError               a model that can't be written in a format
        └── DeviationError        one whose exported file computes something else (a PromiseError)

Each message says what was received, what was expected and how to fix it, and names the layer
or file.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LONGEST_MESSAGE = 900
"""Characters of a message about a file, which may hold any text."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """A text from a file without what a terminal would obey, or what can't be written at all."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def did_you_mean(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The end of a message about an unknown name: the known one nearest to it, if any is near.

    Args:
        name: What was given.
        known: What could have been meant.
        likeness: The share of letters from which on a name is near.

    Returns:
        A sentence with a blank before it, or nothing.
    """
    near = get_close_matches(str(name), list(known), 1, likeness)
    return f" Did you mean {near[0]!r}?" if near else ""


def _short(message: str) -> str:
    """A message without its middle, if a file has made it too long."""
    half = LONGEST_MESSAGE // 2
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:half]} ... {message[-half:]}"


class NormwiseError(Exception):
    """Base of all errors that normwise raises on purpose."""


class ModelReadError(NormwiseError):
    """A model or model file that can't be read as a graph."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(_short(message)))


class NoModelError(ModelReadError):
    """A file that may well be whole, and holds no model."""


class WeightsTooLargeError(ModelReadError):
    """Weights that are merely too many to be read; the rest of the model can be."""


class PlanError(NormwiseError):
    """A text that is no norm plan, or a plan that can't hold in a network."""


class SurgeryError(NormwiseError):
    """A model that can't be copied, changed or verified as asked."""


class PromiseError(SurgeryError):
    """A rewrite that would not keep what it promises; nothing is changed or written."""


class CheckError(NormwiseError):
    """A check with settings that can't be."""


class NetworkError(NormwiseError):
    """A network that can't be built with the options it was given."""


class RasterError(NormwiseError):
    """An image file that can't be read or written."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(_short(message)))


class UnseenImageError(RasterError):
    """An image file that a worker doesn't see as the machine that asked for it."""


class DataError(NormwiseError):
    """A data folder that can't be used.

    Args:
        message: One line that names the folder.
        problems: Every problem found, one line each; a single one may be in `message` alone.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))


class RecipeError(NormwiseError):
    """A recipe with unknown or impossible settings."""


class RunError(NormwiseError):
    """A run folder that can't be used or resumed."""


class DivergedError(RunError):
    """A training whose loss is no number any more."""


class PredictionError(NormwiseError):
    """An image of several whose prediction failed in a way nobody foresaw; the others are done."""


class PictureFormatError(NormwiseError):
    """A picture whose suffix is none that can be drawn."""


class OutputExistsError(NormwiseError):
    """An output that would be overwritten."""


class DistributionError(NormwiseError):
    """Processes, devices or machines that can't work together."""


class BackendMissingError(NormwiseError):
    """No Keras backend is installed."""


class EngineMissingError(NormwiseError):
    """An engine or export format whose packages aren't installed."""


class ExportError(NormwiseError):
    """A model that can't be written in another format.

    Args:
        message: What is wrong, with the format or file.
        result: What was exported nevertheless, where several formats were asked for.
    """

    def __init__(self, message: str, result: object = None) -> None:
        self.result = result
        super().__init__(message)


class DeviationError(ExportError, PromiseError):
    """A model whose exported file computes something else; the file is not kept."""
