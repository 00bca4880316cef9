"""Why: the only place where a condition, a reason or a phase is spelled. docs/conditions.md is generated from it.

Each reason's message names the next action. What fills a message is names, numbers and times; never free text from a runner.
"""

from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    """What `status.conditions` can speak of."""

    ACCEPTED = "Accepted"
    PROVISIONED = "Provisioned"
    AUTHORIZED = "Authorized"
    READY = "Ready"
    RECEIVING = "Receiving"
    MODEL_AVAILABLE = "ModelAvailable"
    UNRESTRICTED = "Unrestricted"
    WITHIN_BUDGET = "WithinBudget"
    ERASED = "Erased"
    UP_TO_DATE = "UpToDate"


class Reason(StrEnum):
    """Why a condition is as it is."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    DEFAULTS_INVALID = "DefaultsInvalid"
    INCOMPLETE = "Incomplete"
    SECRET_MISSING = "SecretMissing"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    SECRET_NOT_LABELLED = "SecretNotLabelled"
    SECRET_UNUSABLE = "SecretUnusable"
    CONFIG_MAP_MISSING = "ConfigMapMissing"
    CONFIG_MAP_KEY_MISSING = "ConfigMapKeyMissing"
    CONFIG_MAP_NOT_LABELLED = "ConfigMapNotLabelled"
    CONFIG_MAP_UNUSABLE = "ConfigMapUnusable"
    NOT_ALLOWED = "NotAllowed"
    ACCOUNT_IN_USE = "AccountInUse"
    NAME_CONFLICT = "NameConflict"
    EGRESS_NOT_ALLOWED = "EgressNotAllowed"
    EGRESS_FORBIDDEN = "EgressForbidden"
    # Provisioned
    PROVISIONED = "Provisioned"
    NOT_ACCEPTED = "NotAccepted"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    REDIS_UNAVAILABLE = "RedisUnavailable"
    APPLY_FAILED = "ApplyFailed"
    PAUSED = "Paused"
    # Authorized
    AUTHORIZED = "Authorized"
    NEVER_LOGGED_IN = "NeverLoggedIn"
    TOKEN_INVALID = "TokenInvalid"
    SESSION_INVALID = "SessionInvalid"
    SESSION_REVOKED = "SessionRevoked"
    SESSION_DUPLICATED = "SessionDuplicated"
    ACCOUNT_BANNED = "AccountBanned"
    API_CREDENTIALS_INVALID = "ApiCredentialsInvalid"
    BINDING_PENDING = "BindingPending"
    # Ready
    READY = "Ready"
    STARTING = "Starting"
    LEASE_HELD_ELSEWHERE = "LeaseHeldElsewhere"
    DISCONNECTED = "Disconnected"
    CRASH_LOOPING = "CrashLooping"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    SUSPENDED = "Suspended"
    NOT_AUTHORIZED = "NotAuthorized"
    # Receiving
    RECEIVING = "Receiving"
    DEAF = "Deaf"
    NOT_READY = "NotReady"
    NOT_PROVED = "NotProved"
    PRIVACY_MODE = "PrivacyMode"
    # ModelAvailable
    MODEL_ANSWERS = "ModelAnswers"
    FALLBACK_ANSWERS = "FallbackAnswers"
    NOT_ASKED = "NotAsked"
    UNAUTHORIZED = "Unauthorized"
    RATE_LIMITED = "RateLimited"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    UNKNOWN_MODEL = "UnknownModel"
    UNREACHABLE = "Unreachable"
    TIMEOUT = "Timeout"
    SERVER_ERROR = "ServerError"
    REQUEST_REFUSED = "RequestRefused"
    BAD_ANSWER = "BadAnswer"
    # Unrestricted
    UNRESTRICTED = "Unrestricted"
    FLOOD_WAIT = "FloodWait"
    PEER_FLOOD = "PeerFlood"
    RESTRICTED = "Restricted"
    # WithinBudget
    WITHIN_BUDGET = "WithinBudget"
    NO_BUDGET = "NoBudget"
    BUDGET_WARNING = "BudgetWarning"
    BUDGET_NEARLY_SPENT = "BudgetNearlySpent"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    # Erased
    ERASING = "Erasing"
    ERASING_WAITS_FOR_RUNNER = "WaitingForRunner"
    ERASING_NEEDS_DATABASE = "WaitingForDatabase"
    ERASING_NEEDS_REDIS = "WaitingForRedis"
    # UpToDate
    UP_TO_DATE = "UpToDate"
    ROLLOUT_PENDING = "RolloutPending"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ROLLOUT_FAILED = "RolloutFailed"
    # any
    NOT_KNOWN = "NotKnown"
    NO_HEARTBEAT = "NoHeartbeat"


class Phase(StrEnum):
    """One word for `kubectl get`; docs/design/multibot-manager.md has the table of transitions."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    RESUMING = "Resuming"
    FAILED = "Failed"
    DELETING = "Deleting"


