"""Words, files and the environment as plain values."""
