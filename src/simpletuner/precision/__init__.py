"""Frozen linear layers in other number formats; the only doors of quanto, torchao and bitsandbytes."""
