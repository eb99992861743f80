"""What a loss is held against: the target's variance, the best linear denoiser, the optimum on a finite set."""
