"""Events as steps, tree, timeline and table."""

from __future__ import annotations

import csv
import io

from rlm_core.events import ChildAnswerEvent, ThinkingEvent
from tests.ui.records import call, event, run_of_two_turns
from ui.steps import doing, steps_html
from ui.trace_table import COLUMNS, as_csv, frame
from ui.trace_view import timeline, totals, tree
from ui.tree import grow


def test_the_tree_puts_calls_under_their_code_and_the_child_under_its_turn() -> None:
    roots = grow(run_of_two_turns())
    turns = [node for node in roots if node.event.type == "turn_started"]
    assert len(turns) == 2
    code = turns[0].children[0]
    assert [child.event.type for child in code.children] == [
        "model_call_started",
        "model_call_started",
        "output",
    ]
    assert all(child.finished for child in code.children[:2])
    assert turns[1].children[0].level == 1


def test_pieces_of_thinking_are_joined_and_an_orphan_is_not_lost() -> None:
    events = [event(ThinkingEvent, 1, "gone", text="a"), event(ThinkingEvent, 2, "gone", text="b")]
    roots = grow(events)
    assert [node.event.text for node in roots] == ["ab"]  # type: ignore[attr-defined]


def test_what_a_child_handed_back_stands_in_the_tree_and_in_the_table() -> None:
    answer = event(ChildAnswerEvent, 9, "", child=2, text="12 whales", chars=9, partial=False, reason=None)
    assert "answer of child 2" in tree([answer])
    assert "12 whales" in tree([answer])
    assert "12 whales" in as_csv([answer])


def test_what_a_cell_does_is_said_in_words() -> None:
    assert doing("hits = search('x')") == "searching"
    assert doing("llm_query_batched(prompts)") == "asking the model about pieces"
    assert doing("x = 1") == "computing"


def test_live_steps_are_open_and_saved_ones_are_folded_into_one_line() -> None:
    events = run_of_two_turns()
    assert 'class="fold all' in steps_html(events, "m1", live=False)
    assert "3 turns · 2 model calls" in steps_html(events, "m1", live=False)
    assert 'class="fold all' not in steps_html(events, "m1", live=True)


def test_one_direct_call_makes_no_steps() -> None:
    assert steps_html(call(1, "", 0.0, 1.0, "direct"), "m1", live=False) == ""
    assert "answering" in steps_html(call(1, "", 0.0, 1.0, "direct")[:1], "m1", live=True)


def test_model_output_is_escaped_everywhere() -> None:
    events = run_of_two_turns()
    for html in (steps_html(events, "m1", live=False), tree(events), timeline(events), totals(events)):
        assert "<b>12</b>" not in html


def test_blank_lines_in_output_do_not_end_the_html() -> None:
    assert "\n" not in tree(run_of_two_turns())
    assert "12&#10;&#10;12" in tree(run_of_two_turns())


def test_parallel_calls_stand_side_by_side_in_the_timeline() -> None:
    html = timeline(run_of_two_turns())
    assert 'class="bar sub"' in html
    assert "top:0px" in html
    assert "top:20px" in html


def test_the_filter_keeps_the_branches_that_contain_the_words() -> None:
    events = run_of_two_turns()
    assert "Turn 1" in tree(events, "search(")
    assert "Turn 2" not in tree(events, "search(")
    assert "No step contains" in tree(events, "zebra")


def test_the_tree_shows_prompts_as_sent_and_reused_tokens() -> None:
    html = tree(run_of_two_turns())
    assert "How many lamps?" in html
    assert "in 91, reused 40, out 7" in html


def test_the_table_has_one_row_for_each_call_and_goes_to_csv_without_formulas() -> None:
    events = run_of_two_turns()
    table = frame(events)
    assert list(table.columns) == COLUMNS
    assert (table["step"] == "model call").sum() == 2
    from rlm_core.events import CodeEvent

    rows = list(csv.reader(io.StringIO(as_csv([event(CodeEvent, 1, code="=1+1")]))))
    assert rows[1][2] == "'=1+1"


def test_an_empty_trace_is_no_problem() -> None:
    assert tree([]) == ""
    assert timeline([]) == ""
    assert len(frame([])) == 0
