"""Listeners: they hear events on the main process, touch no tensor, and may fail without stopping the run."""
