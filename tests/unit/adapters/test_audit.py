import io
import json
import logging

from ordergate.adapters.audit.log_audit import LogAudit
from ordergate.application.ports.audit import AuditEvent, Origin
from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyId, KeyRecord, KeyStatus
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.logs import TextFormatter
from tests.support.program.log_lines import read_line


def test_event_is_one_line_at_any_level_of_the_log(error_log: io.StringIO) -> None:
    LogAudit().record(
        AuditEvent.SESSION_ENDED,
        origin=Origin("192.0.2.1", "the-id"),
        user=UserId(7),
        session=SessionId("0" * 32),
        detail="signed out",
    )
    assert read_line(error_log.getvalue()) == {
        "event": "session_ended",
        "level": "info",
        "logger": "ordergate.audit",
        "address": "192.0.2.1",
        "request_id": "the-id",
        "user_id": 7,
        "session_id": "0" * 32,
        "detail": "signed out",
    }


def test_change_of_a_key_is_one_line_with_its_id_and_status(error_log: io.StringIO) -> None:
    LogAudit().record_key(KeyRecord(KeyId("the-kid"), "EdDSA", KeyStatus.REMOVED, None))
    assert read_line(error_log.getvalue()) == {
        "event": "key_rotated",
        "level": "info",
        "logger": "ordergate.audit",
        "kid": "the-kid",
        "status": "removed",
    }


def test_unknown_fields_are_left_out(error_log: io.StringIO) -> None:
    LogAudit().record(AuditEvent.SIGN_IN_REFUSED)
    assert json.loads(error_log.getvalue()).keys() == {"event", "level", "logger", "timestamp"}


def test_logged_value_cannot_imitate_another_event(error_log: io.StringIO) -> None:
    logging.getLogger("a library").error("true", extra={"event": "false", "level": "none"})
    line = json.loads(error_log.getvalue())
    assert (line["event"], line["level"], line["logger"]) == ("true", "error", "a library")


def test_quoted_value_is_read_as_one_value() -> None:
    record = logging.makeLogRecord(
        {"name": "here", "msg": "é", "path": "/x user_id=1", "agent": "a\nb", "n": 7}
    )
    about = TextFormatter().format(record).partition("é")[2].strip()
    assert about == r"path='/x user_id=1' agent='a\nb' n=7 logger=here"
