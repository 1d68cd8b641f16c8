"""Scripted model servers: real HTTP on loopback, the true wire protocol, replies written by a plain function.

``script.py`` says what a script is, ``wire.py`` is the HTTP underneath, ``ollama_server.py`` and ``openai_server.py``
speak the two protocols, ``ideal_reader.py`` is the script that reads its prompt perfectly and knows nothing else.
"""
