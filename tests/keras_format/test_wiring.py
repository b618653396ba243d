"""Calls that read what is not there, or wait for themselves."""

from tests.keras_format.configurations import call, entry, layer, model, refused, tensor


def test_a_layer_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("gone")))), "'y'", "'gone'", "isn't in the model")


def test_a_call_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x", 3)))), "'y'", "call 3", "'x'")
    refused(model(entry(), layer("y", call(tensor("x", -1)))), "'y'", "call -1")


def test_model_outputs_that_are_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("y", 1, 0)), "'y'", "call number 1")
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("z", 0, 0)), "'z'")


def test_loops() -> None:
    refused(model(entry(), layer("y", call(tensor("y")))), "loop", "'y'")
    ring = [layer("a", call(tensor("b"))), layer("b", call(tensor("a")))]
    refused(model(entry(), *ring, layer("y", call(tensor("b")))), "loop")
