"""Writes docs/recipe.md from the types, defaults and descriptions of a recipe's settings.

python tools/make_recipe_page.py
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from normwise.training.recipe import Recipe

PAGE = Path("docs/recipe.md")

_HEAD = """<!-- written by tools/make_recipe_page.py -->

# Every setting of a recipe

A [recipe](data.md#a-recipe) is a YAML file with these settings; only `data.path` must be given.
What is left out has the default below, `null` what is chosen for the data, and the run folder's
`recipe.yaml` says what was. On the command line `--set training.epochs=20` replaces a setting, in
Python `settings=["training.epochs=20"]`. An unknown setting or an impossible value is an error that
says what is allowed."""

_NAMES = {"": "norm and out"}
_MORE = {
    "data": "More: [data folders](data.md).",
    "data.augmentation": "More: [a recipe](data.md#a-recipe).",
    "network": "Which network has which options: [networks](networks.md), [encoders](encoders.md).",
    "training": "More: [losses, sampling, steps](training.md).",
    "training.loss_options": "More: [losses](training.md#losses).",
    "prediction": "More: [test-time augmentation](training.md#test-time-augmentation).",
    "": "More: [norm plans](plans.md).",
}
_LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "up to",
    "exclusiveMaximum": "below",
}
_TYPES = {
    "null": "`null`",
    "boolean": "`true`, `false`",
    "integer": "whole number",
    "number": "number",
    "string": "text",
}


def page() -> str:
    """The page: a table for each section."""
    parts = [_HEAD]
    for key, section in sorted(_sections(Recipe), key=lambda one: not one[0]):
        about = "" if section is Recipe else " ".join(str(section.__doc__).split()) + " "
        rows = "\n".join(_rows(section))
        parts.append(
            f"## {_NAMES.get(key, key)}\n\n{about}{_MORE[key]}\n\n"
            f"| setting | allowed | default | |\n|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts) + "\n"


def _sections(kind: type[BaseModel], key: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield key, kind
    for name, field in kind.model_fields.items():
        if (inner := _section(field)) is not None:
            yield from _sections(inner, f"{key}.{name}".removeprefix("."))


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _rows(section: type[BaseModel]) -> Iterator[str]:
    told = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if _section(field) is None:
            default = "must be given" if field.is_required() else f"`{_text(field.default)}`"
            yield f"| `{name}` | {_allowed(told[name])} | {default} | {field.description} |"


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a setting may be, in words, from its JSON schema."""
    if "anyOf" in schema:
        *first, last = map(_allowed, schema["anyOf"])
        return f"{', '.join(first)} or {last}" if first else last
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(map(_allowed, schema['prefixItems']))}]"
        some = "some of " if "enum" in schema["items"] else ""
        return f"[{some}{_allowed(schema['items'])}{'' if some else ', ...'}]"
    if schema["type"] == "object":
        return f"{{name: {_allowed(schema['additionalProperties'])}, ...}}"
    limits = [f"{word} {schema[limit]}" for limit, word in _LIMITS.items() if limit in schema]
    return " ".join([_TYPES[schema["type"]], " and ".join(limits)]).rstrip()


def _text(value: Any) -> str:
    """A default as a recipe writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
