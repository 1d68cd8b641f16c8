"""From the bytes of a file to its text, its structure and its tables; every file in a process of its own."""
