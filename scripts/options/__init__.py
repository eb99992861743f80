"""Makes what follows from the declaration of the options: pages and JSON Schemas. Run ``python -m scripts.options``."""
