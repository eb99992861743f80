"""From a source to a table of usable pictures."""
