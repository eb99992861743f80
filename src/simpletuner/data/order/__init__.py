"""The updates of an epoch."""
