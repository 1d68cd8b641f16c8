"""Like quiet.py, with the tripwire on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from quiet import serve_without_language_wall

if __name__ == "__main__":
    serve_without_language_wall(tripwire=True)
