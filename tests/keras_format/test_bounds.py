"""Configurations that ask for more than any model has."""

import json
import math
from typing import Any

import pytest

from normwise.graph.graph import Graph
from normwise.keras_format import bounds, legacy
from normwise.keras_format.bounds import MAX_CALLS, MAX_NESTING
from normwise.keras_format.config import graph_from_config
from normwise.keras_format.legacy import translate
from tests.fuzz.corpus import wide_join
from tests.keras_format.configurations import call, entry, layer, model, nest, refused, tensor


def test_an_output_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x", 0, 1)))), "output 1", "'x'")
    refused(model(entry(), layer("y", call(tensor("x", 0, -1)))), "output -1")
    refused(model(entry(), layer("y", call(tensor("x", 0, 10**9)))), "output 1000000000")
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("y", 0, 10**9)), "1000000000")
    inner = {**model(entry(), layer("y", call(tensor("x")))), "name": "inner"}
    inner["inbound_nodes"] = [call(tensor("x"))]
    refused(model(entry(), inner, layer("y", call(tensor("inner", 0, 2)))), "output 2", "'inner'")


def test_models_nested_too_deep() -> None:
    assert isinstance(graph_from_config(nest(5), "f"), Graph)
    refused(nest(MAX_NESTING + 2), "nested", str(MAX_NESTING))


def test_models_that_double_at_each_level() -> None:
    # 20 kB of configuration that mean 2**40 calls.
    assert len(json.dumps(nest(40, calls=2))) < 60_000
    refused(nest(40, calls=2), f"more than {MAX_CALLS}")


@pytest.fixture
def reads(monkeypatch):
    """A bound that takes less time to reach."""
    for module in (bounds, legacy):
        monkeypatch.setattr(module, "MAX_READS", 1000)
    return 1000


def _reading(times: int, name: str = "m") -> dict[str, Any]:
    """A model in which one call reads a tensor so many times."""
    read = call([tensor("x")] * times)
    return model(entry(), layer("y", read, class_name="Concatenate"), name=name)


def test_more_tensors_read_than_those_of_any_model(reads: int) -> None:
    assert isinstance(graph_from_config(_reading(reads), "f"), Graph)
    refused(_reading(reads + 1), "over 1,000 tensors")


def test_more_tensors_read_once_nested_models_are_opened(reads: int) -> None:
    inner = {**_reading(reads // 4, "inner"), "name": "inner"}
    calls = [call(tensor("x"))] + [call(tensor("inner", index)) for index in range(4)]
    for count, fits in ((3, True), (4, False)):
        outer = model(entry(), {**inner, "inbound_nodes": calls[:count]}, ends=("inner", 1, 0))
        if fits:
            assert isinstance(graph_from_config(outer, "f"), Graph)
        else:
            refused(outer, "over 1,000 tensors")


def test_more_tensors_read_in_the_form_of_keras_2(reads: int) -> None:
    with pytest.raises(ValueError, match=f"more than {reads}"):
        translate(json.loads(wide_join(math.isqrt(reads) + 1)))
