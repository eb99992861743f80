"""How well validation pictures fit their prompts, and how near they are to training pictures."""
