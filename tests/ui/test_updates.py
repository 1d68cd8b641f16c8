"""What a handler of the page yields reaches the browser whole."""

from __future__ import annotations

import gradio as gr
import pytest
from gradio import utils

from ui.updates import send_whole


@pytest.fixture
def sending_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "diff", utils.diff)
    send_whole()


@pytest.mark.usefixtures("sending_whole")
def test_a_later_update_takes_nothing_away_from_the_one_before_it() -> None:
    running, silent = gr.update(submit_btn=False, stop_btn=True), gr.skip()
    assert utils.diff(running, silent) == [["replace", [], silent]]
    assert utils.diff(running, dict(running)) == []


@pytest.mark.usefixtures("sending_whole")
def test_of_a_growing_answer_only_what_is_new_is_sent() -> None:
    before, after = [{"content": "Verse 1."}], [{"content": "Verse 1. Verse 2."}]
    assert utils.diff(before, after) == [["append", [0, "content"], " Verse 2."]]
