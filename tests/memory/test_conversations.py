from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from memory_store import ROOT, MemoryStore, NotFound, StoreError
from memory_store.schema import MIGRATIONS
from tests.memory.conftest import OpenStore
from tests.memory.toy import WordHashes


def texts(store: MemoryStore, conversation: str = "c") -> list[str]:
    return [message.text for message in store.messages(conversation)]


def test_messages_come_back_in_order_with_all_they_carry(store: MemoryStore) -> None:
    first = store.add_message(
        "c", "user", "Hello", created_at=1000.5, metadata={"route": "direct", "n": [1, None]}
    )
    second = store.add_message("c", "assistant", "Hi there")
    [question, answer] = store.messages("c")
    assert (question.id, question.role, question.text, question.created_at) == (
        first,
        "user",
        "Hello",
        1000.5,
    )
    assert question.metadata == {"route": "direct", "n": [1, None]}
    assert (answer.id, answer.parent_id, answer.status) == (second, first, "complete")
    assert store.message(second) == answer
    assert store.message("nobody") is None


def test_a_conversation_without_a_title_is_named_after_its_first_question(store: MemoryStore) -> None:
    store.create_conversation("Trip", conversation_id="named")
    store.add_question("named", "Where to?")
    store.add_question("new", "When does the ferry\nleave for the island, and what does it cost for two?")
    store.add_question("new", "And back?")
    titles = {conversation.id: conversation.title for conversation in store.conversations()}
    assert titles == {"named": "Trip", "new": "When does the ferry leave for the island, and…"}


def test_a_question_and_its_empty_answer_are_stored_together(open_store: OpenStore) -> None:
    store = open_store(embedder=WordHashes())
    question, answer = store.add_question("c", "Hello", metadata={"documents": []}, user="ann")
    asked, growing = store.messages("c")
    assert (asked.id, asked.role, asked.text, asked.status, asked.metadata) == (
        question,
        "user",
        "Hello",
        "complete",
        {"documents": []},
    )
    assert (growing.id, growing.parent_id, growing.text, growing.status) == (
        answer,
        question,
        "",
        "streaming",
    )
    edited, _ = store.add_question("c", "Hello!", parent_id=ROOT, user="ann")
    assert texts(store) == ["Hello!", ""]
    assert store.message(edited) is not None
    with pytest.raises(StoreError):
        store.add_question("c", "Mine now", user="bob")
    store.update_message(answer, text="Hi", status="complete")
    store.flush(30)
    assert store.status().pending == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul \x00 inside",
        "half \ud83d pair",
        "emoji 🦭 中文 \u2028",
        'quote " and \' and "; DROP TABLE messages',
        "x" * 2_000_000,
    ],
)
def test_any_text_can_be_stored(store: MemoryStore, text: str) -> None:
    message = store.message(store.add_message("c", "user", text))
    assert message is not None
    assert message.text == text.replace("\ud83d", "?")
    assert store.messages("c") == [message]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (1683554160, 1683554160.0),
        ("2023-05-08T13:56:00+00:00", 1683554160.0),
        ("2023-05-08T13:56:00Z", 1683554160.0),
        ("1683554160", 1683554160.0),
    ],
)
def test_dates_are_understood_as_people_write_them(
    store: MemoryStore, written: float | str, seconds: float
) -> None:
    message = store.message(store.add_message("c", "user", "x", created_at=written))
    assert message is not None
    assert message.created_at == seconds


def test_a_date_in_words_is_that_day(store: MemoryStore) -> None:
    spoken = store.message(store.add_message("c", "user", "x", created_at="1:56 pm on 8 May, 2023"))
    written = store.message(store.add_message("c", "user", "x", created_at="2023-05-08T13:56"))
    assert spoken is not None
    assert written is not None
    assert spoken.created_at == written.created_at


def test_a_date_that_is_none_is_refused_and_nothing_is_stored(store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="'soonish' is not a date"):
        store.add_message("c", "user", "x", created_at="soonish")
    assert store.conversation("c") is None


def test_an_edited_question_is_a_version_beside_the_first_one(store: MemoryStore) -> None:
    question = store.add_message("c", "user", "Who won?")
    answer = store.add_message("c", "assistant", "Ann")
    edited = store.add_message("c", "user", "Who lost?", parent_id=ROOT)
    assert texts(store) == ["Who lost?"]
    store.add_message("c", "assistant", "Bob")
    assert texts(store) == ["Who lost?", "Bob"]
    assert [version.id for version in store.siblings(edited)] == [question, edited]
    store.select_version(question)
    assert texts(store) == ["Who won?", "Ann"]
    assert store.siblings(answer)[0].id == answer
    store.add_message("c", "user", "Thanks")
    assert texts(store) == ["Who won?", "Ann", "Thanks"]


