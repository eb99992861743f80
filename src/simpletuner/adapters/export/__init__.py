"""An adapter file in the layouts that other programs read."""
