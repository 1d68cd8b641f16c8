"""Sidebar, documents, meter, settings form, exports, words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory_store.records import ConversationHit, Section
from rlm_core.backends.base import ModelInfo
from rlm_core.errors import SettingsError
from rlm_core.results import Citation
from rlm_core.security.accounts import Key
from rlm_core.settings import Settings
from tests.ui.records import conversation, document, message
from ui.documents_view import Upload, excerpt, found, highlight, inside, shelf, uploads
from ui.exports import as_json, as_markdown, file_name
from ui.home import NOTHING_NEW, Person, State
from ui.html import block, marked
from ui.marks import Marks
from ui.meter import Load, meter
from ui.models_view import window_cost
from ui.network import home_network
from ui.passage_view import passage_panel
from ui.settings_form import FIELDS, change, value_of
from ui.sidebar import conversation_list, search_results
from ui.words import ago, cut, duration, shortened, size

DAY = 86_400.0


def test_conversations_stand_under_pinned_and_their_age() -> None:
    now = 100 * DAY + 43_200
    html = conversation_list(
        [conversation("A", pinned=True, at=now, number=1), conversation("B", at=now, number=2), conversation("C", at=now - DAY, number=3)],
        "c2", running={"c3"}, now=now,
    )  # fmt: skip
    assert html.index("Pinned") < html.index("Today") < html.index("Yesterday")
    assert '<li class="current">' in html
    assert html.count("spinner") == 1
    assert html.count("<ul") == html.count("</ul>")


def test_titles_and_snippets_are_escaped_and_hits_are_marked() -> None:
    known = conversation("<i>x</i>")
    html = search_results([ConversationHit(known, "m", "a <b> \u2068lamp\u2069 c")], "lamp")
    assert "<mark>lamp</mark>" in html
    assert "<i>" not in html
    assert "a <b>" not in html
    assert marked("\u2068<\u2069") == "<mark>&lt;</mark>"


def test_a_passage_stands_highlighted_in_its_surroundings() -> None:
    text = "a" * 3000 + "THE FACT" + "b" * 3000
    html = passage_panel(Citation(1, "x.txt", 3000, 3008, "THE FACT", "d1", "page 2"), text)
    assert "<mark>THE FACT</mark>" in html
    assert "aaa<mark>" in html
    assert len(html) < 4000


def test_a_passage_of_a_deleted_document_is_shown_as_it_was_cited() -> None:
    assert "<mark>THE FACT</mark>" in passage_panel(Citation(1, "x.txt", 3000, 3008, "THE FACT", "d1"), None)


def test_each_file_of_an_upload_has_its_own_line_and_error() -> None:
    html = uploads(
        [Upload("a.txt", "reading", 0.5), Upload("b.txt", error="b.txt is empty."), Upload("c.txt")]
    )
    assert html.count("<li") == 3
    assert "b.txt is empty." in html
    assert 'value="50"' in html


def test_a_document_shows_its_outline_and_escaped_text() -> None:
    text = "# One\n\n<script>x</script>\n\n## Two\n"
    sections = (Section("heading", "One", 0, 20, 1), Section("heading", "Two", 27, len(text), 2))
    html = inside(document("a.md", text, sections), text, False)
    assert "do-docs-inspect id-d1 n-27" in html
    assert "<script>" not in html
    assert "a.md" in shelf([document("a.md", text)], ["d1"])


def test_of_a_long_document_only_the_piece_around_the_passage_is_shown_with_ways_to_read_on() -> None:
    text = "a" * 5_000_000 + "THE FACT" + "b" * 5_000_000
    known = document("a.txt", text)
    html = inside(known, text, False, 5_000_000, 5_000_008)
    assert 'a<span class="here"><mark>THE FACT</mark></span>b' in html
    assert len(html) < 70_000
    assert 'n-4970000">Read what comes before<' in html
    assert 'n-5030000">Read on<' in html
    beginning, end = inside(known, text, False), inside(known, text, False, len(text))
    assert "Read on" in beginning
    assert "comes before" not in beginning
    assert "Read on" not in end
    assert "comes before" in end


@pytest.mark.parametrize(
    ("start", "end"), [(10, 30), (30, 40), (21, 0), (10, 10**30)], ids=["half", "beyond", "place", "huge"]
)
def test_a_place_that_the_document_does_not_have_opens_its_beginning_and_says_so(
    start: int, end: int
) -> None:
    html = inside(document("a.txt", "x" * 20), "x" * 20, False, start, end)
    assert "not at its place" in html
    assert "<mark>" not in html
    assert f'n-{start} to-{end} id-d1"' in html  # what the page waits for


def test_a_passage_is_offered_in_its_document_as_far_as_there_is_one() -> None:
    text = "0123456789"
    there, moved, nowhere = (
        Citation(1, "x", a, b, "x", d) for a, b, d in ((2, 4, "d1"), (2, 40, "d1"), (2, 4, None))
    )
    assert "do-docs-inspect id-d1 n-2 to-4" in passage_panel(there, text)
    assert 'do-docs-inspect id-d1"' in passage_panel(moved, text)
    assert "the document has changed" in passage_panel(moved, text)
    assert "do-docs-inspect" not in passage_panel(nowhere, text)
    assert "do-docs-inspect" not in passage_panel(there, None)


def test_the_outline_of_a_long_document_is_closed_so_that_its_text_is_in_sight() -> None:
    text = "".join(f"page {number}\n" for number in range(100, 160))
    pages = tuple(Section("page", line, 9 * n, 9 * n + 9, 1) for n, line in enumerate(text.splitlines()))
    opened = '<details class="fold outline key-outline-d1" open>'
    assert opened in inside(document("a.pdf", text, pages[:40]), text, False)
    assert opened not in inside(document("a.pdf", text, pages), text, False)


def test_found_words_are_highlighted_whatever_their_case() -> None:
    assert highlight("The Lamp and the lamps", "lamp") == "The \u2068Lamp\u2069 and the \u2068lamp\u2069s"
    assert "Nothing in your documents" in found([], "x")


def test_of_a_found_passage_a_few_lines_around_the_first_hit_are_shown() -> None:
    assert excerpt(highlight("a short\n\nlamp", "lamp")) == "a short \u2068lamp\u2069"
    shown = excerpt(highlight("wick " * 200 + "the lamp " * 200, "lamp"))
    assert shown.startswith("…wick wick")
    assert shown.endswith("…")
    assert "\u2068lamp\u2069" in shown
    assert len(shown) < 400
    cut = excerpt(highlight("lamp and " * 45, "lamp and"))
    assert cut.count("\u2068") == cut.count("\u2069")
    assert excerpt("no hit " * 100).startswith("no hit")


def test_the_meter_is_silent_without_anything_to_carry_and_warns_when_it_is_too_much() -> None:
    assert meter(Load(0, 0, 8192), "auto") == ""
    assert "notice" not in meter(Load(2000, 100, 8192), "direct")
    assert "It will be read in pieces." in meter(Load(66_000, 0, 8192), "auto")
    assert "do-chat-mode id-recursive" in meter(Load(66_000, 0, 8192), "direct")
    assert "do-chat-mode id-recursive" in meter(Load(66_000, 0, 8192), "auto", recursive_on=False)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_the_form_is_a_setting_and_has_its_sentence_of_help(name: str) -> None:
    settings = Settings()
    assert change(settings, name, value_of(settings, name)) == settings
    assert FIELDS[name].help.endswith((".", "2h"))


def test_a_field_that_is_emptied_means_none_and_a_bad_value_names_the_field() -> None:
    assert change(Settings(base_url="http://x"), "base_url", " ").base_url is None
    assert change(Settings(), "limits.max_tokens", 9000.0).limits.max_tokens == 9000
    with pytest.raises(SettingsError, match=r"limits.max_depth"):
        change(Settings(), "limits.max_depth", 99)


def test_a_secret_is_never_shown_and_an_empty_field_leaves_it() -> None:
    known = Settings(api_key="sk-very-secret")
    assert value_of(known, "api_key") == ""
    assert change(known, "api_key", "").api_key == "sk-very-secret"
    assert change(known, "api_key", "new").api_key == "new"
    assert change(known, "api_key", "-").api_key is None


def test_a_conversation_is_exported_with_its_sources() -> None:
    citation = {"number": 1, "document": "a.md", "start": 0, "end": 3, "text": "abc", "place": "line 1"}
    path = [message("user", "Why?"), message("assistant", "So [1].", citations=[citation])]
    text = as_markdown(conversation("Lamps"), path)
    assert text.startswith("# Lamps")
    assert "- [1] a.md, line 1: “abc”" in text
    assert json.loads(as_json(conversation("Lamps"), path))["messages"][1]["metadata"]["citations"] == [
        citation
    ]
    assert file_name(conversation("Größe / Lampen?"), "md") == "gr-e-lampen.md"


def test_numbers_read_well() -> None:
    assert [size(812), size(5_200_000), size(None)] == ["812 B", "5.2 MB", "size unknown"]
    assert [duration(0.42), duration(41.2), duration(185)] == ["0.4 s", "41 s", "3 min 5 s"]
    assert ago(1000.0, now=1030.0) == "just now"
    assert shortened("a  b\nc", 4) == "a b…"
    assert "characters not shown" in cut("x" * 5000, 300)


def test_the_window_says_what_it_costs_and_is_silent_about_a_model_it_does_not_know() -> None:
    known = ModelInfo("qwen3:8b", 5_200_000_000, parameters="8.2B")
    assert window_cost([known], Settings()).startswith("A context window of 8,192 tokens takes about 1.2 GB")
    assert "2.4 GB" in window_cost([known], Settings(num_ctx=16_384))
    assert window_cost([ModelInfo("qwen3:8b", parameters="?")], Settings()) == ""
    assert window_cost([], Settings()) == ""


def test_a_document_has_a_switch_for_this_chat_and_one_for_all() -> None:
    html = shelf([document("a.md", "x")], in_use=["d1"], everywhere=[], passing=["d1"])
    assert (
        'do-docs-unuse id-d1" title="In this chat: a.md" aria-label="In this chat: a.md" aria-pressed="true"'
        in html
    )
    assert 'do-docs-everywhere id-d1" title="In all chats: a.md"' in html
    assert ">incognito</span>" in html


def test_marks_outlive_the_app_and_a_damaged_note_of_them_is_no_obstacle(tmp_path: Path) -> None:
    note = tmp_path / "page.json"
    marks = Marks(note)
    marks.use_everywhere("d1", "local", True)
    marks.use_everywhere("d2", "anna", True)
    marks.passes("d3")
    marks.passes("d4")
    marks.stays(["d4"])
    again = Marks(note)
    assert again.everywhere("local") == ("d1",)
    assert again.passing == {"d3"}
    again.use_everywhere("d1", "local", False)
    assert Marks(note).everywhere("local") == ()
    note.write_text("[")
    assert Marks(note).everywhere("anna") == ()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\n\r", "\n\r"])
def test_no_kind_of_line_end_leads_out_of_html_into_markdown(end: str) -> None:
    label = f"mine{end}{end}[Click here](javascript:alert(1)){end}<img src=x>"
    anna = Person("anna", owner=False, sessions=(), keys=(Key("k1", "anna", label, 0.0, None),))
    html = home_network(State(True, False, ("http://192.168.7.9:8000",), (anna,), ""), NOTHING_NEW)
    assert len(html.splitlines()) == 1
    assert "<img" not in html
    assert block(f"<pre>a{end}b</pre>").count("&#10;") == len(f"a{end}b".splitlines()) - 1
