from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from memory_store import DocumentError, MemoryStore, NotFound
from memory_store.loaders import plain
from memory_store.loaders.host import load_file
from memory_store.loaders.limits import LoadLimits
from memory_store.minilm import MiniLM
from tests.memory import samples

OpenStore = Callable[..., MemoryStore]

PLANTED = "The purple walrus signed the treaty in Lisbon."
GERMAN = "Größe über Straßen für Mädchen und Jungen in München. " * 10
JAPANESE = "これは日本語の文章です。今日は天気がいいですね。" * 10


def csv_file(sentence: str) -> bytes:
    return f"id,note\n1,hello\n2,{sentence}\n".encode()


FILES: list[tuple[str, bytes, str, str]] = [
    ("report.pdf", samples.pdf(["First page.", "Second page.", PLANTED]), "pdf", "page 3"),
    ("lease.docx", samples.docx(PLANTED), "docx", "Termination"),
    ("talk.pptx", samples.pptx(PLANTED), "pptx", "slide 2"),
    ("book.xlsx", samples.xlsx(PLANTED), "xlsx", "sheet Orders, row 7"),
    ("tales.epub", samples.epub(PLANTED), "epub", "The Storm"),
    ("note.eml", samples.mail(PLANTED), "email", "The boat"),
    ("list.csv", csv_file(PLANTED), "csv", "row 3"),
    ("list.tsv", f'id\tnote\n1\t"two\nlines"\n2\t{PLANTED}\n'.encode(), "csv", "row 3"),
    (
        "page.html",
        f"<html><head><script>PLANT()</script></head><body><h1>Top</h1><p>x</p><h2>Sub</h2><p>{PLANTED}</p></body></html>".encode(),
        "html",
        "Sub",
    ),
    ("notes.md", f"# One\nx\n```\n# no heading\n```\n## Two\n{PLANTED}\n".encode(), "markdown", "Two"),
    ("data.json", f'{{"facts": ["{PLANTED}"]}}'.encode(), "json", "line 1"),
    ("data.jsonl", f'{{"a": 1}}\n{{"a": "{PLANTED}"}}\n'.encode(), "json", "line 2"),
    ("code.py", f"def treaty():\n    # {PLANTED}\n    return 1\n".encode(), "text", "line 2"),
    ("utf16.txt", f"Grüße\r\n{PLANTED}".encode("utf-16"), "text", "line 2"),
    ("latin1.txt", f"{GERMAN}\n{PLANTED}".encode("latin-1"), "text", "line 2"),
    ("cp1252.txt", f"“{GERMAN}” – €\n{PLANTED}".encode("cp1252"), "text", "line 2"),
    ("sjis.txt", f"{JAPANESE}\n{PLANTED}".encode("shift-jis"), "text", "line 2"),
    ("really_a_pdf.txt", samples.pdf([PLANTED]), "pdf", "page 1"),
]


@pytest.mark.parametrize(("name", "data", "kind", "place"), FILES, ids=[name for name, *_ in FILES])
def test_a_planted_sentence_is_found_and_cited_with_its_place(
    store: MemoryStore, name: str, data: bytes, kind: str, place: str
) -> None:
    document = store.add_document(name, data)
    assert (document.name, document.kind, document.size, document.status) == (
        name,
        kind,
        len(data),
        "searchable",
    )
    [passage, *_] = store.search_documents("Who signed the treaty with a walrus?")
    assert PLANTED in passage.text
    assert passage.text == document.text[passage.start : passage.end]
    assert (passage.document_id, passage.document_name, passage.place) == (document.id, name, place)
    assert store.place(document.id, document.text.index(PLANTED)) == place


@pytest.mark.parametrize(
    ("own", "encoding", "text"),
    [
        ("utf-8", "cp1252", "café crème"),
        ("utf-8", "cp1252", "El señor Muñoz compró una cañería en Logroño. Costó 5 €."),
        ("utf-8", "cp1252", "Nome;Município;Preço\nJoão;São Paulo;12\nConceição;Maceió;15\n"),
        ("utf-8", "cp1252", "Årets största fråga är hur många som får plats."),
        ("utf-8", "cp1252", "Blåbærsyltetøy på brødskive, så går vi på ski."),
        ("utf-8", "cp1250", "Łódź to miasto w Polsce."),
        ("utf-8", "cp1251", "Привет, как дела? Это документ."),
        ("cp1250", "cp1250", "Árvíztűrő tükörfúrógép."),
        ("cp1252", "cp1252", "Årets största fråga"),
    ],
)
def test_what_windows_programs_write_in_their_old_encodings_is_read(
    own: str, encoding: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain.locale, "getencoding", lambda: own)
    assert plain.decode(text.encode(encoding)) == text


