"""Files and words in, frozen and checked sections out. Never imports torch."""
