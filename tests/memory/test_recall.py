from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memory_store import MemoryStore, StoreLocked
from memory_store.embedding import EmbedderError
from memory_store.minilm import MiniLM

OpenStore = Callable[..., MemoryStore]


def fill(store: MemoryStore, conversation: str = "c", user: str = "local") -> dict[str, str]:
    """A small chat; returns text → id."""
    said = [
        ("user", "Caroline: I adopted a puppy from the shelter yesterday.", "2023-05-08"),
        ("user", "Melanie: How lovely! What is its name?", "2023-05-08"),
        ("user", "Caroline: Biscuit. He loves the beach.", "2023-05-08"),
        ("user", "Melanie: My budget for the kitchen is 4,200 euros.", "2023-06-19"),
        ("user", "Caroline: The dentist moved my appointment to Friday.", "2023-07-02"),
    ]
    return {
        text: store.add_message(conversation, role, text, created_at=day, user=user)
        for role, text, day in said
    }


def found(store: MemoryStore, query: str, **options: object) -> list[str]:
    return [hit.text for hit in store.recall(query, **options)]  # type: ignore[arg-type]


def test_words_and_numbers_are_found_at_once(store: MemoryStore) -> None:
    ids = fill(store)
    [hit, *_] = store.recall("Who has 4,200 euros for the kitchen?")
    assert hit.message_id == ids["Melanie: My budget for the kitchen is 4,200 euros."]
    assert hit.conversation_id == "c"
    assert hit.role == "user"
    assert 0 < hit.score <= 1


def test_a_name_said_as_an_answer_is_found_by_the_question_before_it(store: MemoryStore) -> None:
    fill(store)
    assert "Caroline: Biscuit. He loves the beach." in found(store, "name of the puppy", k=3)


def test_meaning_finds_what_shares_no_word(knowing_store: MemoryStore) -> None:
    fill(knowing_store)
    knowing_store.flush()
    assert found(knowing_store, "animals at home", k=1) == [
        "Caroline: I adopted a puppy from the shelter yesterday."
    ]
    status = knowing_store.status()
    assert (status.pending, status.problem) == (0, None)
    assert status.embedder.startswith("ready")
    assert status.index.startswith("ready")


def test_meaning_works_at_once_after_reopening(open_store: OpenStore, minilm: MiniLM) -> None:
    first = open_store(embedder=minilm)
    fill(first)
    first.close()  # closing does not wait: what is left continues at the next start
    second = open_store(embedder=minilm)
    second.flush()
    assert found(second, "animals at home", k=1) == [
        "Caroline: I adopted a puppy from the shelter yesterday."
    ]
    second.close()
    third = open_store(embedder=minilm)
    third.flush()
    assert third.status().pending == 0
    assert found(third, "animals at home", k=1) == ["Caroline: I adopted a puppy from the shelter yesterday."]


@pytest.mark.parametrize("words", [True, False])
def test_recall_never_crosses_the_border_between_users(knowing_store: MemoryStore, words: bool) -> None:
    fill(knowing_store, "anns", user="ann")
    knowing_store.add_message("bobs", "user", "I sold my car.", user="bob")
    knowing_store.flush()
    query = "puppy shelter Biscuit budget dentist" if words else "animals at home"
    assert found(knowing_store, query, user="bob", k=20) in ([], ["I sold my car."])
    assert found(knowing_store, query, user="bob", k=20, conversation_id="anns") == []
    assert found(knowing_store, query, user="nobody", k=20) == []
    assert len(found(knowing_store, query, user="ann", k=20)) >= 3


def test_recall_can_be_narrowed_to_a_conversation(knowing_store: MemoryStore) -> None:
    fill(knowing_store, "one")
    fill(knowing_store, "two")
    knowing_store.flush()
    hits = knowing_store.recall("puppy", k=20, conversation_id="two")
    assert hits
    assert {hit.conversation_id for hit in hits} == {"two"}


