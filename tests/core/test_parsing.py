"""What a reply asks to be run: every shape that models were seen to write, and every way that parsers were seen to fail."""

import json

import pytest

from rlm_core.parsing import compiles, parse_reply, without_thinking

LOOK = "print(context[:100])"


def fence(code: str, label: str = "repl", mark: str = "```") -> str:
    return f"{mark}{label}\n{code}\n{mark}"


def cells(reply: str) -> list[str]:
    return [cell.strip() for cell in parse_reply(reply).cells]


@pytest.mark.parametrize("mark", ["```", "~~~", "````", "~~~~"])
@pytest.mark.parametrize(
    "label", ["repl", "python", "py", "Python", "PY", "REPL", "python3", "tool_code", ""]
)
def test_a_block_is_understood_with_any_label_and_any_fence(label: str, mark: str) -> None:
    assert cells(f"I look first.\n{fence(LOOK, label, mark)}\nThen I wait.") == [LOOK]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(f"```repl\n{LOOK}", LOOK, id="a fence that is never closed"),
        pytest.param(f"```repl\n{LOOK}```", LOOK, id="a closing fence glued to the code"),
        pytest.param(f"```repl {LOOK} ```", LOOK, id="a whole block on one line"),
        pytest.param(f"``` {LOOK} ```", LOOK, id="a whole block on one line without a label"),
        pytest.param(LOOK, LOOK, id="bare code"),
        pytest.param(f"I will look at it.\n\n{LOOK}\n", LOOK, id="bare code behind prose"),
        pytest.param(f"1. First look:\n   ```python\n   {LOOK}\n   ```\n2. Then decide.", LOOK, id="a fence inside a list"),
        pytest.param(f"> ```python\n> {LOOK}\n> ```", LOOK, id="a fence inside a quotation"),
        pytest.param(f'```python title="look.py"\n{LOOK}\n```', LOOK, id="a label with attributes"),
        pytest.param(f"```repl\n{LOOK}\nprint('and th", LOOK, id="a reply cut off in the middle of a line"),
        pytest.param(f"```\r\n{LOOK}\r\n```", LOOK, id="lines that end as on Windows"),
        pytest.param(f"<think>easy</think>\n{fence(LOOK)}", LOOK, id="behind thinking"),
        pytest.param(f"easy\n</think>\n\n{fence(LOOK)}", LOOK, id="behind thinking whose opening tag is in the template"),
        pytest.param(
            json.dumps({"name": "python", "arguments": {"code": LOOK}}), LOOK, id="a tool call as JSON"
        ),
        pytest.param(
            json.dumps({"name": "python", "arguments": json.dumps({"code": LOOK})}),
            LOOK,
            id="a tool call whose arguments are a string",
        ),
        pytest.param(
            json.dumps({"tool_call": {"function": {"name": "run", "arguments": {"source": LOOK}}}}),
            LOOK,
            id="a nested tool call",
        ),
        pytest.param(f"<tool_call>\n{json.dumps({'name': 'python_exec', 'arguments': {'code': LOOK}})}\n</tool_call>", LOOK, id="a tagged tool call"),
        pytest.param(fence(json.dumps({"code": LOOK}), "json"), LOOK, id="a tool call in a json fence"),
        pytest.param("```tool_call\n" + json.dumps({"code": LOOK}) + "\n```", LOOK, id="a tool call in a fence of its own"),
        pytest.param(fence("text = await llm_query('x')\nprint(text)"), "text = await llm_query('x')\nprint(text)", id="await at top level"),
        pytest.param("answer['content'] = 'x'; answer['ready'] = True", "answer['content'] = 'x'; answer['ready'] = True", id="a bare finish"),
        pytest.param('FINAL("Paris")', 'FINAL("Paris")', id="a final that is Python"),
        pytest.param("FINAL_VAR(result)", "FINAL_VAR(result)", id="a final variable that is Python"),
        pytest.param("FINAL(42)", "FINAL(42)", id="a final number"),
        pytest.param("documents[0].name", "documents[0].name", id="a bare expression that looks at something"),
    ],
)  # fmt: skip
def test_this_shape_runs(reply: str, expected: str) -> None:
    assert cells(reply) == [expected]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n",
        "I think the answer is Paris.",
        "Paris",
        "42",
        "42, 43",
        "Answer: 42",
        "Note: done",
        "example.com",
        "Smith (2020)",
        "Paris (France)",
        'Let me think: I will use FINAL("x") later.',
        "pass",
        "# I only plan to look",
        fence("# look first, then count"),
        fence("Output: 42", ""),
        fence("SELECT 1", "sql"),
        fence("console.log(1)", "javascript"),
        fence(json.dumps({"answer": "Paris"}), "json"),
        json.dumps({"answer": "Paris"}),
        "<think>" + fence(LOOK) + "</think>",
        "<think>" + fence(LOOK),
        "<think>" + fence(LOOK) + "</think>The answer is Paris.",
    ],
)
def test_nothing_in_this_runs_and_the_model_is_told(reply: str) -> None:
    parsed = parse_reply(reply)
    assert parsed.cells == ()
    assert parsed.text_final is None
    assert parsed.problem


