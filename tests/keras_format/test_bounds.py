"""Configurations that ask for more than any model has."""

import json

from normwise.graph.graph import Graph
from normwise.keras_format.bounds import MAX_CALLS, MAX_NESTING
from normwise.keras_format.config import graph_from_config
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
