"""Model files broken at random, and a command that checks many of them: `make fuzz`."""
