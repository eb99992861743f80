"""From options to what a run will cost, measured on this machine without touching the run's files."""
