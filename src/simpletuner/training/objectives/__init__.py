"""What a step may be asked to minimise: each objective a function with its paper's name."""
