"""Other people's trackers, each in a process of its own."""
