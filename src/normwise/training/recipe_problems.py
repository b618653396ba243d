"""The words for what is wrong in a recipe: the key, what was received, what is allowed."""

from collections.abc import Sequence
from difflib import get_close_matches

import yaml
from pydantic_core import ErrorDetails


def describe_problem(detail: ErrorDetails, known: Sequence[str]) -> str:
    """One line for one problem that pydantic found.

    Args:
        detail: An entry of `ValidationError.errors()`.
        known: Every known dotted key.

    Returns:
        A line that names the key, what was received, what is allowed and, for an unknown key,
        the nearest known one.
    """
    key = key_of(detail["loc"], known)
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown setting. {nearest_key(key, known)}"
    if detail["type"] == "missing":
        return f"{key}: missing; it must be given."
    if detail["type"] == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    return f"{key}: received {detail['input']!r}; allowed: {_allowed(detail)}."


def yaml_problem(error: yaml.YAMLError) -> str:
    """Where a text stops being YAML and why, in one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{str(error).splitlines()[0]}."
    told = [getattr(error, name, None) for name in ("context", "problem")]
    why = ", ".join(str(part) for part in told if part)
    return f"line {mark.line + 1}, column {mark.column + 1}: {why}."


def join_problems(source: str, problems: Sequence[str]) -> str:
    """All problems of a recipe as one message, one line each, none twice."""
    lines = list(dict.fromkeys(problems))
    count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
    return "\n".join([f"{source} has {count}:", *(f"  - {line}" for line in lines)])


def nearest_key(key: str, known: Sequence[str]) -> str:
    """A sentence with the known key nearest to an unknown one, or those beside it."""
    section = key.rpartition(".")[0]
    beside = [name for name in known if name.rpartition(".")[0] == section]
    last = key.rpartition(".")[2]
    elsewhere = [name for name in known if name.rpartition(".")[2] == last]
    for candidates in (elsewhere, beside, known):
        if found := get_close_matches(key, candidates, n=1, cutoff=0.5 if elsewhere else 0.75):
            return f"Did you mean {found[0]}?"
    return f"Known here: {', '.join(beside)}." if beside else f"Known: {', '.join(known)}."


def key_of(location: Sequence[int | str], known: Sequence[str]) -> str:
    """The dotted key of a location, without the names of union branches that pydantic adds."""
    parts = [str(part) for part in location]
    for length in range(len(parts), 0, -1):
        setting = ".".join(parts[:length])
        is_section = any(name.startswith(setting + ".") for name in known)
        if setting in known and not is_section:
            return ".".join([setting, *(part for part in parts[length:] if part.isdigit())])
    return ".".join(parts)


def _allowed(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "literal_error":
        return str(context["expected"])
    message = detail["msg"]
    message = message.removeprefix("Input should be ")
    return message[:1].lower() + message[1:]
