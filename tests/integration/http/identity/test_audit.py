"""Audit events of identities in the log."""

import json
from pathlib import Path
from typing import Any

import httpx2

from tests.support.api.identity_client import bearer, refresh, serving, sign_in
from tests.support.program.command import NEW_PASSWORD, PASSWORD, wait_until
from tests.support.program.server import Start


async def test_identity_events_are_logged_in_one_line_each(tmp_path: Path, start: Start) -> None:
    server = serving(tmp_path, start, REFRESH_GRACE_SECONDS=0)
    async with httpx2.AsyncClient(base_url=server.url) as client:
        client.headers["X-Request-ID"] = "audited"
        new = {"username": "carol", "password": PASSWORD}
        user_id = (await client.post("/users", json=new)).json()["id"]
        for _ in range(11):
            await client.post("/login", data={"username": "carol", "password": "wrong"})
        tokens = await sign_in(client, "user1")
        await refresh(client, tokens["refresh_token"])
        await refresh(client, tokens["refresh_token"])
        tokens = await sign_in(client, "user1")
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        await client.put("/me/password", json=change, headers=bearer(tokens))
        await client.delete("/sessions", headers=bearer(tokens))
    expected = [
        "account_opened",
        *["sign_in_refused"] * 10,
        "sign_in_throttled",
        "signed_in",
        "refreshed",
        "reuse_seen",
        "session_ended",
        "refresh_refused",
        "signed_in",
        "password_changed",
        "session_ended",
    ]

    def audited() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in server.output]
        return [line for line in lines if line["logger"] == "ordergate.audit"]

    wait_until(lambda: len(audited()) >= len(expected))
    assert [line["event"] for line in audited()] == expected
    for line in audited():
        assert line["address"] == "127.0.0.1"
        assert line["request_id"] == "audited"
        assert line["user_id"] in {1, user_id}
        assert line["level"] == "info"
    with_session = [line for line in audited() if "session_id" in line]
    assert len(with_session) == 8
