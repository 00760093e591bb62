"""Bench: what the README's figures are measured with. `python dev.py bench NAME`."""
