"""Configuration in, a running loop out: the one floor that knows every room."""

from simpletuner.assemble.run import run

__all__ = ["run"]
