"""A conversation as chat messages."""

from __future__ import annotations

from rlm_core.events import AnswerEvent, CodeEvent, ErrorEvent, PhaseEvent, TokenEvent, TurnStartedEvent
from tests.ui.records import event, message, run_of_two_turns
from ui.chat_view import AnswerState, Row, answer, conversation, question, route_line
from ui.growing import going_on


def texts(messages: list[dict[str, str]]) -> str:
    return "\n".join(item["content"] for item in messages)


def test_a_saved_pair_becomes_question_answer_and_a_line_under_it() -> None:
    rows = [Row(message("user", "How many?")), Row(message("assistant", "Twelve."))]
    messages = conversation(rows, lambda _: "")
    assert [item["role"] for item in messages] == ["user", "assistant", "assistant"]
    assert messages[1]["content"] == "Twelve."
    assert "do-chat-retry" in messages[2]["content"]


def test_html_blocks_are_one_line_so_that_markdown_leaves_them_alone() -> None:
    for item in answer(
        AnswerState("m1", "Twelve.", "complete"), "", row=Row(message("assistant", "Twelve."))
    ):
        if item["content"].startswith("<"):
            assert "\n" not in item["content"]


def test_only_the_newest_messages_of_a_long_conversation_are_drawn_with_a_way_to_the_others() -> None:
    rows = [Row(message("user", f"question {number}")) for number in range(100)]
    messages = conversation(rows, lambda _: "", limit=60)
    assert len(messages) == 61
    assert "Show 40 earlier messages" in messages[0]["content"]
    assert "question 40" in messages[1]["content"]


def test_going_back_shows_a_step_more_and_never_all_at_once() -> None:
    rows = [Row(message("user", f"question {number}")) for number in range(500)]

    def shown(limit: int) -> list[str]:
        return [str(item["content"]) for item in conversation(rows, lambda _: "", limit=limit)]

    back = shown(240)
    assert "Show 60 earlier messages (of 260)" in back[0]
    assert "question 260" in back[1]
    assert "question 379" in back[-2]
    assert "Show 60 later messages (of 120)" in back[-1]
    assert "question 0" in shown(540)[0]
    assert len(shown(540)) == 121


def test_the_growing_answer_is_not_drawn_from_the_store() -> None:
    rows = [Row(message("user", "How many?")), Row(message("assistant", "half an ans", "streaming"))]
    assert "half an ans" not in texts(conversation(rows, lambda _: "", growing="id-assistant"))


def test_an_answer_that_an_app_restart_cut_off_says_so() -> None:
    rows = [Row(message("assistant", "half an ans", "interrupted"))]
    assert "Interrupted: the app was closed" in texts(conversation(rows, lambda _: ""))


def test_a_partial_answer_gives_its_reason_and_a_failed_one_its_error() -> None:
    partial = message("assistant", "half", partial=True, reason="Stopped by the user.")
    failed = message("assistant", "", "failed", error="Ollama does not answer.", partial=True)
    assert "Partial answer. Stopped by the user." in texts(conversation([Row(partial)], lambda _: ""))
    assert '<div class="notice bad">Ollama does not answer.</div>' in texts(
        conversation([Row(failed)], lambda _: "")
    )


def test_versions_are_offered_only_when_there_are_several() -> None:
    one = question(Row(message("user", "a"), 1, ("x",)))
    two = question(Row(message("user", "a"), 2, ("x", "y")))
    assert "versions" not in texts(one)
    assert "2/2" in texts(two)
    assert "do-chat-version id-x" in texts(two)
    assert '<span class="off">&rsaquo;</span>' in texts(two)


def test_a_running_answer_is_read_from_its_events() -> None:
    events = run_of_two_turns()
    state = AnswerState.live("m1", events)
    assert state.text == "There are 12."
    assert state.route["strategy"] == "loop"
    assert state.usage["llm_calls"] == 2


def test_the_tokens_so_far_are_the_text_until_the_answer_comes() -> None:
    events = [
        event(TokenEvent, 1, text="There "),
        event(TokenEvent, 2, text="are"),
        event(ErrorEvent, 3, code="x", text="gone"),
    ]
    state = AnswerState.live("m1", events)
    assert (state.text, state.error) == ("There are", "gone")


def test_an_answer_without_anything_yet_shows_that_it_is_coming() -> None:
    assert "waiting" in texts(answer(AnswerState("m1"), ""))


def test_the_route_line_tells_way_reason_and_cost() -> None:
    line = route_line(
        {"decision": "recursive", "strategy": "loop", "reasons": ["the material has 66,000 tokens.", "more"]},
        {"llm_calls": 9, "seconds": 41.2, "by_model": {"qwen3:8b": 9}},
    )
    assert line == "Worked through it in code: the material has 66,000 tokens · qwen3:8b · 9 calls · 41 s"
    assert route_line({}, {}) == ""


def test_the_route_line_says_which_passages_were_read() -> None:
    route = {"decision": "recursive", "strategy": "retrieve", "reasons": ["it asks about everything"]}
    line = route_line(route, {}, "all 25 parts of the material")
    assert line == "Read all 25 parts of the material: it asks about everything"
    assert route_line(route, {}) == "Read passages: it asks about everything"


def test_what_was_read_is_the_same_live_and_saved() -> None:
    done = event(AnswerEvent, 1, text="5", coverage="the 12 passages that fit the question best")
    saved = message("assistant", "5", coverage=done.coverage)
    assert AnswerState.live("m1", [done]).coverage == AnswerState.saved(saved).coverage == done.coverage


def test_a_question_cannot_bring_html_into_the_page() -> None:
    assert "<script>" not in texts(
        question(Row(message("user", "<script>x</script>"), documents=("<b>.txt",)))
    )
    assert "<b>.txt" not in texts(question(Row(message("user", "a"), documents=("<b>.txt",))))


def test_the_line_above_the_box_says_the_turn_and_what_it_does() -> None:
    turn = event(TurnStartedEvent, 1, depth=0, iteration=2, of=12)
    events = [turn, event(PhaseEvent, 2, "e1", text="reading 800 tokens, about 2 s")]
    assert going_on([]) == "starting"
    assert going_on(events) == "turn 2: reading 800 tokens, about 2 s"
    events.append(event(CodeEvent, 3, "e1", code="hits = search(query)"))
    events.append(event(PhaseEvent, 4, "e3", text="running code"))
    assert going_on(events) == "turn 2: searching"
    assert going_on([*events, event(TokenEvent, 5, text="So")]) == "writing"
