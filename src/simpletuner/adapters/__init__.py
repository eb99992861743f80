"""Adapters: small trainable parts laid over a frozen model.

Two libraries, two doors: `lycoris/adapter.py` alone imports LyCORIS, `peft.py` alone imports PEFT. `lokr/` needs none.
"""