@dataclass(frozen=True)
class ConditionInfo:
    """What a condition tells its reader."""

    true_means: str
    absence_means: str


@dataclass(frozen=True)
class ReasonInfo:
    """A reason: for which conditions, and the message, a template filled by `message`."""

    conditions: tuple[ConditionType, ...]
    template: str


_C = ConditionType

CONDITIONS: dict[ConditionType, ConditionInfo] = {
    _C.ACCEPTED: ConditionInfo(
        "the spec makes sense and everything that it names exists", "the operator has not seen the object yet"
    ),
    _C.PROVISIONED: ConditionInfo(
        "the database role, the Redis user and the child objects exist as decided",
        "the operator has not seen the object yet",
    ),
    _C.AUTHORIZED: ConditionInfo("Telegram accepts the account's credential", "no runner has tried to log in yet"),
    _C.READY: ConditionInfo(
        "the runner with the current effective spec holds the lease, is connected and authorized",
        "the operator has not seen the object yet",
    ),
    _C.RECEIVING: ConditionInfo(
        "updates of the account really come through, proved not long ago",
        "the operator has not seen the object yet",
    ),
    _C.MODEL_AVAILABLE: ConditionInfo(
        "a model, that of the spec or a fallback, has answered since the runner started, and nothing since then says that none "
        "does (three failures in a row at each endpoint, three different questions without a usable answer, or a wait of 15 s and "
        "more that the endpoint asks for); one answer makes it True again",
        "the operator has not seen the object yet",
    ),
    _C.UNRESTRICTED: ConditionInfo(
        "the bot is connected, and no limit that Telegram has put on the account is known",
        "the operator has not seen the object yet",
    ),
    _C.WITHIN_BUDGET: ConditionInfo(
        "what the models cost today (UTC) is under the limits of spec.limits.budget, or there are none",
        "the operator has not seen the object yet",
    ),
    _C.ERASED: ConditionInfo(
        "nobody sees it so: with the last of the data the object is gone",
        "the object is not being deleted, or spec.deletionPolicy is not Erase",
    ),
    _C.UP_TO_DATE: ConditionInfo(
        "the bot's Deployment has the newest pod template of the installation, and a bot that got it in a wave of a roll-out has "
        "been Ready with it",
        "there is no Deployment yet",
    ),
}

GOOD: dict[ConditionType, frozenset[Reason]] = {
    _C.MODEL_AVAILABLE: frozenset({Reason.MODEL_ANSWERS, Reason.FALLBACK_ANSWERS}),
    _C.UNRESTRICTED: frozenset({Reason.UNRESTRICTED}),
    _C.WITHIN_BUDGET: frozenset(
        {Reason.WITHIN_BUDGET, Reason.NO_BUDGET, Reason.BUDGET_WARNING, Reason.BUDGET_NEARLY_SPENT}
    ),
}
"""With which of its reasons a condition is True, where a runner tells nothing but the reason."""

_GIVE_UP = (
    "Look at it if this lasts. To let the object go and keep what is not erased yet: kubectl -n {namespace} patch telegrambot {name} "
    '--type=merge -p \'{{"spec":{{"deletionPolicy":"Retain"}}}}\''
)

