"""The tables, as a list of migrations: entry n brings a database from version n to n + 1. Never edit one that shipped."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE conversations(
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        tip INTEGER                       -- seq of the last message of the shown path
    ) WITHOUT ROWID;
    CREATE INDEX conversations_by_user ON conversations(user, updated_at);

    CREATE TABLE messages(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of arrival; never reused, so an index entry cannot point to another
        id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
        parent INTEGER REFERENCES messages(seq) DEFERRABLE INITIALLY DEFERRED,
        shown INTEGER NOT NULL DEFAULT 1,        -- of the versions below one parent, exactly one is shown
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        created_at REAL NOT NULL,
        status TEXT NOT NULL,
        metadata TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX messages_by_parent ON messages(conversation_id, parent, shown);
    CREATE INDEX messages_children ON messages(parent);
    CREATE INDEX messages_streaming ON messages(seq) WHERE status = 'streaming';

    -- a message, the messages before and after it (weighted lower), its date in words and who said it
    CREATE VIRTUAL TABLE message_words USING fts5(
        text, earlier, later, moment, speaker, tokenize = 'porter unicode61'
    );

    CREATE TABLE message_vectors(
        seq INTEGER PRIMARY KEY REFERENCES messages(seq) ON DELETE CASCADE,
        model TEXT NOT NULL,
        vector BLOB NOT NULL                     -- float32, unit length
    );
    CREATE TABLE message_pending(                -- waits for its vector
        seq INTEGER PRIMARY KEY REFERENCES messages(seq) ON DELETE CASCADE
    );

    CREATE TABLE documents(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        user TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        created_at REAL NOT NULL,
        characters INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        sections TEXT NOT NULL,
        UNIQUE(user, sha256)
    );
    CREATE TABLE document_texts(
        document INTEGER PRIMARY KEY REFERENCES documents(seq) ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    CREATE TABLE document_tables(
        document INTEGER NOT NULL REFERENCES documents(seq) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        columns TEXT NOT NULL,
        rows TEXT NOT NULL,
        PRIMARY KEY(document, position)
    ) WITHOUT ROWID;
    CREATE TABLE chunks(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents(seq) ON DELETE CASCADE,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        line INTEGER NOT NULL,            -- line ends before it
        heading TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX chunks_by_document ON chunks(document, start);
    CREATE VIRTUAL TABLE chunk_words USING fts5(
        text, heading, content = 'chunks', content_rowid = 'seq', tokenize = 'porter unicode61'
    );
    CREATE TRIGGER chunk_words_add AFTER INSERT ON chunks BEGIN
        INSERT INTO chunk_words(rowid, text, heading) VALUES (new.seq, new.text, new.heading);
    END;
    CREATE TRIGGER chunk_words_remove AFTER DELETE ON chunks BEGIN
        INSERT INTO chunk_words(chunk_words, rowid, text, heading)
        VALUES ('delete', old.seq, old.text, old.heading);
    END;
    CREATE TABLE chunk_pending(
        seq INTEGER PRIMARY KEY REFERENCES chunks(seq) ON DELETE CASCADE
    );
    CREATE TRIGGER chunk_pending_add AFTER INSERT ON chunks BEGIN
        INSERT INTO chunk_pending(seq) VALUES (new.seq);
    END;
    CREATE TABLE chunk_vectors(
        seq INTEGER PRIMARY KEY REFERENCES chunks(seq) ON DELETE CASCADE,
        model TEXT NOT NULL,
        vector BLOB NOT NULL
    )
    """,
    """
    -- FTS5 writes out what it has in memory before every statement of a trigger: several times slower than adding a document's
    -- passages together, which Shelf.insert does now.
    DROP TRIGGER chunk_words_add
    """,
    """
    -- A large document is sorted into the keyword index in pieces of 16 MB, not of 1 MB: fewer to merge.
    INSERT INTO chunk_words(chunk_words, rank) VALUES ('hashsize', 16777216)
    """,
    """
    -- A row for each deletion whose text may still be readable somewhere in the file: see scrubbing.py.
    CREATE TABLE unscrubbed(id INTEGER PRIMARY KEY)
    """,
)