def test_letters_survive_every_encoding(store: MemoryStore) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        assert store.add_document(f"{encoding}.txt", GERMAN.encode(encoding)).text.startswith(
            "Größe über Straßen"
        )
    assert store.add_document("sjis.txt", JAPANESE.encode("shift-jis")).text == JAPANESE


def test_scripts_styles_and_hidden_parts_of_a_page_are_not_read(store: MemoryStore) -> None:
    page = b"<html><style>p{}</style><body><p>Seen</p><p hidden>unseen</p><script>alert(1)</script><ul><li>a<li>b</ul></body>"
    assert store.add_document("p.html", page).text.split() == ["Seen", "-", "a", "-", "b"]


def test_tables_are_typed_and_numbers_that_are_names_keep_their_zeros(store: MemoryStore) -> None:
    text = "article,count,price,paid on,note\n007,3,1.50,2024-05-01,a\n008,,2,2024-05-02,\n010,N/A,1e3,,c\n"
    [table] = store.add_document("my orders.csv", text.encode()).tables
    assert table.name == "my_orders"
    assert table.columns == (
        ("article", "TEXT"),
        ("count", "INTEGER"),
        ("price", "REAL"),
        ("paid on", "TEXT"),
        ("note", "TEXT"),
    )
    assert list(table.rows) == [
        ("007", 3, 1.5, "2024-05-01", "a"),
        ("008", None, 2.0, "2024-05-02", None),
        ("010", None, 1000.0, None, "c"),
    ]


def test_amounts_with_a_decimal_comma_marked_thousands_or_a_currency_are_numbers(store: MemoryStore) -> None:
    text = (
        "Betrag;total;Preis;number;mixed;version\n"
        "2.371,37;1,234.50;12,50 €;1.234.567;12 €;1.2.3\n"
        "-17,05;12;3 €;-;5 $;1.10\n"
        ";n/a;;2.000;;2\n"
    )
    [table] = store.add_document("rechnungen.csv", text.encode()).tables
    assert [kind for _, kind in table.columns] == ["REAL", "REAL", "REAL", "INTEGER", "TEXT", "TEXT"]
    assert list(table.rows) == [
        (2371.37, 1234.5, 12.5, 1234567, "12 €", "1.2.3"),
        (-17.05, 12.0, 3.0, None, "5 $", "1.10"),
        (None, None, None, 2000, None, "2"),
    ]


def test_a_csv_with_semicolons_and_clumsy_headers_becomes_a_table(store: MemoryStore) -> None:
    [table] = store.add_document("x.csv", b"Name;name;;2\nAnn;Bob;3;4\nEve;Dan;5;6\n").tables
    assert [name for name, _ in table.columns] == ["Name", "name_2", "column_3", "2"]
    assert list(table.rows) == [("Ann", "Bob", 3, 4), ("Eve", "Dan", 5, 6)]


def test_every_sheet_is_a_table_and_no_two_tables_share_a_name(store: MemoryStore) -> None:
    book = store.add_document("book.xlsx", samples.xlsx(PLANTED))
    other = store.add_document("orders.csv", b"a,b\n1,2\n")
    tables = store.tables([book.id, other.id])
    assert [table.name for table in tables] == ["Summary", "Orders", "orders_2"]
    assert tables[0].columns == (("year", "INTEGER"), ("total", "REAL"))
    assert tables[1].columns == (
        ("article", "TEXT"),
        ("amount", "INTEGER"),
        ("day", "TEXT"),
        ("remark", "TEXT"),
    )
    assert list(tables[1].rows)[-1] == ("0007", 70, "2024-05-07", PLANTED)
    assert tables[2].document_id == other.id


def test_the_same_bytes_are_stored_once_for_each_user(store: MemoryStore) -> None:
    first = store.add_document("a.txt", b"same content")
    assert store.add_document("b.txt", b"same content").id == first.id
    assert store.add_document("a.txt", b"same content", user="bob").id != first.id
    assert [document.name for document in store.documents()] == ["a.txt"]


def test_documents_of_another_user_are_not_found(knowing_store: MemoryStore) -> None:
    secret = knowing_store.add_document("secret.txt", b"The vault opens with the number 4711.", user="ann")
    knowing_store.flush()
    assert knowing_store.search_documents("vault number") == []
    assert knowing_store.search_documents("safe combination", document_ids=[secret.id]) == []
    assert knowing_store.documents() == []
    assert knowing_store.search_documents("safe combination", user="ann")[0].document_id == secret.id


