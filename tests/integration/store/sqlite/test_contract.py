"""The store's promises, kept on SQLite."""

from tests.contracts.store.account_contract import *  # noqa: F403
from tests.contracts.store.answers_contract import *  # noqa: F403
from tests.contracts.store.fencing_contract import *  # noqa: F403
from tests.contracts.store.glances_contract import *  # noqa: F403
from tests.contracts.store.intake_contract import *  # noqa: F403
from tests.contracts.store.lease_contract import *  # noqa: F403
from tests.contracts.store.media_contract import *  # noqa: F403
from tests.contracts.store.memory_contract import *  # noqa: F403
from tests.contracts.store.retention_contract import *  # noqa: F403
from tests.contracts.store.settling_contract import *  # noqa: F403
from tests.contracts.store.starters_contract import *  # noqa: F403
from tests.contracts.store.steering_contract import *  # noqa: F403
from tests.contracts.store.topics_contract import *  # noqa: F403
from tests.contracts.store.usage_contract import *  # noqa: F403
