"""What a network under construction is answered."""

import keras
import pytest

from normwise.errors import PlanError
from normwise.networks.placer import Placer, norm_layer
from normwise.norms import NormPlan, NormSpec


def placer(plan: str) -> Placer:
    return Placer(NormPlan.parse(plan), {"skip": "there is no merge", "decoder:skip": "not there"})


def test_places_answer_by_region() -> None:
    asked = placer("batch@encoder:post-activation/raw-skip,rms@input")
    assert asked.at("post-activation", "encoder") == (NormSpec("batch"), True)
    assert asked.at("post-activation", "decoder") is None
    assert asked.at("pre-activation", "encoder") is None
    assert asked.at("input", "") == (NormSpec("rms"), False)
    asked.finish()


def test_the_head_is_only_meant_by_name() -> None:
    assert placer("batch@pre-activation").at("pre-activation", "head") is None
    assert placer("batch@head:pre-activation").at("pre-activation", "head") is not None


def test_positions_that_nobody_asked_for_are_refused_with_their_reasons() -> None:
    with pytest.raises(PlanError, match="'skip': there is no merge"):
        placer("batch@skip").finish()
    with pytest.raises(PlanError, match="'decoder:skip': not there"):
        placer("batch@decoder:skip").finish()
    with pytest.raises(PlanError, match="'after-merge': there is no such place"):
        placer("batch@after-merge").finish()
    placer("none").finish()


def test_sync_batch_needs_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(PlanError, match="needs the TensorFlow backend, got jax"):
        norm_layer(NormSpec("sync-batch"), 4, "n")


def test_arguments_reach_the_layer() -> None:
    layer = norm_layer(NormSpec("batch", (("momentum", 0.5), ("center", False))), 4, "n")
    assert (layer.momentum, layer.center, layer.name) == (0.5, False, "n")
    assert norm_layer(NormSpec("group", (("groups", 2),)), 4, "n").groups == 2
