"""Makers and reporters: run with ``python -m scripts.NAME`` from the root; installed nowhere."""
