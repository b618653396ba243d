"""Layers and calls that are none."""

from tests.keras_format.configurations import call, entry, layer, model, refused


def test_layers_that_are_none() -> None:
    refused(model(entry(), 3), "expected a layer", "int")
    refused(model(entry(), {"config": {"name": "y"}}), "expected a layer")
    refused(model(entry(), {"class_name": "ReLU", "config": {}}), "'ReLU'", "no name")
    refused(model(entry(), {"class_name": "ReLU", "name": 7}), "'ReLU'", "no name")


def test_calls_that_are_none() -> None:
    refused(model(entry(), {**layer("y"), "inbound_nodes": 3}), "'y'", "expected a list")
    refused(model(entry(), layer("y", 3)), "'y'", "`args` and `kwargs`")
    refused(model(entry(), layer("y", {"args": 3})), "malformed")
    without_history = {"class_name": "__keras_tensor__", "config": {}}
    refused(model(entry(), layer("y", call(without_history))), "without a history")
