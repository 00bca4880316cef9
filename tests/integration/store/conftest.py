"""PostgreSQL 15 and 18 as an installation has them: owner without superuser, operator, group, a role a bot."""

from collections.abc import AsyncIterator, Iterator

import pytest

from botfleet.store.bots import Bot
from botfleet.store.engine import Store
from tests.contracts.store.fixtures import *  # noqa: F403
from tests.support.installation import OPERATOR, Installation, installed
from tests.waiting import DEADLINE


@pytest.fixture(scope="session", params=["15", "18"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(request.param, tmp_path_factory.mktemp("passwords")) as made:
        yield made


@pytest.fixture
async def operator(installation: Installation) -> AsyncIterator[Store]:
    store = installation.store(OPERATOR, statement_timeout=DEADLINE)
    yield store
    await store.close()


@pytest.fixture
async def bot(installation: Installation, operator: Store) -> Bot:
    return await installation.new_bot(operator)


@pytest.fixture
def bot_id(bot: Bot) -> str:
    return bot.id


@pytest.fixture
async def store(installation: Installation, bot: Bot) -> AsyncIterator[Store]:
    """The bot's own, with the bot's own role. What it waits for is ended by the test; time-outs have tests of their own."""
    assert bot.role_name is not None
    store = installation.store(bot.role_name, statement_timeout=DEADLINE)
    yield store
    await store.close()
