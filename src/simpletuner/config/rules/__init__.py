"""What follows from several options together."""