def test_a_weak_match_is_found_in_its_conversation_however_many_better_ones_lie_elsewhere(
    store: MemoryStore,
) -> None:
    with store._db.write():  # one transaction: this test is about ranking, not about fsync
        for number in range(1100):
            store.add_message("a", "user", "walrus", created_at=float(number) * 1e5)
        weak = store.add_message("b", "user", "one walrus " + "and many other words " * 50)
        store.add_message("c", "user", "walrus", user="bob")
    assert [hit.message_id for hit in store.recall("walrus", conversation_id="b")] == [weak]
    assert len(store.recall("walrus", k=200, user="bob")) == 1
    assert len(store.recall("walrus", k=200)) == 100


@pytest.mark.parametrize("embedded", [False, True])
def test_time_and_speaker_narrow_recall(open_store: OpenStore, minilm: MiniLM, embedded: bool) -> None:
    store = open_store(embedder=minilm if embedded else None)
    fill(store)
    store.flush()
    query = "puppy Biscuit budget dentist name kitchen"
    assert found(store, query, since="2023-07-01") == [
        "Caroline: The dentist moved my appointment to Friday."
    ]
    assert len(found(store, query, until="2023-06-01", k=9)) == 3
    assert all(text.startswith("Melanie:") for text in found(store, query, speaker="melanie", k=9))
    assert len(found(store, query, speaker="melanie", k=9)) == 2
    store.add_message("c", "Zoe", "The budget is too small.")
    assert found(store, "budget", speaker="zoe") == ["The budget is too small."]


def test_a_month_in_the_question_finds_what_was_said_then(store: MemoryStore) -> None:
    fill(store)
    assert found(store, "What did Caroline say in July?", k=1) == [
        "Caroline: The dentist moved my appointment to Friday."
    ]
    assert found(store, "What was there in May?", k=1)[0].startswith(
        ("Caroline: I adopted", "Melanie: How", "Caroline: Bis")
    )


def test_a_role_that_names_the_speaker_is_searchable(store: MemoryStore) -> None:
    store.add_message("c", "Caroline", "I like tea.", created_at=1e9)
    store.add_message("c", "Melanie", "I like tea.", created_at=2e9)
    assert store.recall("Does Melanie like tea?", k=1)[0].role == "Melanie"


@pytest.mark.parametrize("embedded", [False, True])
def test_messages_in_the_prompt_are_left_out(open_store: OpenStore, minilm: MiniLM, embedded: bool) -> None:
    store = open_store(embedder=minilm if embedded else None)
    ids = fill(store)
    store.flush()
    hits = store.recall("puppy", k=20, exclude=set(ids.values()))
    assert hits == []
    [first, *_] = ids.values()
    assert first not in {hit.message_id for hit in store.recall("puppy", k=20, exclude=[first])}


def test_neighbours_come_with_a_hit(store: MemoryStore) -> None:
    fill(store)
    [hit] = store.recall("kitchen budget euros", k=1, neighbours=2)
    assert [message.text[:8] for message in hit.before] == ["Melanie:", "Caroline"]
    assert [message.text for message in hit.after] == [
        "Caroline: The dentist moved my appointment to Friday."
    ]


def test_of_several_versions_of_an_answer_one_is_recalled(store: MemoryStore) -> None:
    question = store.add_message("c", "user", "Where do walruses live?")
    for text in ("Walruses live in the Arctic.", "Walruses live on Arctic ice."):
        store.add_message("c", "assistant", text, parent_id=question)
    assert len(store.recall("walruses arctic", k=10)) == 2  # the question and one answer


def test_a_changed_message_is_found_by_its_new_meaning_only(knowing_store: MemoryStore) -> None:
    message = knowing_store.add_message("c", "user", "My favourite fruit is the banana.")
    knowing_store.add_message("c", "user", "The invoice is overdue.")
    knowing_store.flush()
    knowing_store.update_message(message, text="My bicycle has a flat tyre.")
    knowing_store.flush()
    assert found(knowing_store, "cycling trouble", k=1) == ["My bicycle has a flat tyre."]
    assert not any("banana" in text for text in found(knowing_store, "banana", k=9))


