"""The files that a configuration names."""
