"""Model servers: one protocol (``base.py``), several of them behind it."""
