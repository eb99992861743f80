"""Model families: each a folder that fits the protocol of ``family.py``, and one line in the registry."""