def test_the_problem_says_whether_a_reply_was_empty_only_thinking_or_prose() -> None:
    assert "empty" in (parse_reply("").problem or "")
    assert "thinking" in (parse_reply("<think>hm").problem or "")
    assert "no code" in (parse_reply("Paris.").problem or "")


def test_a_draft_inside_thinking_never_runs() -> None:
    assert cells(f"<think>maybe {fence('boom()')}</think>\n{fence(LOOK)}") == [LOOK]
    assert cells(f"<thinking>{fence('boom()')}</thinking>{fence(LOOK)}") == [LOOK]
    assert cells(f"{fence('boom()')}\n</think>\n{fence(LOOK)}") == [LOOK]
    assert cells(f"<think>a</think>{fence('x = 1')}\n<think>{fence('boom()')}</think>\n{fence('y = 2')}") == [
        "x = 1",
        "y = 2",
    ]


def test_code_that_removes_thinking_tags_is_not_mistaken_for_thinking() -> None:
    for code in (
        'x = re.sub(r"<think>.*?</think>", "", x)\nprint(x)',
        'x = x.split("</think>")[-1]\nprint(x)',
        "print(x.count('<think>'))",
    ):
        assert cells(f"I clean the replies.\n{fence(code)}") == [code]
        assert cells(f"<think>clean</think>\n{fence(code)}") == [code]


def test_several_blocks_run_in_order() -> None:
    assert cells(f"{fence('x = 1')}\nthen\n{fence('print(x)')}") == ["x = 1", "print(x)"]


def test_an_unclosed_block_ends_where_the_next_one_begins() -> None:
    assert cells(f"```repl\nx = 1\n\nand now\n{fence('print(x)')}") == ["print(x)"]
    assert cells(f"```repl\nx = 1\n{fence('print(x)')}") == ["x = 1", "print(x)"]


def test_a_fence_inside_a_string_does_not_end_the_block() -> None:
    code = 'text = """\n```python\nhi()\n```\n"""\nprint(text)'
    assert cells(f"{fence(code)}\nDone.") == [code]


def test_a_block_that_does_not_compile_is_run_anyway_so_that_the_model_sees_the_error() -> None:
    assert cells(fence("print(")) == ["print("]
    assert cells(f"{fence('print(')}\nor better\n{fence('print(1)')}") == ["print(1)"]


def test_the_history_keeps_a_reply_up_to_its_last_block_and_drops_imagined_output() -> None:
    parsed = parse_reply(f"I look.\n{fence(LOOK)}\nOutput:\n42 lines\nSo the answer is 42.")
    assert parsed.kept.endswith("```")
    assert "42 lines" not in parsed.kept


