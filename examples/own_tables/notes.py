"""Notes: a table with an owner, its repository and its router."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from sqlmodel import Field, Session, SQLModel, col, select

from ordergate.domain.user import UserId
from ordergate.entrypoints.http.security import CurrentUser


class NoteRow(SQLModel, table=True):
    """A note.

    The migration adds the foreign key to `users` and the index on the owner.
    """

    __tablename__ = "notes"

    id: int | None = Field(default=None, primary_key=True)
    owner_id: int
    text: str


class NoteRepository:
    """Notes of an owner. Every query carries the owner."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, text: str, *, owner: UserId) -> NoteRow:
        """Store a note of the owner."""
        note = NoteRow(owner_id=owner, text=text)
        self._session.add(note)
        self._session.commit()
        return note

    def get_owned(self, note_id: int, *, owner: UserId) -> NoteRow | None:
        """Return the note if the owner has it."""
        query = select(NoteRow).where(NoteRow.owner_id == owner, NoteRow.id == note_id)
        return self._session.exec(query).one_or_none()

    def list_owned(self, *, owner: UserId) -> Sequence[NoteRow]:
        """Return all notes of the owner, oldest first."""
        query = select(NoteRow).where(NoteRow.owner_id == owner).order_by(col(NoteRow.id))
        return self._session.exec(query).all()


class NoteIn(SQLModel):
    """A new note."""

    text: str = Field(min_length=1, max_length=1000)


class NoteOut(SQLModel):
    """A stored note."""

    id: int
    text: str


def get_notes(request: Request) -> Iterator[NoteRepository]:
    """Open a session for one request."""
    with Session(request.app.state.notes) as session:
        yield NoteRepository(session)


Notes = Annotated[NoteRepository, Depends(get_notes)]
router = APIRouter(prefix="/notes", tags=["notes"])


@router.post("", status_code=201, response_model=NoteOut)
def add_note(note: NoteIn, user: CurrentUser, notes: Notes) -> NoteRow:
    """Store a note."""
    return notes.add(note.text, owner=user.id)


@router.get("", response_model=list[NoteOut])
def list_notes(user: CurrentUser, notes: Notes) -> Sequence[NoteRow]:
    """List your notes."""
    return notes.list_owned(owner=user.id)


@router.get("/{note_id}", response_model=NoteOut)
def read_note(note_id: int, user: CurrentUser, notes: Notes) -> NoteRow:
    """Read one of your notes."""
    if note := notes.get_owned(note_id, owner=user.id):
        return note
    raise HTTPException(404, "There is no such note among yours.")
