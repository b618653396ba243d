"""Models in the formats of other runtimes: converted from Keras, and run."""
