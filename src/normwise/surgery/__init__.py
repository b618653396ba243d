"""Changes to models: passes over graphs, each with a promise that is verified."""
