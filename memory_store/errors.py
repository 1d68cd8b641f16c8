"""What can go wrong here, each with a sentence that a person can act on."""


class StoreError(Exception):
    """Anything the store cannot do; the message says what, with which value, and what to do."""


class StoreLocked(StoreError):
    """Another process has this data folder open. One process a folder: the indexes would drift apart otherwise."""


class StorageError(StoreError):
    """The disk is full or read-only, another program has the database locked, or it is damaged. Nothing was changed, and what
    was stored before stays."""


class NotFound(StoreError, KeyError):
    """No conversation, message or document has this id."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the sentence in quotes


class DocumentError(StoreError):
    """A file could not be read as a document. Nothing of it was stored; other files are not affected."""
