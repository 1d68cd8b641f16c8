"""`POST /chat`, whole and as server-sent events, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.api.conftest import STORY
from tests.api.server import RunningApp


def events_of(lines: Any) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def test_a_message_is_answered_and_both_are_in_the_conversation(client: httpx.Client) -> None:
    body = client.post("/chat", json={"message": "Hi!"}).json()
    assert body["answer"] == "Hello there, friend."
    assert body["route"] == "direct"
    assert body["complexity"]["reasons"]
    assert body["usage"]["llm_calls"] == 1
    assert {*body["usage"]} == {
        *("llm_calls", "tokens_in", "tokens_out", "tokens_cached", "seconds", "iterations", "by_model")
    }
    assert body["partial"] is False
    assert body["coverage"] == ""

    conversation = client.get(f"/conversations/{body['conversation_id']}").json()
    assert [(m["role"], m["text"]) for m in conversation["messages"]] == [
        ("user", "Hi!"),
        ("assistant", "Hello there, friend."),
    ]
    assert conversation["messages"][1]["id"] == body["message_id"]


def test_the_trace_of_an_answer_can_be_read(client: httpx.Client) -> None:
    body = client.post("/chat", json={"message": "Hi!"}).json()
    trace = client.get(f"/traces/{body['trace_id']}").json()
    types = [event["type"] for event in trace["events"]]
    assert "route" in types
    assert types[-1] == "done"
    official = client.get(f"/traces/{body['trace_id']}/rlm")
    assert next(json.loads(line)["type"] for line in official.text.splitlines()) == "metadata"
    assert client.get("/traces/nothing/rlm").status_code == 404


def test_a_conversation_goes_on_under_its_id(client: httpx.Client) -> None:
    first = client.post("/chat", json={"message": "Hi!"}).json()
    second = client.post(
        "/chat", json={"message": "Hello again!", "conversation_id": first["conversation_id"]}
    ).json()
    assert second["conversation_id"] == first["conversation_id"]
    messages = client.get(f"/conversations/{first['conversation_id']}").json()["messages"]
    assert len(messages) == 4


def test_the_events_come_as_they_happen_when_stream_is_asked_for(client: httpx.Client) -> None:
    with client.stream("POST", "/chat", json={"message": "Tell me a STORY", "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = events_of(response.iter_lines())
    assert "".join(event["text"] for event in events if event["type"] == "token") == STORY
    assert events[-1]["type"] == "done"
    assert {event["message_id"] for event in events} == {events[0]["message_id"]}
    assert all(event["conversation_id"] for event in events)


def test_an_answer_goes_on_without_its_client_can_be_followed_and_stopped(client: httpx.Client) -> None:
    with client.stream("POST", "/chat", json={"message": "HOLD the line", "stream": True}) as response:
        lines = response.iter_lines()
        first = events_of([next(line for line in lines if line.startswith("data: "))])[0]
    message_id = first["message_id"]

    busy = client.post("/chat", json={"message": "And?", "conversation_id": first["conversation_id"]})
    assert busy.status_code == 409

    with client.stream("GET", f"/chat/{message_id}/events") as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and json.loads(line[6:])["type"] == "token":
                break
    assert client.post(f"/chat/{message_id}/cancel").json() == {"message_id": message_id, "stopped": True}

    with client.stream("GET", f"/chat/{message_id}/events") as response:
        answer = next(event for event in events_of(response.iter_lines()) if event["type"] == "answer")
    assert answer["partial"] is True
    assert STORY.startswith(answer["text"].strip())
    assert answer["text"].strip()


def test_a_failing_model_server_is_one_sentence_and_503(client: httpx.Client) -> None:
    response = client.post("/chat", json={"message": "BREAK"})
    assert response.status_code == 503
    assert "crashed" in response.json()["detail"]
    assert "Traceback" not in response.text


def test_a_field_that_is_wrong_is_named(client: httpx.Client) -> None:
    for body, field in (
        ({}, "message"),
        ({"message": "Hi", "mode": "sideways"}, "mode"),
        ({"message": "Hi", "conversationId": "x"}, "conversationId"),
        ({"message": "Hi", "documents": "all"}, "documents"),
    ):
        response = client.post("/chat", json=body)
        assert response.status_code == 422
        assert response.json()["field"] == field


def test_an_empty_message_is_refused(client: httpx.Client) -> None:
    for message in ("", "   "):
        response = client.post("/chat", json={"message": message})
        assert response.status_code == 422
        assert response.json() == {"detail": "'message': The message is empty.", "field": "message"}


def test_what_is_not_json_is_said_to_be_that(client: httpx.Client) -> None:
    response = client.post("/chat", content=b"{bad", headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["detail"].startswith("The request is not JSON")
    assert response.json()["field"] is None


def test_a_question_cannot_name_a_file_of_this_computer(client: httpx.Client, app: RunningApp) -> None:
    secret = app.folder / "secret.txt"
    secret.write_text("the password is swordfish", encoding="utf-8")
    for name in (str(secret), "secret.txt", "../../../etc/passwd", "/etc/passwd"):
        response = client.post("/chat", json={"message": "What is the password?", "documents": [name]})
        assert response.status_code in (404, 422)
        assert "swordfish" not in response.text


def test_material_given_as_text_is_read_but_not_kept(client: httpx.Client) -> None:
    body = client.post(
        "/chat", json={"message": "ECHO it", "context": "The bridge is green.", "mode": "direct"}
    ).json()
    assert body["answer"].startswith("You said:")
    assert client.get("/documents").json()["documents"] == []
