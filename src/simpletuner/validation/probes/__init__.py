"""Questions that a user's own weights answer: how much each token counts, each shape, and what the VAE loses."""
