"""The ideal reader as the root model of the engine's ``loop``: it writes plain Python for the REPL.

Turn by turn it knows only what its prompt says. First it looks at the material. Then it computes: exact questions with code over
the whole context (regular expressions, ``sql`` where there are tables), questions of reading with ``search`` and
``llm_query_batched`` over the hits, then over all ``chunks``. When a result was printed it finishes with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.scripted.ideal_reader import NOTHING, IdealReader
from tests.scripted.script import ChatRequest

LOOK = "print(len(context)); print(context[:600])"
FINISH = 'answer["content"] = str(result)\nanswer["ready"] = True'
_FOUND = re.compile(r"^RESULT: (?!None$|\[\]$|$)", re.MULTILINE)
_PART_CHARS = re.compile(r"aim at ([\d,]+) each")

HELPERS = {
    "days": '''days, day = [], None
for line in context.splitlines():
    head = re.match(r"Day \\d+\\. (\\d+) (\\w+) (\\d{4})\\. (.+)\\.$", line)
    if head: day = {"month": head[2], "year": head[3], "island": head[4], "text": ""}; days.append(day)
    elif day is not None: day["text"] += line + "\\n"''',
    "meetings": """meetings, decisions = [], []
for part in re.split(r"(?m)^(?=MEETING \\d+ - )", context)[1:]:
    head = re.match(r"MEETING (\\d+) - (\\d+ (\\w+) (\\d{4}))", part)
    m = {"date": head[2], "month": head[3], "year": head[4], "absent": re.search(r"Absent: (.+)\\.", part)[1]}
    m["chair"], m["minutes"] = re.search(r"Chair: (.+?)\\. Minutes: (.+?)\\.", part).groups()
    meetings.append(m)
    for text, owner, budget in re.findall(r"Decision \\d+: (.+?)\\. Owner: (.+?)\\. Due: .+?\\. Budget: (none|[\\d,]+)", part):
        decisions.append({**m, "what": text, "owner": owner, "budget": int(budget.replace(",", "")) if budget != "none" else 0})""",
    "log": """rows = []
for line in context.splitlines():
    cells = line.split(None, 3)
    rows.append({**dict(zip(("time", "level", "host", "text"), cells)), **dict(re.findall(r"(\\w+)=(\\S+)", cells[3]))})""",
    "about": """def about(words, text):
    return all(word[:6].lower() in text.lower() for word in re.findall(r"\\w{3,}", words) if word not in ("the", "new", "for"))""",
}


@dataclass(frozen=True)
class Program:
    """A way of asking and the code that answers it. Groups of the pattern are variables of the code; the code sets ``result``."""

    pattern: re.Pattern[str]
    helpers: tuple[str, ...]
    code: str

    def write(self, question: str) -> str | None:
        match = self.pattern.search(question)
        if match is None:
            return None
        given = [f"{name} = {value!r}" for name, value in match.groupdict().items()]
        return "\n".join(["import re", *given, *(HELPERS[name] for name in self.helpers), self.code, SHOW])


SHOW = 'print("RESULT:", result)'
PROGRAMS: list[Program] = []


def program(pattern: str, *helpers: str, code: str) -> None:
    PROGRAMS.append(Program(re.compile(pattern, re.IGNORECASE), helpers, code))


# Tables: SQL

program(
    r"which product was ordered in order (?P<id>\S+)\?",
    code="result = sql(f\"SELECT product FROM orders WHERE order_id = '{id}'\")",
)
program(
    r"total of order (?P<id>GS-\d+)",
    code="result = sql(f\"SELECT total FROM orders WHERE order_id = '{id}'\")",
)
program(
    r"customers in (?P<city>\w+) ordered five or more (?P<product>.+?)s in one order",
    code="result = sql(f\"SELECT DISTINCT customer FROM orders WHERE city = '{city}' AND product = '{product}' AND quantity >= 5\")",
)
program(
    r"orders were (?P<status>\w+) in March (?P<year>\d{4})",
    code="result = sql(f\"SELECT COUNT(*) FROM orders WHERE status = '{status}' AND ordered_on LIKE '{year}-03%'\")",
)
program(
    r"orders of the (?P<product>.+?) were (?P<status>\w+)\?",
    code="result = sql(f\"SELECT COUNT(*) FROM orders WHERE product = '{product}' AND status = '{status}'\")",
)
program(
    r"city did delivered orders bring more money, (?P<one>\w+) or (?P<other>\w+)",
    code="""found = sql(f"SELECT city, ROUND(SUM(total), 2) AS money FROM orders WHERE status = 'delivered' AND city IN ('{one}', '{other}') GROUP BY city ORDER BY money DESC")