def test_a_retried_answer_is_a_version_and_selecting_it_shows_what_followed(store: MemoryStore) -> None:
    question = store.add_message("c", "user", "q")
    first = store.add_message("c", "assistant", "first", parent_id=question)
    store.add_message("c", "user", "follow-up")
    second = store.add_message("c", "assistant", "second", parent_id=question)
    assert texts(store) == ["q", "second"]
    store.select_version(first)
    assert texts(store) == ["q", "first", "follow-up"]
    store.select_version(second)
    assert texts(store) == ["q", "second"]


def test_an_answer_that_ends_on_a_version_no_longer_shown_does_not_turn_the_page(store: MemoryStore) -> None:
    old = store.add_message("c", "user", "old question")
    new = store.add_message("c", "user", "new question", parent_id=ROOT)
    store.add_message("c", "assistant", "late answer", parent_id=old)
    assert texts(store) == ["new question"]
    store.add_message("c", "assistant", "answer")
    assert texts(store) == ["new question", "answer"]
    assert store.siblings(new)[0].id == old


def test_selecting_a_deep_version_shows_the_way_to_it(store: MemoryStore) -> None:
    store.add_message("c", "user", "a1")
    deep = store.add_message("c", "assistant", "a2")
    store.add_message("c", "user", "b1", parent_id=ROOT)
    store.select_version(deep)
    assert texts(store) == ["a1", "a2"]


def test_a_fork_copies_the_way_to_the_message_and_lives_on_its_own(store: MemoryStore) -> None:
    conversation = store.create_conversation("Trip", user="ann")
    store.add_message(conversation.id, "user", "one", user="ann")
    here = store.add_message(conversation.id, "assistant", "two", user="ann")
    store.add_message(conversation.id, "user", "three", user="ann")
    fork = store.fork_conversation(here)
    store.add_message(fork.id, "user", "other", user="ann")
    assert texts(store, fork.id) == ["one", "two", "other"]
    assert texts(store, conversation.id) == ["one", "two", "three"]
    assert (fork.title, fork.user) == ("Trip", "ann")


def test_a_growing_answer_is_found_once_it_is_complete(store: MemoryStore) -> None:
    answer = store.add_message("c", "assistant", "", status="streaming")
    store.update_message(answer, text="The walrus")
    assert store.recall("walrus") == []
    store.update_message(answer, text="The walrus sleeps", status="complete", metadata={"tokens": 3})
    store.update_message(answer, metadata={"route": "direct"})
    assert [hit.message_id for hit in store.recall("walrus")] == [answer]
    message = store.message(answer)
    assert message is not None
    assert message.metadata == {"tokens": 3, "route": "direct"}


def test_what_was_streaming_when_the_process_ended_is_interrupted_and_found(store: MemoryStore) -> None:
    answer = store.add_message("c", "assistant", "half a walrus", status="streaming")
    assert store.mark_interrupted() == 1
    assert store.mark_interrupted() == 0
    message = store.message(answer)
    assert message is not None
    assert message.status == "interrupted"
    assert store.recall("walrus")[0].message_id == answer


def test_deleting_a_message_joins_what_follows_to_what_came_before(store: MemoryStore) -> None:
    for text in ("one", "two", "three"):
        store.add_message("c", "user", text)
    [_, middle, last] = store.messages("c")
    store.delete_message(middle.id)
    assert texts(store) == ["one", "three"]
    store.delete_message(last.id)
    assert texts(store) == ["one"]
    store.add_message("c", "user", "four")
    assert texts(store) == ["one", "four"]
    with pytest.raises(NotFound, match="may have been deleted"):
        store.delete_message(middle.id)


def test_deleting_the_shown_version_shows_the_newest_other(store: MemoryStore) -> None:
    question = store.add_message("c", "user", "q")
    for text in ("first", "second", "third"):
        store.add_message("c", "assistant", text, parent_id=question)
    store.delete_message(store.messages("c")[-1].id)
    assert texts(store) == ["q", "second"]


def test_a_conversation_of_thousands_of_messages_can_be_read_and_deleted(store: MemoryStore) -> None:
    with store._db.write():  # one transaction: this test is about depth, not about fsync
        for number in range(3000):
            store.add_message("c", "user", f"message {number}")
    assert len(store.messages("c")) == 3000
    store.delete_conversation("c")
    assert store.messages("c") == []
    assert store.status().messages == 0


