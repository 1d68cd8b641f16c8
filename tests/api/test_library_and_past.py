"""Documents, conversations and the memory over HTTP."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest

from memory_store import StoreError
from tests.api.server import RunningApp

HANDBOOK = "Guests may stay for three nights.\n\nThe garden gate is locked at ten in the evening.\n"


def upload(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return client.post("/documents", files={"file": (name, data)})


def test_a_document_is_uploaded_found_read_cited_and_deleted(client: httpx.Client) -> None:
    response = upload(client, "handbook.txt", HANDBOOK.encode())
    assert response.status_code == 201
    document = response.json()
    assert document["name"] == "handbook.txt"
    assert document["id"] in [each["id"] for each in client.get("/documents").json()["documents"]]

    passage = client.get(
        "/documents/search", params={"q": "garden gate locked", "document_id": document["id"]}
    ).json()["passages"][0]
    piece = client.get(
        f"/documents/{document['id']}/text", params={"start": passage["start"], "end": passage["end"]}
    ).json()
    assert piece["text"] == passage["text"]
    assert "ten in the evening" in piece["text"]

    answer = client.post(
        "/chat", json={"message": "ECHO the gate", "documents": [document["id"]], "mode": "direct"}
    )
    assert answer.status_code == 200

    assert client.delete(f"/documents/{document['id']}").json() == {"deleted": document["id"]}
    assert client.get(f"/documents/{document['id']}").status_code == 404
    assert client.delete(f"/documents/{document['id']}").status_code == 404


def test_the_same_bytes_are_the_same_document(client: httpx.Client) -> None:
    first = upload(client, "one.txt", b"All the same words.").json()
    second = upload(client, "two.txt", b"All the same words.").json()
    assert first["id"] == second["id"]


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(client: httpx.Client) -> None:
    for name, data in (("empty.txt", b""), ("broken.pdf", b"%PDF-1.7 nothing more")):
        response = upload(client, name, data)
        assert response.status_code == 422
        assert response.json()["detail"].endswith(".")
        assert "Traceback" not in response.text


def test_what_lies_in_a_zip_container_is_never_written_anywhere(
    app: RunningApp, client: httpx.Client
) -> None:
    before = {file for file in app.folder.parent.rglob("*") if "evil" in file.name}
    page = "<html><body><p>A harmless chapter.</p></body></html>"
    members = {
        "mimetype": "application/epub+zip",
        "../../evil.html": page,
        "/evil.html": page,
        "..\\evil.html": page,
    }
    for name in ("book.epub", "book.docx", "book.zip"):
        container = io.BytesIO()
        with zipfile.ZipFile(container, "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        assert client.post("/documents", files={"file": (name, container.getvalue())}).status_code in (
            201,
            422,
        )
    with zipfile.ZipFile(app.folder / "slip.zip", "w") as archive:
        archive.writestr("export.json", '{"program": "LocalRLM", "format": 1}')
        archive.writestr("../evil.jsonl", "{}")
    with pytest.raises(StoreError, match="nothing was imported"):
        app.store.import_all(app.folder / "slip.zip")
    assert {file for file in app.folder.parent.rglob("*") if "evil" in file.name} == before


def test_an_upload_without_a_file_is_refused(client: httpx.Client) -> None:
    for response in (
        client.post("/documents"),
        client.post("/documents", data={"file": "text"}),
        client.post("/documents", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        client.post("/documents", files=[("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]),
    ):
        assert response.status_code in (400, 422)


def test_conversations_are_renamed_pinned_searched_and_deleted(client: httpx.Client) -> None:
    conversation_id = client.post(
        "/chat", json={"message": "ECHO the zeppelin landed in Friedrichshafen"}
    ).json()["conversation_id"]
    changed = client.patch(f"/conversations/{conversation_id}", json={"title": "Airships", "pinned": True})
    assert (changed.json()["title"], changed.json()["pinned"]) == ("Airships", True)
    hits = client.get("/conversations/search", params={"q": "zeppelin"}).json()["hits"]
    assert conversation_id in [hit["conversation"]["id"] for hit in hits]
    memories = client.get("/memory/search", params={"q": "zeppelin Friedrichshafen"}).json()["memories"]
    assert any(memory["conversation_id"] == conversation_id for memory in memories)

    assert client.delete(f"/conversations/{conversation_id}").status_code == 200
    assert client.get(f"/conversations/{conversation_id}").status_code == 404
    memories = client.get("/memory/search", params={"q": "zeppelin Friedrichshafen"}).json()["memories"]
    assert all(memory["conversation_id"] != conversation_id for memory in memories)


def test_an_empty_conversation_can_be_begun_with_a_title_or_without_a_body(client: httpx.Client) -> None:
    for body, title in (({"json": {"title": "Plans"}}, "Plans"), ({}, "")):
        begun = client.post("/conversations", **body)
        assert begun.status_code == 201
        found = client.get(f"/conversations/{begun.json()['id']}").json()
        assert (found["title"], found["messages"]) == (title, [])


def test_a_conversation_in_which_an_answer_is_made_is_not_deleted(client: httpx.Client) -> None:
    with client.stream("POST", "/chat", json={"message": "HOLD it", "stream": True}) as response:
        line = next(line for line in response.iter_lines() if line.startswith("data: "))
    ids = httpx.Response(200, text=line[6:]).json()
    assert client.delete(f"/conversations/{ids['conversation_id']}").status_code == 409
    client.post(f"/chat/{ids['message_id']}/cancel")


def test_a_trace_that_is_not_there_is_404(client: httpx.Client) -> None:
    for name in ("nothing", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a" * 200):
        assert client.get(f"/traces/{name}").status_code in (404, 422)
