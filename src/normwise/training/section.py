"""What the sections of a recipe have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a recipe: it can't be changed, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