@pytest.mark.parametrize(
    "tail",
    [
        fence('FINAL("42")'),
        fence('answer["content"] = "42"\nanswer["ready"] = True'),
        fence('answer = {"content": "42", "ready": True}'),
        fence('answer.update(content="42", ready=True)'),
        "FINAL(42)",
        "FINAL(the number is 42)",
        "FINAL_VAR(count)",
    ],
)
def test_a_final_written_before_the_code_of_the_same_reply_ran_does_not_count(tail: str) -> None:
    parsed = parse_reply(f"{fence(LOOK)}\nOutput: 42 lines\n{tail}")
    assert [cell.strip() for cell in parsed.cells] == [LOOK]
    assert parsed.dropped_final
    assert "42" not in parsed.kept


def test_a_later_block_that_finishes_with_a_computed_value_runs() -> None:
    reply = f"{fence('n = context.count(chr(10))')}\n{fence('FINAL(n)')}"
    parsed = parse_reply(reply)
    assert len(parsed.cells) == 2
    assert not parsed.dropped_final


def test_a_draft_in_a_later_block_is_no_final() -> None:
    parsed = parse_reply(
        f"{fence(LOOK)}\n{fence('answer[chr(34)] = 1')}\n" + fence('answer["content"] = "so far"')
    )
    assert len(parsed.cells) == 3


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("FINAL(the cat (big) sat)", ("FINAL", "the cat (big) sat")),
        ("FINAL(forty-two apples)", ("FINAL", "forty-two apples")),
        ("I am done.\nFINAL(two lines\nof answer)", ("FINAL", "two lines\nof answer")),
        ('I am sure now.\nFINAL("42 apples)', ("FINAL", "42 apples")),
        ("FINAL(a line\n(with brackets) and more)", ("FINAL", "a line\n(with brackets) and more")),
    ],
)
def test_a_final_as_text_alone_at_the_end_is_taken_whole(reply: str, expected: tuple[str, str]) -> None:
    parsed = parse_reply(reply)
    assert parsed.cells == ()
    assert parsed.text_final == expected


def test_a_final_in_python_behind_prose_runs() -> None:
    assert cells("I am sure now.\nFINAL_VAR(result)") == ["FINAL_VAR(result)"]
    assert cells('The count is done, so:\nFINAL(f"{n} lines")') == ['FINAL(f"{n} lines")']


def test_a_dict_in_bare_code_is_not_a_tool_call() -> None:
    code = 'options = {"code": "print(1)", "input": "x"}\nprint(options)'
    assert cells(code) == [code]


def test_thinking_is_removed_from_an_answer_and_nothing_else() -> None:
    assert without_thinking("<think>hm</think>Paris") == "Paris"
    assert without_thinking("hm\n</think>\nParis").strip() == "Paris"
    assert without_thinking("hm</think>Paris") == "Paris"
    assert without_thinking("<think>never closed") == ""
    assert without_thinking("Paris") == "Paris"


def test_code_that_python_warns_about_compiles_quietly(recwarn: pytest.WarningsRecorder) -> None:
    assert compiles('x = "\\d"\nprint(1 is 1)')
    assert not recwarn.list


@pytest.mark.parametrize(
    "reply", ["(" * 5_000, "```repl\n" + "(" * 5_000 + "\n```", "```\n" * 400, "\x00", "```repl\n\x00\n```"]
)
def test_hostile_replies_do_not_break_the_parser(reply: str) -> None:
    parse_reply(reply)


def test_a_long_reply_of_prose_is_read_quickly_enough_to_be_bounded() -> None:
    """Lines of prose are not tried in every combination."""
    tried = []
    import rlm_core.parsing as parsing

    original = parsing.compiles

    def counting(code: str) -> bool:
        tried.append(len(code))
        return original(code)

    parsing.compiles = counting  # type: ignore[assignment]
    try:
        parse_reply("\n".join(f"This is line {n} of a long explanation." for n in range(300)))
    finally:
        parsing.compiles = original
    assert len(tried) < 2_000
