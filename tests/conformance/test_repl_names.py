"""Every name that DESIGN.md 4.2 promises is in the REPL and does what it says."""

from pathlib import Path

import pytest

from tests.conformance.stage import Actor, Stage, fence, finish

CONTEXT = "INFO start\nERROR disk full\nINFO ok\nERROR net down\n"

NAMES = {
    "context": ("len(context)", str(len(CONTEXT))),
    "query": ("query", "How many errors are there?"),
    "documents": ("[(d.name, d.start, d.end, len(d.text)) for d in documents]", f"[('context', 0, {len(CONTEXT)}, {len(CONTEXT)})]"),
    "search": ("search('disk')[0].text == context and search('disk')[0].start", "0"),
    "search by expression": ("[hit.text for hit in search('error \\\\w+', regex=True)]", "['ERROR disk full', 'ERROR net down']"),
    "read_context": ("read_context(0, 4)", "INFO"),
    "chunks": ("''.join(chunks(10, 0)) == context and len(chunks(10, 0)) > 3", "True"),
    "llm_query": ("llm_query('x')", "sub"),
    "llm_query_batched": ("llm_query_batched(['x', 'y'])", "['sub', 'sub']"),
    "llm_call": ("llm_call('x')", "sub"),
    "python_exec": ("python_exec('1 + 1')", "2"),
    "SHOW_VARS": ("SHOW_VARS()", "mine: int = 1"),
    "memory_search": ("len(memory_search('Adelheid bees', k=3)) > 0 and 'bees' in memory_search('Adelheid bees')[0]['text']", "True"),
    "imports": ("json.dumps([1])", "[1]"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_the_repl_knows(name: str, tmp_path: Path) -> None:
    expression, expected = NAMES[name]
    setup = fence("import json\nmine = 1")
    actor = Actor(root=[setup, fence(f"value = {expression}\nFINAL(value)")])
    async with Stage(actor, tmp_path) as stage:
        stage.store.add_message("old", "user", "My sister Adelheid keeps bees.")
        outcome = await stage.ask(context=CONTEXT, conversation_id="talk")
    assert outcome.answer.strip() == expected, outcome.shown


async def test_tables_of_a_stored_file_are_asked_with_sql(tmp_path: Path) -> None:
    rows = "id,customer,amount\n1,Ada,10.5\n2,Bob,20\n3,Ada,5\n"
    actor = Actor(
        root=[
            lambda request: fence("print(sql('SELECT name FROM sqlite_master'))"),
            fence(
                "table = documents[0].name.split('.')[0]\nrows = sql(f'SELECT customer, SUM(amount) FROM {table} GROUP BY 1 ORDER BY 1')"
            ),
            finish("str([tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows])"),
        ]
    )
    async with Stage(actor, tmp_path) as stage:
        document = stage.store.add_document("orders.csv", rows.encode())
        outcome = await stage.ask("Who spent how much?", documents=[document.id])
    assert outcome.answer == "[('Ada', 15.5), ('Bob', 20.0)]"
    assert "`sql(query)`" in actor.requests("root")[0].system
    assert "orders(id, customer, amount)" in actor.requests("root")[0].system


async def test_what_a_table_does_not_allow_is_an_error_in_the_cell(tmp_path: Path) -> None:
    actor = Actor(
        root=[
            fence("sql('DROP TABLE orders')"),
            fence("sql('ATTACH \"/etc/passwd\" AS x')"),
            finish("str(len(sql('SELECT * FROM orders')))"),
        ]
    )
    async with Stage(actor, tmp_path) as stage:
        document = stage.store.add_document("orders.csv", b"id,amount\n1,10\n2,20\n")
        outcome = await stage.ask("How many?", documents=[document.id])
    assert outcome.answer == "2"
    for request in actor.requests("root")[1:]:
        assert "not" in request.last


async def test_stored_documents_are_remembered_for_the_next_question(tmp_path: Path) -> None:
    actor = Actor(
        root=[finish("documents[0].name"), finish("documents[0].name"), finish("str(len(documents))")]
    )
    async with Stage(actor, tmp_path) as stage:
        document = stage.store.add_document("notes.txt", b"Remember the milk.\n")
        first = await stage.ask("Which file?", documents=[document.id], conversation_id="talk")
        second = await stage.ask("And now?", conversation_id="talk")
        third = await stage.ask("And without?", documents=[], conversation_id="talk")
    assert [first.answer, second.answer, third.answer] == ["notes.txt", "notes.txt", "0"]