@pytest.mark.parametrize(
    "query", ["", "   ", "?!", '"', "NEAR(a b)", "a AND", "*", "text:x", "x" * 100_000, "\x00", "中文"]
)
def test_odd_questions_do_not_break_recall(knowing_store: MemoryStore, query: str) -> None:
    fill(knowing_store)
    knowing_store.flush()
    assert isinstance(knowing_store.recall(query), list)
    assert isinstance(knowing_store.search_documents(query), list)
    assert isinstance(knowing_store.search_conversations(query), list)


def test_long_messages_are_embedded_whole(minilm: MiniLM) -> None:
    filler = "The weather report was read out again. " * 60
    [end, filler_only, target] = minilm.embed(
        [filler + "A volcano erupted in Iceland.", filler, "volcano eruption"]
    )
    assert float(end @ target) > float(filler_only @ target) + 0.05


def test_a_model_that_cannot_be_loaded_leaves_recall_by_words_and_says_so(open_store: OpenStore) -> None:
    class Broken:
        name = "broken"

        def count_tokens(self, texts: list[str]) -> list[int]:
            return [len(text) for text in texts]

        def load(self) -> None:
            raise EmbedderError("The embedding model is not there. Install it.")

        def embed(self, texts: list[str]) -> object:
            raise AssertionError("never loaded")

    store = open_store(embedder=Broken())
    fill(store)
    store.flush(timeout=30)
    assert found(store, "puppy", k=1) == ["Caroline: I adopted a puppy from the shelter yesterday."]
    status = store.status()
    assert status.problem == "The embedding model is not there. Install it."
    assert "words only" in status.embedder
    assert status.pending == 5


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    model = MiniLM(tmp_path)
    with pytest.raises(EmbedderError, match=r"requirements-models\.txt"):
        model.load()
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(EmbedderError, match="not the published ones"):
        model.load()


def test_another_model_embeds_everything_again(open_store: OpenStore, minilm: MiniLM) -> None:
    class Renamed:
        name = "another-model"

        def count_tokens(self, texts: list[str]) -> object:
            return minilm.count_tokens(texts)

        def load(self) -> None:
            pass

        def embed(self, texts: list[str]) -> object:
            return minilm.embed(texts)[:, ::-1].copy()[:, :100] * 2  # other vectors, another dimension

    first = open_store(embedder=minilm)
    fill(first)
    first.flush()
    first.close()
    second = open_store(embedder=Renamed())
    second.flush()
    assert second.status().pending == 0
    assert second.status().index == "ready (Chroma)"
    assert found(second, "animals at home", k=1) == [
        "Caroline: I adopted a puppy from the shelter yesterday."
    ]


def test_a_second_process_is_told_who_has_the_folder(store: MemoryStore) -> None:
    import os
    import subprocess
    import sys

    code = f"from memory_store import MemoryStore; MemoryStore({str(store.data_dir)!r}, embedder=None)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert "StoreLocked" in other.stderr
    assert f"already open in another process (number {os.getpid()})" in other.stderr
    with pytest.raises(StoreLocked):
        MemoryStore(store.data_dir, embedder=None)


def test_importing_the_package_is_quick() -> None:
    import subprocess
    import sys

    code = "import sys, memory_store; memory_store.MemoryStore; print([m for m in ('torch', 'chromadb', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_half_a_character_in_a_question_does_not_stop_the_search(knowing_store: MemoryStore) -> None:
    question = "Where does the \ud83d walrus sleep?"
    knowing_store.add_message("c", "user", question)
    knowing_store.add_document("zoo.txt", b"The walrus sleeps on the ice.")
    knowing_store.flush(60)
    knowing_store.expect(question)
    assert [hit.text for hit in knowing_store.recall(question)] == ["Where does the ? walrus sleep?"]
    assert [hit.text for hit in knowing_store.search_documents(question)] == ["The walrus sleeps on the ice."]
    assert knowing_store.search_conversations("walrus \ud83d")
