"""Measurements that anybody can repeat: `python -m benchmarks.data`, `python -m benchmarks.mixing`. See README.md."""
