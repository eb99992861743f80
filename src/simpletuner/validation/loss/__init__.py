"""The loss on pictures held out, and what follows from it."""
