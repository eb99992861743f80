"""One picture's road from a file to a cached latent, and the order in which an epoch uses it."""
