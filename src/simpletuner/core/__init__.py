"""Nouns every floor may speak: errors, events, files, seeds, samples, batches."""
