"""Seeing what the model has learned: prompts, pictures, benchmarks."""
