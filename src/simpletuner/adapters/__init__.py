"""Adapters: small trainable parts laid over a frozen model. `lycoris.py` is the only door to LyCORIS."""