def test_search_can_be_narrowed_to_documents(knowing_store: MemoryStore) -> None:
    one = knowing_store.add_document("one.txt", b"The lease ends in May.")
    two = knowing_store.add_document("two.txt", b"The lease ends in June.")
    knowing_store.flush()
    assert {p.document_id for p in knowing_store.search_documents("lease ends")} == {one.id, two.id}
    assert {p.document_id for p in knowing_store.search_documents("lease ends", document_ids=[two.id])} == {
        two.id
    }
    assert knowing_store.search_documents("lease ends", document_ids=[]) == []


def test_meaning_finds_a_passage_and_the_status_says_when(knowing_store: MemoryStore) -> None:
    chapters = [
        f"## Chapter {n}\n\n{line * 30}"
        for n, line in enumerate(["Ships sail the sea. ", "Bread is baked. "])
    ]
    document = knowing_store.add_document("book.md", "\n\n".join(chapters).encode())
    knowing_store.flush()
    refreshed = knowing_store.document(document.id)
    assert refreshed is not None
    assert refreshed.status == "embedded"
    assert knowing_store.search_documents("boats on the ocean", k=1)[0].place == "Chapter 0"


def test_passages_hold_every_word_and_fit_the_model(
    store: MemoryStore, minilm: MiniLM, open_store: OpenStore
) -> None:
    measured = open_store("measured", embedder=minilm)
    prose = " ".join(f"Sentence number {n} is about the topic {n % 7}." for n in range(2000))
    digits = "\n".join(",".join(str(n * 7919 + k) for k in range(12)) for n in range(400))
    chinese = "今天天气很好我们去公园散步吧。" * 300
    for name, text in (("prose", prose), ("digits", digits), ("chinese", chinese)):
        document = measured.add_document(f"{name}.txt", text.encode())
        with measured._db.read() as sql:
            rows = sql.execute(
                "SELECT c.* FROM chunks c JOIN documents d ON d.seq = c.document WHERE d.id = ? ORDER BY start",
                (document.id,),
            ).fetchall()
        assert "".join("".join(row["text"].split()) for row in rows) == "".join(text.split())
        sizes = minilm.count_tokens([row["text"] for row in rows])
        assert max(sizes) <= 256, name
        assert sum(sizes) / len(sizes) > 100, name


def test_progress_is_told_and_ends_at_one(store: MemoryStore) -> None:
    told: list[tuple[str, float]] = []
    store.add_document(
        "long.pdf", samples.pdf([f"Page {n}" for n in range(60)]), progress=lambda *step: told.append(step)
    )
    assert ("Reading page 21 of 60", pytest.approx(0.7 * 20 / 60, abs=0.01)) in told
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1] == ("long.pdf can be searched", 1.0)


def test_a_folder_is_added_and_a_failing_file_fails_alone(store: MemoryStore, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "a.md").write_text("# A\nalpha")
    (folder / "deep" / "b.txt").write_text("beta")
    (folder / "empty.txt").touch()
    (folder / ".git" / "config").write_text("hidden")
    added = store.add_files([folder, tmp_path / "missing.txt"])
    assert [(item.name, item.error) for item in added] == [
        ("notes/a.md", None),
        ("notes/deep/b.txt", None),
        ("notes/empty.txt", "notes/empty.txt is empty."),
        ("missing.txt", "missing.txt is not a file."),
    ]
    assert {document.name for document in store.documents()} == {"notes/a.md", "notes/deep/b.txt"}


def test_a_name_cannot_lead_out_of_the_folder(store: MemoryStore) -> None:
    names = ["../../etc/passwd", "/tmp/upload/x.txt", "C:\\Users\\me\\y.txt", "a/../b.txt", ""]
    stored = [store.add_document(name, f"text {n}".encode()).name for n, name in enumerate(names)]
    assert stored == ["etc/passwd", "x.txt", "y.txt", "a/b.txt", "document"]


def zip_with(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, "hi")
    return out.getvalue()


HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty.txt", b"", "is empty"),
    ("blank.txt", b" \n\t ", "no text in it"),
    ("scan.pdf", samples.pdf(["", ""]), "only pictures of pages"),
    ("binary.txt", bytes(range(256)) * 100, "not text"),
    ("picture.txt", b"\x89PNG\r\n\x1a\n" + b"0" * 100, "is a picture"),
    ("program.csv", b"\x7fELF" + bytes(1000), "is a program"),
    ("cut.docx", samples.docx(PLANTED)[:5000], "damaged or incomplete"),
    ("cut.pdf", samples.pdf([PLANTED] * 50)[:700], "damaged or incomplete"),
    ("hello.pdf", b"hello there", "is no PDF"),
    ("hello.xlsx", b"hello there", "is no Excel file"),
    ("bomb.docx", samples.zip_bomb(), "ZIP bomb"),
    ("things.zip", zip_with("a.txt"), "ZIP archive"),
    ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
    ("broken.docx", zip_with("word/document.xml"), "could not be read"),
    ("broken.xlsx", zip_with("xl/workbook.xml"), "could not be read"),
    ("broken.pptx", zip_with("ppt/presentation.xml"), "could not be read"),
    ("broken.epub", zip_with("META-INF/container.xml"), "table of contents is missing"),
]


@pytest.mark.parametrize(("name", "data", "sentence"), HOSTILE, ids=[name for name, *_ in HOSTILE])
def test_a_hostile_file_gets_one_sentence_and_nothing_is_stored(
    store: MemoryStore, name: str, data: bytes, sentence: str
) -> None:
    with pytest.raises(DocumentError, match=sentence) as problem:
        store.add_document(name, data)
    assert str(problem.value).startswith(name)
    assert "Traceback" not in str(problem.value)
    assert "\n" not in str(problem.value)
    assert store.documents() == []


def test_a_huge_sparse_file_is_refused_without_reading_it(store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)
    with pytest.raises(DocumentError, match="too large: 2,048 MB"):
        store.add_document("huge.txt", path)


def test_deeply_nested_files_are_read_or_refused_but_never_crash(store: MemoryStore) -> None:
    assert "bottom" in store.add_document("deep.html", b"<div>" * 20_000 + b"bottom").text
    assert store.add_document("deep.json", b"[" * 100_000).characters == 100_000


def test_a_page_of_ten_thousand_is_cited(store: MemoryStore) -> None:
    data = samples.pdf([f"Page text {n}" for n in range(9_999)] + [PLANTED])
    document = store.add_document("thick.pdf", data)
    assert store.search_documents("purple walrus", k=1)[0].place == "page 10000"
    assert len(document.sections) == 10_000


def test_a_parser_that_hangs_is_stopped() -> None:
    data = samples.pdf([f"Page {n} " * 10 for n in range(20_000)])
    with pytest.raises(DocumentError, match=r"thick\.pdf could not be read within 0\.5 seconds"):
        load_file("thick.pdf", data, LoadLimits(seconds=0.5))


@pytest.mark.skipif(os.name == "nt", reason="the job object's limit is reported with another status")
def test_a_parser_that_wants_too_much_memory_is_stopped() -> None:
    rows = b"x,y\n" + b"1,2\n" * 3_000_000
    with pytest.raises(DocumentError, match="memory"):
        load_file("many.csv", rows, LoadLimits(memory_bytes=400 * 1024 * 1024, cells=100_000_000))


def test_more_text_or_cells_than_allowed_is_a_sentence() -> None:
    with pytest.raises(DocumentError, match="more than 1,000 characters"):
        load_file("long.txt", b"word " * 1000, LoadLimits(characters=1000))
    with pytest.raises(DocumentError, match="more than 10 cells"):
        load_file("wide.csv", b"a,b\n" * 10, LoadLimits(cells=10))


def test_many_files_at_once_from_many_threads(store: MemoryStore) -> None:
    failures: list[Exception] = []

    def add(number: int) -> None:
        try:
            store.add_document(f"{number}.txt", f"file {number % 3}".encode())
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(document.text for document in store.documents()) == ["file 0", "file 1", "file 2"]


def test_a_deleted_document_is_gone_and_can_be_added_again(knowing_store: MemoryStore) -> None:
    document = knowing_store.add_document("a.txt", b"The harbour master sleeps.")
    knowing_store.flush()
    knowing_store.delete_document(document.id)
    assert knowing_store.document(document.id) is None
    assert knowing_store.search_documents("harbour") == []
    with pytest.raises(NotFound):
        document.text  # noqa: B018 -- reading it is the test
    with pytest.raises(NotFound, match="may have been deleted"):
        knowing_store.delete_document(document.id)
    again = knowing_store.add_document("a.txt", b"The harbour master sleeps.")
    knowing_store.flush()
    assert knowing_store.search_documents("person in charge of the port", k=1)[0].document_id == again.id
