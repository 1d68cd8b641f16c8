"""What ``launch.sh``, ``launch.bat``, ``stop.sh`` and ``stop.bat`` do, once for every operating system.

This package runs before anything is installed: it uses the standard library alone and the syntax of Python 3.8,
so that a Python that is too old can still say so.
"""
