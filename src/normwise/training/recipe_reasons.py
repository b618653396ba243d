"""Why a recipe's settings are what they are: comments at its end, which `configure` writes.

```yaml
# Why:
# training.epochs: 40 epochs of 30 steps take 8 minutes
```
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from normwise.training.recipe import Recipe, to_yaml
from normwise.training.recipe_changes import flat_settings

_HEAD: Final = "# Why:"
_LINE: Final = re.compile(r"# ([a-z_]+(?:\.[a-z_]+)*): (.+)")


def reasoned_yaml(recipe: Recipe, reasons: Mapping[str, str]) -> str:
    """A recipe as YAML with the reason of each choice behind it.

    Args:
        recipe: The recipe.
        reasons: By dotted key; empty for a recipe without.
    """
    lines = "".join(f"# {key}: {' '.join(why.split())}\n" for key, why in reasons.items())
    return to_yaml(recipe) + (f"\n{_HEAD}\n{lines}" if lines else "")


def read_reasons(path: str | Path) -> dict[str, str]:
    """The reasons in a recipe file, by dotted key; none where it has none or isn't there."""
    path = Path(path)
    if not path.is_file():
        return {}
    lines = [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    behind = lines[lines.index(_HEAD) + 1 :] if _HEAD in lines else []
    return {match[1]: match[2] for match in map(_LINE.fullmatch, behind) if match}


def still_true(reasons: Mapping[str, str], was: Recipe, now: Recipe) -> dict[str, str]:
    """The reasons of settings that two recipes have alike: another value has another reason."""
    before, after = flat_settings(was), flat_settings(now)
    return {
        key: why
        for key, why in reasons.items()
        if key not in before or before[key] == after.get(key)
    }
