"""Configuration in, a running loop out: the one floor that knows every room."""
