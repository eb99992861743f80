"""Makers of the tiny OmniGen: its pictures, tokenizer and VAE. Run them as modules from the repository root."""