values = [list(row.values()) if isinstance(row, dict) else list(row) for row in found]
result = f"{values[0][0]}, by {values[0][1] - values[1][1]:.2f} euros\"""",
)
program(
    r"orders did the customer of order (?P<id>GS-\d+) place",
    code="result = sql(f\"SELECT COUNT(*) FROM orders WHERE customer = (SELECT customer FROM orders WHERE order_id = '{id}')\")",
)
program(
    r"delivered orders of the customer with the most orders",
    code="""result = sql("SELECT ROUND(SUM(total), 2) FROM orders WHERE status = 'delivered' AND customer = "
    "(SELECT customer FROM orders GROUP BY customer ORDER BY COUNT(*) DESC LIMIT 1)")""",
)
program(
    r"delivered orders of the category (?P<category>\w+) in May (?P<year>\d{4})",
    code="result = sql(f\"SELECT ROUND(SUM(total), 2) FROM orders WHERE status = 'delivered' AND category = '{category}' AND ordered_on LIKE '{year}-05%'\")",
)
program(
    r"packets of (?P<product>.+?) were ordered in all",
    code="result = sql(f\"SELECT SUM(quantity) FROM orders WHERE product = '{product}'\")",
)

# The log

program(r"slowest request take", "log", code='result = max(int(row["ms"]) for row in rows if "ms" in row)')
program(
    r"which versions were deployed",
    "log",
    code='result = [row["version"] for row in rows if "version" in row]',
)
program(
    r"servers logged the error that a cover image could not be written",
    "log",
    code='result = sorted({row["host"] for row in rows if "could not write cover image" in row["text"]})',
)
program(
    r"how many (?P<level>[A-Z]+) lines did (?P<host>\S+) log",
    "log",
    code='result = sum(row["level"] == level and row["host"] == host for row in rows)',
)
program(
    r"process restarted on (?P<host>\S+?)\?",
    "log",
    code='result = sum(row["host"] == host and row["text"].startswith("process restarted") for row in rows)',
)
program(
    r"day did more logins fail, (?P<one>[\d-]+) or (?P<other>[\d-]+)",
    "log",
    code="""failed = {day: sum(row["text"].startswith("login failed") and row["time"].startswith(day) for row in rows) for day in (one, other)}
more = max(failed, key=failed.get)
result = f"{more}, {max(failed.values()) - min(failed.values())} more\"""",
)
program(
    r"(?P<asked>who deployed the last version before|which version was running when) the index of the table (?P<table>\w+) was found damaged",
    "log",
    code="""damaged = next(row["time"] for row in rows if f"table {table} is damaged" in row["text"])
last = [row for row in rows if row["text"].startswith("deploy ") and row["time"] < damaged][-1]
result = last["by"] if asked.lower().startswith("who") else last["version"]""",
)
program(
    r"did the user make whose request was the slowest",
    "log",
    code="""requests = [row for row in rows if "ms" in row]
user = max(requests, key=lambda row: int(row["ms"]))["user"]
result = f"{sum(row['user'] == user for row in requests)} ({user})\"""",
)
program(
    r"total size of all backups",
    "log",
    code='result = sum(int(row["size"].removesuffix("MB")) for row in rows if row["text"].startswith("backup finished"))',
)

# The notes of meetings

