"""The dataloader file and the data sets in it."""
