"""What applies a model to tiles: Keras itself, or a runtime that its converted file is for."""
