"""LyCORIS's methods over a frozen model. `adapter.py` is the only door to the library."""
