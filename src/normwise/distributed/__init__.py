"""Training by several devices and processes at once."""
