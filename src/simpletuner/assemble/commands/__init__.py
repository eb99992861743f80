"""The commands beside training that need a model: `generate` and `export`."""
