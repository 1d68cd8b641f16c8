"""A process that adds messages and documents until it is killed, and says what was acknowledged. Run by test_crash.py."""

from __future__ import annotations

import itertools
import sys

from memory_store import MemoryStore
from tests.memory.toy import WordHashes


def main(folder: str, run: str) -> None:
    store = MemoryStore(folder, embedder=WordHashes())
    store.mark_interrupted()
    for number in itertools.count():
        text = f"note{run}x{number} about the sea"
        if number % 7 == 3:
            document = store.add_document(f"{run}-{number}.txt", f"document {text}".encode())
            print("document", document.id, f"document {text}", sep="\t", flush=True)
        elif number % 5 == 4:
            answer = store.add_message("chat", "assistant", "", status="streaming")
            store.update_message(answer, text=text[:10])
            store.update_message(answer, text=text, status="complete")
            print("message", answer, text, sep="\t", flush=True)
        else:
            print("message", store.add_message("chat", "user", text), text, sep="\t", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
