"""Make the sample documents and their questions, or check that the files are what this script makes.

python sample_docs/make.py            writes the documents and questions.json beside this script
python sample_docs/make.py --check    writes nothing; exit code 1 names the files that differ
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from making import handbook, journal, meetings, orders, server_log

HERE = Path(__file__).resolve().parent
DOCUMENTS = (handbook, meetings, orders, server_log, journal)


def make() -> dict[str, str]:
    """File name -> text, for every document and for ``questions.json``."""
    files: dict[str, str] = {}
    questions: list[dict[str, object]] = []
    counted: Counter[str] = Counter()
    for document in DOCUMENTS:
        files[document.NAME], asked = document.make()
        for question in asked:
            counted[question.document] += 1
            questions.append(question.as_json(counted[question.document]))
    lines = ",\n".join(json.dumps(question, ensure_ascii=False) for question in questions)
    files["questions.json"] = f"[\n{lines}\n]\n"
    return files


def main() -> int:
    """Write or check the files; the exit code says whether all is well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    wrong = []
    for name, text in make().items():
        file, data = HERE / name, text.encode()
        if check:
            same = file.exists() and file.read_bytes() == data
            wrong += [] if same else [name]
        else:
            file.write_bytes(data)
        sys.stdout.write(f"{name}: {len(text):,} characters, about {len(text) // 4:,} tokens\n")
    if wrong:
        sys.stderr.write(f"Not what make.py makes: {', '.join(wrong)}. Run `python sample_docs/make.py`.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
