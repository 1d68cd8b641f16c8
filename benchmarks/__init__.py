"""Measurements, each run by ``python -m benchmarks NAME``. What they brought is in README.md."""