program(
    r"what date was it decided to (?P<what>.+?)\?",
    "meetings",
    "about",
    code='result = [d["date"] for d in decisions if about(what, d["what"])]',
)
program(
    r"owns the decisions of (?P<year>\d{4}) that have a budget above (?P<least>[\d,]+)",
    "meetings",
    code='result = sorted({d["owner"] for d in decisions if d["year"] == year and d["budget"] > int(least.replace(",", ""))})',
)
program(
    r"dates in (?P<one>\w+) and (?P<two>\w+) (?P<year>\d{4}) was (?P<who>.+?) absent",
    "meetings",
    code='result = [m["date"] for m in meetings if m["year"] == year and m["month"] in (one, two) and who in m["absent"]]',
)
program(
    r"decisions made in (?P<year>\d{4}) are owned by (?P<who>.+?)\?",
    "meetings",
    code='result = sum(d["year"] == year and d["owner"] == who for d in decisions)',
)
program(
    r"meetings did (?P<who>.+?) chair", "meetings", code='result = sum(m["chair"] == who for m in meetings)'
)
program(
    r"larger budget, (?P<one>.+?) or (?P<other>.+?), and",
    "meetings",
    "about",
    code="""budget = {name: next(d["budget"] for d in decisions if about(name, d["what"])) for name in (one, other)}
result = f"{max(budget, key=budget.get)}, by {abs(budget[one] - budget[other])} euros\"""",
)
program(
    r"(?P<asked>minutes of|absent from) the meeting that decided to (?P<what>.+?)\?",
    "meetings",
    "about",
    code='result = [d["minutes" if asked == "minutes of" else "absent"] for d in decisions if about(what, d["what"])]',
)
program(
    r"budgets of all decisions made in (?P<month>\w+) (?P<year>\d{4})",
    "meetings",
    code='result = sum(d["budget"] for d in decisions if (d["month"], d["year"]) == (month, year))',
)
program(
    r"budgets of the decisions made in (?P<year>\d{4}) that (?P<who>.+?) owns",
    "meetings",
    code='result = sum(d["budget"] for d in decisions if (d["owner"], d["year"]) == (who, year))',
)
program(
    r"set aside for (?P<what>.+?) over all decisions",
    "meetings",
    code='result = sum(d["budget"] for d in decisions if re.search(rf"\\b{what}\\b", d["what"]))',
)

# The journal

program(
    r"greatest depth that the lead gave",
    code='result = max(int(n) for n in re.findall(r"The lead gave (\\d+) fathoms", context))',
)
_DEPOTS = 'depots = {island: int(n) for n, island in re.findall(r"We left a depot of (\\d+) tins on ([^.]+)\\.", context)}\n'
program(r"islands was a depot left", code=_DEPOTS + 'result = ", ".join(depots)')
program(
    r"depot had more tins, the one on (?P<one>.+?) or the one on (?P<other>.+?), and",
    code=_DEPOTS + 'result = f"{max((one, other), key=depots.get)}, by {abs(depots[one] - depots[other])}"',
)
program(r"island was the depot with the most tins", code=_DEPOTS + "result = max(depots, key=depots.get)")
program(r"tins were left in all the depots", code=_DEPOTS + "result = sum(depots.values())")
program(
    r"days did it blow a gale in (?P<months>.+?) (?P<year>\d{4})",
    "days",
    code='result = sum("It blew a gale today." in d["text"] for d in days if d["year"] == year and d["month"] in months)',
)
program(
    r"days of (?P<month>\w+) (?P<year>\d{4}) .*miles were walked",
    "days",
    code='result = sum("We walked " in d["text"] for d in days if (d["month"], d["year"]) == (month, year))',
)
program(
    r"miles were walked in (?P<month>\w+) (?P<year>\d{4})",
    "days",
    code="""text = "".join(d["text"] for d in days if (d["month"], d["year"]) == (month, year))
result = sum(int(n) for n in re.findall(r"We walked (\\d+) miles", text))""",
)
program(
    r"how many (?P<animal>\w+) were counted in (?P<year>\d{4})",
    "days",
    code="""text = "".join(d["text"] for d in days if d["year"] == year)
result = sum(int(n) for n in re.findall(rf"Counted today on [^:]+: (\\d+) {animal}", text))""",
)
program(
    r"largest number of (?P<animal>\w+) counted on one day",
    code='result = max(int(n) for n in re.findall(rf"Counted today on [^:]+: (\\d+) {animal}", context))',
)
program(
    r"which town does the person who (?P<did>.+?) come\?",
    code="""who = re.search(rf"([A-Z]\\w+ [A-Z]\\w+) {did}", context)[1]
result = re.search(rf"{who} comes from ([^.]+)\\.", context)[1]""",
)

# The handbook

