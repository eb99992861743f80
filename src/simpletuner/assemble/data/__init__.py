"""From the entries of the dataloader file to data that is ready to be trained on, checked or cached."""
