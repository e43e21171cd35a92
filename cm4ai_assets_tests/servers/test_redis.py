from __future__ import annotations

import pytest
import redis

from cm4ai_assets_tests.servers.redis import RedisServer


def test_nobody_enters_without_the_password_and_what_was_held_is_gone_after_a_restart(
    redis_server: RedisServer,
) -> None:
    redis_server.client().set("seven", 7)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=redis_server.port).ping()
    redis_server.stop()
    with pytest.raises(redis.ConnectionError):
        redis_server.client().ping()
    redis_server.start()
    assert redis_server.client().get("seven") is None