REASONS: dict[Reason, ReasonInfo] = {
    Reason.ACCEPTED: ReasonInfo((_C.ACCEPTED,), "The spec makes sense and everything that it names exists."),
    Reason.INVALID: ReasonInfo((_C.ACCEPTED,), "The spec cannot be used: {detail}. Correct it and apply it again."),
    Reason.DEFAULTS_INVALID: ReasonInfo(
        (_C.ACCEPTED,),
        "TelegramBotDefaults {name} of the namespace cannot be used: {detail}. Correct it: kubectl -n {namespace} edit "
        "telegrambotdefaults {name}",
    ),
    Reason.INCOMPLETE: ReasonInfo((_C.ACCEPTED,), "Not said, and no default says it: {fields}. Add it to the spec."),
    Reason.SECRET_MISSING: ReasonInfo(
        (_C.ACCEPTED,),
        "Secret {name} does not exist; its key {key} is needed for {used_by}. Create it: kubectl -n {namespace} create secret "
        "generic {name} --from-file={key}=FILE, then kubectl -n {namespace} label secret {name} botfleet.dev/credentials=true",
    ),
    Reason.SECRET_KEY_MISSING: ReasonInfo(
        (_C.ACCEPTED,), "Secret {name} has no key {key}, which is needed for {used_by}. Add the key to the Secret."
    ),
    Reason.SECRET_NOT_LABELLED: ReasonInfo(
        (_C.ACCEPTED,),
        "Secret {name} may not be used by bots (key {key}, for {used_by}). Allow it: kubectl -n {namespace} label secret "
        "{name} botfleet.dev/credentials=true",
    ),
    Reason.SECRET_UNUSABLE: ReasonInfo(
        (_C.ACCEPTED,), "Key {key} of Secret {name} is not usable as {used_by}: {detail}. Put the right value there."
    ),
    Reason.CONFIG_MAP_MISSING: ReasonInfo(
        (_C.ACCEPTED,),
        "ConfigMap {name} does not exist; its key {key} is the prompt. Create it: kubectl -n {namespace} create configmap {name} "
        "--from-file={key}=FILE, then kubectl -n {namespace} label configmap {name} botfleet.dev/prompt=true",
    ),
    Reason.CONFIG_MAP_KEY_MISSING: ReasonInfo(
        (_C.ACCEPTED,), "ConfigMap {name} has no key {key}, which is the prompt. Add the key to the ConfigMap."
    ),
    Reason.CONFIG_MAP_NOT_LABELLED: ReasonInfo(
        (_C.ACCEPTED,),
        "ConfigMap {name} may not be a prompt of bots (key {key}). Allow it: kubectl -n {namespace} label configmap {name} "
        "botfleet.dev/prompt=true",
    ),
    Reason.CONFIG_MAP_UNUSABLE: ReasonInfo(
        (_C.ACCEPTED,), "Key {key} of ConfigMap {name} cannot be the prompt: {detail}. Put the right text there."
    ),
    Reason.NOT_ALLOWED: ReasonInfo(
        (_C.ACCEPTED,),
        "{field} is {value}, which this installation does not allow; allowed: {allowed}. Take one of these or leave it out, or "
        "have the chart's value {chart_value} extended: see docs/install.md.",
    ),
    Reason.ACCOUNT_IN_USE: ReasonInfo(
        (_C.ACCEPTED,),
        "Another TelegramBot has this Telegram account{other}. One account is one bot: delete the other or use another account.",
    ),
    Reason.NAME_CONFLICT: ReasonInfo(
        (_C.ACCEPTED,),
        "{kind} {name} exists and is not ours; it is left alone. Rename the TelegramBot, or remove that {kind}.",
    ),
    Reason.EGRESS_NOT_ALLOWED: ReasonInfo(
        (_C.ACCEPTED,),
        "{field} is more than this installation lets its bots reach; the rule is not in force. Take it out of the spec, or ask "
        "who administers the installation to allow it (the chart's value networkPolicies.bots.allowedEgress).",
    ),
    Reason.EGRESS_FORBIDDEN: ReasonInfo(
        (_C.ACCEPTED,),
        "{field} is {address}, and no bot may reach {range}; the rule is not in force. Take it out of the spec, or put other "
        "addresses there.",
    ),
    Reason.PROVISIONED: ReasonInfo((_C.PROVISIONED,), "Database role, Redis user and child objects exist as decided."),
    Reason.NOT_ACCEPTED: ReasonInfo(
        (_C.PROVISIONED, _C.READY), "Nothing is made or changed while the spec is not accepted: see Accepted."
    ),
    Reason.DATABASE_UNAVAILABLE: ReasonInfo(
        (_C.PROVISIONED,), "The database does not answer; tried again by itself. Look at the database if this lasts."
    ),
    Reason.REDIS_UNAVAILABLE: ReasonInfo(
        (_C.PROVISIONED,),
        "Redis does not answer; tried again by itself. The bot answers meanwhile. Look at Redis if this lasts.",
    ),
    Reason.APPLY_FAILED: ReasonInfo(
        (_C.PROVISIONED,),
        "{kind} {name} was refused by the API server (HTTP {code}); tried again by itself. See the operator's log.",
    ),
    Reason.PAUSED: ReasonInfo(
        (_C.PROVISIONED,),
        "Nothing of the bot is made, changed or repaired while it has this annotation; deletion works. To go on: kubectl -n "
        "{namespace} annotate telegrambot {name} botfleet.dev/paused-",
    ),
    Reason.AUTHORIZED: ReasonInfo((_C.AUTHORIZED,), "Telegram accepts the account."),
    Reason.NEVER_LOGGED_IN: ReasonInfo(
        (_C.AUTHORIZED,), "The account has not logged in yet. Wait for Ready, or read its reason."
    ),
    Reason.TOKEN_INVALID: ReasonInfo(
        (_C.AUTHORIZED,),
        "Telegram refuses the bot token. Take the current token from BotFather and put it into the Secret.",
    ),
    Reason.SESSION_INVALID: ReasonInfo(
        (_C.AUTHORIZED,), "The session in the Secret cannot be read. Make a new one and put it into the Secret."
    ),
    Reason.SESSION_REVOKED: ReasonInfo(
        (_C.AUTHORIZED,),
        "Telegram has ended the session. Log the account in again and put the new session into the Secret.",
    ),
    Reason.SESSION_DUPLICATED: ReasonInfo(
        (_C.AUTHORIZED,),
        "The session was used in two places at once and is dead for good. Find the other place, then put a new session into the Secret.",
    ),
    Reason.ACCOUNT_BANNED: ReasonInfo(
        (_C.AUTHORIZED,), "Telegram has deactivated the account. Only Telegram can undo that."
    ),
    Reason.API_CREDENTIALS_INVALID: ReasonInfo(
        (_C.AUTHORIZED,), "Telegram refuses api-id and api-hash. Copy both from my.telegram.org into the Secret."
    ),
    Reason.BINDING_PENDING: ReasonInfo(
        (_C.AUTHORIZED,),
        "The credential is not yet bound to this bot; nothing is sent until it is. This passes by itself.",
    ),
    Reason.READY: ReasonInfo((_C.READY,), "The runner with the current spec is connected and answers."),
    Reason.STARTING: ReasonInfo(
        (_C.READY,), "The runner starts. If this lasts: kubectl -n {namespace} logs deployment/{name}"
    ),
    Reason.LEASE_HELD_ELSEWHERE: ReasonInfo(
        (_C.READY,),
        "Another runner still holds the account's lease; this one takes over when it is released or expired.",
    ),
    Reason.DISCONNECTED: ReasonInfo(
        (_C.READY,),
        "The runner has no connection to Telegram and tries again by itself. If this lasts, check the network.",
    ),
    Reason.CRASH_LOOPING: ReasonInfo(
        (_C.READY,), "The runner ends again and again: kubectl -n {namespace} logs deployment/{name} --previous"
    ),
    Reason.OUT_OF_MEMORY: ReasonInfo(
        (_C.READY,),
        "The runner was killed because it needed more memory than its limit. Set a higher spec.workload.resources.limits.memory; "
        "it is started again by itself meanwhile.",
    ),
    Reason.IMAGE_PULL_FAILED: ReasonInfo(
        (_C.READY,), "The runner's image cannot be pulled. Check spec.workload.image, or the image of the installation."
    ),
    Reason.UNSCHEDULABLE: ReasonInfo(
        (_C.READY,), "No node takes the pod: kubectl -n {namespace} describe pods -l botfleet.dev/bot={name}"
    ),
    Reason.SUSPENDED: ReasonInfo((_C.READY,), "Suspended by spec.suspend. Set it to false to resume."),
    Reason.NOT_AUTHORIZED: ReasonInfo((_C.READY,), "Telegram does not accept the account: see Authorized."),
    Reason.RECEIVING: ReasonInfo((_C.RECEIVING,), "Updates come through."),
    Reason.DEAF: ReasonInfo(
        (_C.RECEIVING,),
        "Connected, but messages of the account do not come in; fetched and connected anew by itself. If this lasts: "
        "kubectl -n {namespace} logs deployment/{name}, then kubectl -n {namespace} rollout restart deployment/{name}",
    ),
    Reason.NOT_READY: ReasonInfo((_C.RECEIVING,), "Nothing can come in while the bot is not ready: see Ready."),
    Reason.NOT_PROVED: ReasonInfo(
        (_C.RECEIVING,),
        "Connected, and nothing shows yet, or any more, whether messages come in; looked at again by itself every 20 s. "
        "If this lasts: kubectl -n {namespace} logs deployment/{name}",
    ),
    Reason.PRIVACY_MODE: ReasonInfo(
        (_C.RECEIVING,),
        "spec.access.groups is All, but BotFather's privacy mode hides from the bot what is not addressed to it, save in groups "
        "where it is an administrator. Take it off with /setprivacy of BotFather, then remove the bot from its groups and add it "
        "again; or set groups to Mention. Noticed by itself within 10 minutes.",
    ),
    Reason.MODEL_ANSWERS: ReasonInfo((_C.MODEL_AVAILABLE,), "The model answers."),
    Reason.FALLBACK_ANSWERS: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The model of the spec does not answer; a fallback does. It is tried again by itself. Look for model_gave_no_answer in: "
        "kubectl -n {namespace} logs deployment/{name}",
    ),
    Reason.NOT_ASKED: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "Nothing shows yet whether the model answers: too little has been asked of it since the runner started. Write to the bot to see.",
    ),
    Reason.UNAUTHORIZED: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint refuses the API key. Put the right one into spec.model.apiKeySecretRef's Secret.",
    ),
    Reason.RATE_LIMITED: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint asks to slow down; messages wait, and it is asked again by itself. If this lasts, take a higher limit "
        "there, or add spec.model.fallbacks.",
    ),
    Reason.QUOTA_EXHAUSTED: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The key's quota at the endpoint is used up. Add credit there, or put another key into the Secret.",
    ),
    Reason.UNKNOWN_MODEL: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint knows no such model or address. Correct spec.model.name or spec.model.baseUrl.",
    ),
    Reason.UNREACHABLE: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint cannot be reached; messages wait, and it is tried again by itself. If this lasts, check "
        "spec.model.baseUrl and the network; a model in the cluster or at a private address needs spec.network.egress.",
    ),
    Reason.TIMEOUT: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint does not answer within spec.model.timeoutSeconds; tried again by itself. If this lasts, set a longer time "
        "or another model.",
    ),
    Reason.SERVER_ERROR: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint answers with errors of its own; tried again by itself. If this lasts, see the endpoint's health, or add "
        "spec.model.fallbacks.",
    ),
    Reason.REQUEST_REFUSED: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "The endpoint refuses one question after the other (HTTP 400 or the like). Check that the model takes "
        "spec.model.temperature and spec.model.maxOutputTokens.",
    ),
    Reason.BAD_ANSWER: ReasonInfo(
        (_C.MODEL_AVAILABLE,),
        "What the endpoint sends is empty or no chat completion, for one question after the other. Check that spec.model.baseUrl "
        "is an OpenAI-compatible endpoint, and spec.model.name a model for chats.",
    ),
    Reason.UNRESTRICTED: ReasonInfo((_C.UNRESTRICTED,), "No limit of Telegram on the account is known."),
    Reason.FLOOD_WAIT: ReasonInfo(
        (_C.UNRESTRICTED,),
        "Telegram lets the account do nothing until {until}; what is to be sent waits and goes out by itself then.",
    ),
    Reason.PEER_FLOOD: ReasonInfo(
        (_C.UNRESTRICTED,),
        "Telegram has refused to deliver because the account writes too much to people who do not know it. Write less for some "
        "days; @SpamBot tells the account's owner more. Over by itself once a message goes out an hour or more after the last refusal.",
    ),
    Reason.RESTRICTED: ReasonInfo(
        (_C.UNRESTRICTED,),
        "Telegram has restricted the account. Only Telegram can undo that: ask @SpamBot as the account's owner.",
    ),
    Reason.WITHIN_BUDGET: ReasonInfo((_C.WITHIN_BUDGET,), "What was spent today is under 80 % of each limit."),
    Reason.NO_BUDGET: ReasonInfo((_C.WITHIN_BUDGET,), "The spec sets no limit. Add spec.limits.budget to have one."),
    Reason.BUDGET_WARNING: ReasonInfo(
        (_C.WITHIN_BUDGET,),
        "80 % of a limit of today are spent: see status.budget. It begins anew by itself at 00:00 UTC.",
    ),
    Reason.BUDGET_NEARLY_SPENT: ReasonInfo(
        (_C.WITHIN_BUDGET,),
        "95 % of a limit of today are spent: the cheapest model is asked first until 00:00 UTC. See status.budget.",
    ),
    Reason.BUDGET_EXHAUSTED: ReasonInfo(
        (_C.WITHIN_BUDGET,),
        "The budget of today is spent: messages are closed unanswered until 00:00 UTC, or set a higher spec.limits.budget. "
        "See status.budget.",
    ),
    Reason.ERASING: ReasonInfo(
        (_C.ERASED,),
        "The bot's role is locked out and its data is being erased, in batches, once its runner can no longer be connected; the "
        "object goes by itself after that.",
    ),
    Reason.ERASING_WAITS_FOR_RUNNER: ReasonInfo(
        (_C.ERASED,),
        "The runner is to end first, as after any stop; this goes on by itself. If its node is lost: kubectl -n {namespace} delete "
        "pods -l botfleet.dev/bot={name} --force",
    ),
    Reason.ERASING_NEEDS_DATABASE: ReasonInfo(
        (_C.ERASED,), "The data is not erased: the database does not answer; tried again by itself. " + _GIVE_UP
    ),
    Reason.ERASING_NEEDS_REDIS: ReasonInfo(
        (_C.ERASED,),
        "The data in the database is erased, the bot's streams are not: Redis does not answer; tried again by itself. "
        + _GIVE_UP,
    ),
    Reason.UP_TO_DATE: ReasonInfo((_C.UP_TO_DATE,), "The bot has the newest pod template of the installation."),
    Reason.ROLLOUT_PENDING: ReasonInfo(
        (_C.UP_TO_DATE,),
        "A newer pod template (image, defaults or operator of the installation) waits for this bot's wave; it comes by itself. At "
        "once: kubectl -n {namespace} rollout restart deployment/{name}",
    ),
    Reason.ROLLOUT_IN_PROGRESS: ReasonInfo(
        (_C.UP_TO_DATE,), "The bot has got the newest pod template and was not Ready with it yet. Wait for Ready."
    ),
    Reason.ROLLOUT_FAILED: ReasonInfo(
        (_C.UP_TO_DATE,),
        "The bot was Ready before it got the newest pod template, and was not within {seconds} s since: the roll-out stands still. "
        "See Ready; then correct or roll back what was changed in the installation, or suspend this bot.",
    ),
    Reason.NOT_KNOWN: ReasonInfo(
        (_C.MODEL_AVAILABLE, _C.UNRESTRICTED, _C.WITHIN_BUDGET),
        "Not known before a runner with the current spec and credentials is connected and has told: see Ready.",
    ),
    Reason.NO_HEARTBEAT: ReasonInfo(
        (_C.AUTHORIZED, _C.READY, _C.RECEIVING, _C.MODEL_AVAILABLE, _C.UNRESTRICTED, _C.WITHIN_BUDGET),
        "No news of the runner for 60 s: it, or the database, may be gone. kubectl -n {namespace} get pods -l botfleet.dev/bot={name}",
    ),
}


def message(reason: Reason, **values: str | int) -> str:
    """The sentence for `status.conditions[].message`.

    Raises:
        KeyError: the reason's template needs a value that was not given (a programming error; tests cover each reason).
    """
    return REASONS[reason].template.format(**values)
