"""Train OmniGen adapters on your own pictures. Start with ``simpletuner train --example emoji-style``."""

__version__ = "0.1.0"