program(
    r"who are the first-aiders",
    code='result = ", ".join(re.findall(r"([A-Z]\\w+ [A-Z]\\w+) is a first-aider", context))',
)
program(
    r"deliver within (?P<most>\d+) ",
    code='result = [who for who, n in re.findall(r"Orders to (.+?) take (\\d+) working days", context) if int(n) <= int(most)]',
)
program(
    r"deposit more than (?P<least>\d+)",
    code='result = sum(int(n) > int(least) for n in re.findall(r"The deposit for the .+? is (\\d+) euros", context))',
)
program(
    r"replace all the machines and tools that are kept in (?P<place>.+?)\?",
    code="""there = re.findall(rf"The ([^.]+?) is kept in {place}\\.", context)
result = sum(int(re.search(rf"Replacing the {tool} costs (\\d+) euros", context)[1]) for tool in there)""",
)
program(
    r"machines and tools are kept in (?P<place>.+?)\?",
    code='result = len(re.findall(rf"is kept in {place}\\.", context))',
)
program(
    r"rents for more a day, the (?P<one>.+?) or the (?P<other>.+?), and",
    code="""price = {name: int(re.search(rf"The {name} rents for (\\d+) euros", context)[1]) for name in (one, other)}
result = f"{max(price, key=price.get)}, by {abs(price[one] - price[other])} euros\"""",
)
_EXTENSION = 'result = re.search(rf"{who} is the [^;]+; the extension is (\\d+)", context)[1]'
program(
    r"extension of the keeper of the (?P<item>.+?)\?",
    code='who = re.search(rf"The keeper of the {item} is ([^.]+)\\.", context)[1]\n' + _EXTENSION,
)
program(
    r"extension of the person who guides the longest",
    code="""rides = re.findall(r"The ([^.]+?) is (\\d+) kilometres long", context)
ride = max(rides, key=lambda pair: int(pair[1]))[0]
who = re.search(rf"The {ride} is guided by ([^.]+)\\.", context)[1]
"""
    + _EXTENSION,
)
program(
    r"of the model with the smallest deposit",
    code="""deposits = re.findall(r"The deposit for the (.+?) is (\\d+) euros", context)
model = min(deposits, key=lambda pair: int(pair[1]))[0]
result = re.search(rf"We own (\\d+) bicycles of the model {model}", context)[1]""",
)
program(
    r"repairs take more than (?P<least>\d+)",
    code='result = sum(int(n) > int(least) for n in re.findall(r"takes (\\d+) minutes and costs", context))',
)
program(
    r"bicycles does the rental fleet have in all",
    code='result = sum(int(n) for n in re.findall(r"We own (\\d+) bicycles", context))',
)

ASK = f"""replies = llm_query_batched([f"{{part.text}}\\n\\nQuestion: {{query}}" for part in parts])
found = [reply for reply in replies if reply != {NOTHING!r}]
result = found[0] if found else None
{SHOW}"""


def write_code(reader: IdealReader, request: ChatRequest) -> str | None:
    """The root model's next reply."""
    if "by writing Python for a REPL" not in request.system:
        return None
    question = re.search(r"^Question: (.+)$", request.messages[1].content, re.MULTILINE)
    assert question is not None, "the root prompt states the question"
    done = [message.content for message in request.messages[2:] if message.role == "assistant"]
    if _FOUND.search(request.last):
        return _block("The result is there.", FINISH)
    if not done:
        return _block("I look at the material first.", LOOK)
    code = next((code for each in PROGRAMS if (code := each.write(question[1])) is not None), None)
    if code is not None and len(done) == 1:
        return _block("This is exact work for code.", code)
    if not any("parts = search" in reply for reply in done):
        return _block("I read the best passages.", f"parts = search(query, k=8)\n{ASK}")
    aim = _PART_CHARS.search(request.system)
    size = aim[1].replace(",", "") if aim else "4000"
    return _block("I read everything.", f"parts = chunks({size}, 0)\n{ASK}")


def write_probe(reader: IdealReader, request: ChatRequest) -> str | None:
    """The small tasks by which the engine finds out whether a model can code."""
    task = re.search(
        r"^Write Python code that prints (?:the )?(.+)\. `context` exists", request.last, re.MULTILINE
    )
    if task is None:
        return None
    if lines := re.match(r"how many lines of `context` hold the word (\w+)", task[1]):
        return _block("", f"print(sum({lines[1]!r} in line for line in context.splitlines()))")
    if one := re.match(r"(\w+) of (\w+ \d+)$", task[1]):
        return _block("", f'import re\nprint(re.search(r"{one[2]}:.*?{one[1]}=(\\w+)", context)[1])')
    if added := re.match(r"sum of the (\w+?)s of all", task[1]):
        return _block("", f'import re\nprint(sum(map(int, re.findall(r"{added[1]}=(\\d+)", context))))')
    return None


def _block(thought: str, code: str) -> str:
    return f"{thought}\n```repl\n{code}\n```"


POLICIES = (write_code, write_probe)
