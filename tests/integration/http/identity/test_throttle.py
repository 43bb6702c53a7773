"""Sign-ins and registrations that are throttled."""

import httpx2


async def test_sign_in_is_429_after_too_many_failures_whether_or_not_the_account_exists(
    client: httpx2.AsyncClient,
) -> None:
    answers = []
    for name in ("alice", "nobody"):
        form = {"username": name, "password": "wrong"}
        for _ in range(10):
            assert (await client.post("/login", data=form)).status_code == 400
        answers.append(await client.post("/login", data=form, headers={"X-Request-ID": "the-same"}))
    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.content for answer in answers}) == 1
    assert all(890 <= int(answer.headers["retry-after"]) <= 900 for answer in answers)