def test_conversations_are_listed_pinned_first_then_by_last_change(store: MemoryStore) -> None:
    for name in ("a", "b", "c"):
        store.create_conversation(name.upper(), conversation_id=name)
    store.add_message("a", "user", "newest")
    store.pin_conversation("b")
    store.rename_conversation("c", "Renamed")
    listed = store.conversations()
    assert [conversation.id for conversation in listed] == ["b", "a", "c"]
    assert listed[0].pinned
    assert listed[2].title == "Renamed"
    store.pin_conversation("b", False)
    assert store.conversations()[0].id == "a"


def test_an_unknown_conversation_or_message_is_named(store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="'nowhere'"):
        store.rename_conversation("nowhere", "x")
    with pytest.raises(NotFound, match="'nothing'"):
        store.update_message("nothing", text="x")
    with pytest.raises(NotFound, match="'other'"):
        store.add_message("c", "user", "x", parent_id="other")
    with pytest.raises(StoreError, match="already a conversation 'c'"):
        store.create_conversation(conversation_id=store.create_conversation(conversation_id="c").id)


def test_a_message_cannot_enter_another_users_conversation(store: MemoryStore) -> None:
    mine = store.create_conversation("mine", user="ann")
    with pytest.raises(StoreError, match="another user"):
        store.add_message(mine.id, "user", "let me in", user="bob")
    assert store.messages(mine.id) == []


def test_conversations_are_searched_as_one_types(store: MemoryStore) -> None:
    store.create_conversation("Holiday plans", conversation_id="titled")
    said = store.add_message("said", "user", "We could go to Lisbon on holiday, or stay.")
    store.add_message("elsewhere", "user", "holiday", user="bob")
    hits = store.search_conversations("holi")
    assert [hit.conversation.id for hit in hits] == ["titled", "said"]
    assert hits[0].message_id is None
    assert hits[1].message_id == said
    assert "\u2068holiday\u2069" in hits[1].snippet
    assert store.search_conversations('lisbon "NOT (zebra') == []
    assert [hit.conversation.id for hit in store.search_conversations("holiday lis")] == ["said"]
    assert store.search_conversations("  ") == []


def test_many_threads_write_one_conversation_without_losing_or_mixing_anything(store: MemoryStore) -> None:
    failures: list[Exception] = []

    def write(thread: int) -> None:
        try:
            for number in range(20):
                answer = store.add_message("c", "user", f"{thread}:{number}", status="streaming")
                store.update_message(answer, text=f"{thread}:{number} done", status="complete")
                store.recall("done", k=3)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(texts(store)) == sorted(f"{t}:{n} done" for t in range(6) for n in range(20))


def test_a_database_of_a_newer_program_is_refused_with_advice(tmp_path: Path) -> None:
    MemoryStore(tmp_path, embedder=None).close()
    with sqlite3.connect(tmp_path / "memory.sqlite3") as sql:
        (right,) = sql.execute("PRAGMA user_version").fetchone()
        sql.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreError, match=r"newer LocalRLM \(schema 999"):
        MemoryStore(tmp_path, embedder=None)
    with sqlite3.connect(tmp_path / "memory.sqlite3") as sql:  # and the lock was given back
        sql.execute(f"PRAGMA user_version = {right}")
    MemoryStore(tmp_path, embedder=None).close()


def test_a_database_of_an_older_program_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "memory.sqlite3") as sql:
        sql.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
        sql.execute(
            "INSERT INTO documents VALUES (1, 'old', 'local', 'old.txt', 'text', 18, 'x', 0, 17, 5, '[]')"
        )
        sql.execute("INSERT INTO document_texts VALUES (1, 'the walrus sleeps')")
        sql.execute("INSERT INTO chunks VALUES (1, 1, 0, 17, 0, '', 'the walrus sleeps')")
    sql.close()
    with MemoryStore(tmp_path, embedder=None) as store:
        new = store.add_document("new.txt", b"the other walrus swims")
        assert {hit.document_id for hit in store.search_documents("walrus")} == {"old", new.id}
        store.delete_document("old")
        assert [hit.text for hit in store.search_documents("walrus")] == ["the other walrus swims"]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "memory.sqlite3").write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreError, match="is damaged"):
        MemoryStore(tmp_path, embedder=None)


def test_the_status_counts_the_files_while_others_come_and_go(store: MemoryStore) -> None:
    traces, over = store.data_dir / "traces", threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            traces.mkdir()
            for number in range(50):
                (traces / str(number)).touch()
            shutil.rmtree(traces)

    churning = threading.Thread(target=come_and_go)
    churning.start()
    try:
        sizes = {store.status().bytes_on_disk for _ in range(200)}
    finally:
        over.set()
        churning.join()
    database = (store.data_dir / "memory.sqlite3").stat().st_size
    assert min(sizes) >= database
