"""What ``make.py`` is made of: one module a document, and the small tools they share.

Nothing here reads a clock, a file or the network: the same seed gives the same characters on every machine.
"""
