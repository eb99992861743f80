"""What became of every picture, for people and for scripts."""
