"""Forgetting reaches the traces as well as the store."""

from pathlib import Path

from rlm_core import RLMEngine, Settings
from rlm_core.trace import trace_path, traces_dir


async def test_the_traces_of_all_versions_of_an_answer_go_with_the_conversation(tmp_path: Path) -> None:
    engine = RLMEngine(Settings(backend="embedded"), data_dir=tmp_path)
    question = engine.store.add_message("c", "user", "Which is it?")
    answers = [
        engine.store.add_message("c", "assistant", text, parent_id=question) for text in ("this", "that")
    ]
    kept = engine.store.add_message("other", "assistant", "stays")
    traces_dir(tmp_path).mkdir()
    for message_id in (*answers, kept):
        trace_path(tmp_path, message_id).write_text("{}\n")

    await engine.forget_conversation("c")

    assert [path.stem for path in traces_dir(tmp_path).iterdir()] == [kept]
    assert engine.store.conversation("c") is None
    await engine.erase_everything()
    assert not traces_dir(tmp_path).exists()
    assert engine.store.conversations() == []
    await engine.close()
