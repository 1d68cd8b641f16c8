"""`/ws/chat` with the `websockets` client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.api.conftest import STORY, Home
from tests.api.server import RunningApp


def until(socket: ClientConnection, *types: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in types:
        events.append(json.loads(socket.recv(timeout=30)))
    return events


def test_the_events_of_several_messages_come_over_one_connection(app: RunningApp) -> None:
    with connect(app.ws_url) as socket:
        socket.send(json.dumps({"message": "Tell me a STORY"}))
        first = until(socket, "done")
        assert "".join(event["text"] for event in first if event["type"] == "token") == STORY
        socket.send(json.dumps({"message": "Hi!", "conversation_id": first[0]["conversation_id"]}))
        second = until(socket, "done")
    answer = next(event for event in second if event["type"] == "answer")
    assert answer["text"] == "Hello there, friend."
    assert second[0]["conversation_id"] == first[0]["conversation_id"]


def test_cancel_stops_the_answer_and_keeps_what_is_there(app: RunningApp) -> None:
    with connect(app.ws_url) as socket:
        socket.send(json.dumps({"message": "HOLD it"}))
        until(socket, "token")
        socket.send(json.dumps({"type": "cancel"}))
        answer = next(event for event in until(socket, "done") if event["type"] == "answer")
    assert answer["partial"] is True
    assert answer["text"].strip()


def test_a_second_connection_takes_over_where_the_first_was_lost(app: RunningApp) -> None:
    with connect(app.ws_url, close_timeout=0.1) as socket:
        socket.send(json.dumps({"message": "HOLD it"}))
        message_id = until(socket, "token")[-1]["message_id"]
    with connect(app.ws_url) as socket:
        socket.send(json.dumps({"type": "follow", "message_id": message_id}))
        until(socket, "token")
        socket.send(json.dumps({"type": "cancel"}))
        assert until(socket, "done")[-1]["message_id"] == message_id


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("not json", "bad_request"),
        (b"\xff\x00", "bad_request"),
        ("[1, 2]", "bad_request"),
        ('{"message": 5}', "bad_request"),
        ('{"type": "dance"}', "bad_request"),
        ('{"type": "cancel"}', "nothing_to_cancel"),
        ('{"type": "follow", "message_id": "nobody"}', "not_found"),
        ('{"message": "Hi", "documents": ["/etc/passwd"]}', "bad_request"),
        ('{"message": "Hi", "documents": ["etc"]}', "not_found"),
        ('{"message": "  "}', "bad_request"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_a_sentence(
    app: RunningApp, sent: str | bytes, code: str
) -> None:
    with connect(app.ws_url) as socket:
        socket.send(sent)
        problem = json.loads(socket.recv(timeout=30))
        assert (problem["type"], problem["code"]) == ("error", code)
        socket.send(json.dumps({"message": "Hi!"}))
        assert until(socket, "done")


def test_a_page_of_another_site_cannot_open_the_connection(app: RunningApp) -> None:
    with pytest.raises(InvalidStatus, match="403"), connect(app.ws_url, origin="https://evil.example"):
        pass


def test_without_a_log_in_the_connection_is_refused(home: Home) -> None:
    with pytest.raises(InvalidStatus, match="403"), connect(home.app.ws_url):
        pass
