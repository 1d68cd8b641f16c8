"""What runs inside the worker process: it knows nothing of the engine, of models or of the network.

Modules here are imported by ``boot.py`` in a process without site-packages and must import only the standard library,
RestrictedPython and each other. Everything they need is imported before the process locks itself down.
"""
