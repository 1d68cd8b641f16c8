"""E-mail (.eml): who, when, what about, then the text; attachments by name."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from memory_store.loaders.limits import LoadLimits
from memory_store.loaders.result import Loaded, TextBuilder, Unreadable
from memory_store.loaders.web import write_page


def load_mail(name: str, data: bytes, limits: LoadLimits) -> Loaded:
    message = message_from_bytes(data, policy=policy.default)
    if not isinstance(message, EmailMessage) or not (message.get("From") or message.get("Subject")):
        raise Unreadable("It is no e-mail: it has neither sender nor subject.")
    builder = TextBuilder()
    for header in ("From", "To", "Cc", "Date", "Subject"):
        if message.get(header):
            builder.write(f"{header}: {message[header]}\n")
    builder.write("\n")
    _body(message, builder)
    for part in message.iter_attachments():
        builder.write(f"\nAttachment: {part.get_filename() or part.get_content_type()}")
        if part.get_content_type() == "message/rfc822":
            for inner in part.iter_parts():
                if isinstance(inner, EmailMessage):
                    builder.write(f"\n\nForwarded: {inner.get('Subject', '')}\n")
                    _body(inner, builder)
    builder.section("heading", str(message.get("Subject", "e-mail")), 0)
    return Loaded("email", builder.text(), builder.sections)


def _body(message: EmailMessage, builder: TextBuilder) -> None:
    body = message.get_body(("plain", "html"))
    if body is None:
        return
    payload = body.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    if body.get_content_subtype() == "html":
        from bs4 import BeautifulSoup

        write_page(BeautifulSoup(raw, "lxml", from_encoding=body.get_content_charset()), builder, [])
        return
    try:
        text = raw.decode(body.get_content_charset() or "utf-8", "replace")
    except LookupError:  # an encoding that does not exist
        text = raw.decode("latin-1")
    builder.write(text.replace("\r\n", "\n").strip() + "\n")
