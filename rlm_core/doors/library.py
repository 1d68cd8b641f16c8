"""What a user has put in: documents, and what of them answers a search."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import UploadFile

from memory_store import Document
from rlm_core.doors.house import TheHouse, User
from rlm_core.doors.schemas import (
    Deleted,
    DocumentDetail,
    DocumentOut,
    DocumentsOut,
    Id,
    PassageOut,
    PassagesOut,
    Problem,
    SectionOut,
    TextOut,
)

router = APIRouter(tags=["documents"])

SearchText = Annotated[str, Query(min_length=1, max_length=2000)]
Count = Annotated[int, Query(ge=1, le=100)]

_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post("/documents", status_code=201, openapi_extra=_UPLOAD, responses={413: {"model": Problem}})
async def add(request: Request, house: TheHouse, user: User) -> DocumentOut:
    """Upload one file (form field ``file``). Its text can be searched when this returns; the same bytes again return
    the document that is there. 422 says in one sentence why a file cannot be read."""
    async with request.form(max_files=1, max_fields=20) as form:
        file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if file is None:
            raise RequestValidationError(
                [{"loc": ("body", "file"), "msg": "Send one file as multipart/form-data", "type": "missing"}]
            )
        data = await file.read()
        name = file_name(file.filename or "")
    return _short(await asyncio.to_thread(house.store.add_document, name, data, user=user))


@router.get("/documents")
def all_documents(house: TheHouse, user: User) -> DocumentsOut:
    """Newest first."""
    return DocumentsOut(documents=[_short(document) for document in house.store.documents(user=user)])


@router.get("/documents/search")
def search(
    house: TheHouse,
    user: User,
    q: SearchText,
    k: Count = 8,
    document_id: Annotated[list[Id] | None, Query(max_length=1000)] = None,
) -> PassagesOut:
    """The passages that have most to do with ``q``, best first; of all documents, or of those named."""
    for wanted in document_id or ():
        house.document(wanted, user)
    hits = house.store.search_documents(q, k, document_id, user=user)
    return PassagesOut(
        passages=[
            PassageOut(
                document_id=hit.document_id,
                document_name=hit.document_name,
                start=hit.start,
                end=hit.end,
                text=hit.text,
                score=hit.score,
                place=hit.place,
            )
            for hit in hits
        ]
    )


@router.get("/documents/{document_id}", responses={404: {"model": Problem}})
def one(document_id: Id, house: TheHouse, user: User) -> DocumentDetail:
    """One document with its pages, headings or sheets."""
    document = house.document(document_id, user)
    return DocumentDetail(
        **_short(document).model_dump(),
        sections=[
            SectionOut(kind=section.kind, label=section.label, start=section.start, end=section.end)
            for section in document.sections
        ],
    )


@router.get("/documents/{document_id}/text", responses={404: {"model": Problem}})
def text(
    document_id: Id,
    house: TheHouse,
    user: User,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    end: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> TextOut:
    """The extracted text, or characters ``start`` to ``end`` of it: what citations point into."""
    whole = house.document(document_id, user).text
    piece = whole[start:end]
    return TextOut(
        document_id=document_id,
        start=min(start, len(whole)),
        end=min(start, len(whole)) + len(piece),
        characters=len(whole),
        text=piece,
    )


@router.delete("/documents/{document_id}", responses={404: {"model": Problem}})
def delete(document_id: Id, house: TheHouse, user: User) -> Deleted:
    """Remove a document from the disk and from the search."""
    house.document(document_id, user)
    house.store.delete_document(document_id)
    return Deleted(deleted=document_id)


def file_name(given: str) -> str:
    """The last part of a path, without control characters: a client's folders are none of our business."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[/\\]", given)[-1]).strip()
    return name[-200:] if name not in {"", ".", ".."} else "unnamed"


def _short(document: Document) -> DocumentOut:
    return DocumentOut(
        id=document.id,
        name=document.name,
        kind=document.kind,
        size=document.size,
        characters=document.characters,
        tokens_estimate=document.tokens_estimate,
        status=document.status,
        created_at=document.created_at,
    )
