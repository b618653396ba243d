"""The only owner of Keras' formats: live models, archives, HDF5 files, saving."""

from normwise.keras_format.reading import model_file, read_graph

__all__ = ["model_file", "read_graph"]
