"""Why: the numbers of one runner, under the names of docs/metrics.md. Labels are enumerated words; never text, chat or person."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One registry a process; an object, so that tests have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        r = self.registry
        name = "botfleet_runner_"
        self.received = Counter(
            name + "messages_received_total", "Messages taken in that wait for an answer", registry=r
        )
        self.answered = Counter(name + "messages_answered_total", "Messages that a stored answer closes", registry=r)
        self.skipped = Counter(
            name + "messages_skipped_total", "Messages closed without an answer", ["reason"], registry=r
        )
        self.failed = Counter(
            name + "messages_failed_total",
            "Messages closed because no model gave a usable answer",
            ["reason"],
            registry=r,
        )
        self.sent = Counter(name + "replies_sent_total", "Messages that Telegram took from us", registry=r)
        self.proactive_sent = Counter(
            name + "proactive_sent_total", "Messages that the bot wrote first and Telegram took", registry=r
        )
        self.proactive_skipped = Counter(
            name + "proactive_skipped_total",
            "People whom it was time to write to first, and who were not",
            ["reason"],
            registry=r,
        )
        self.send_failures = Counter(name + "send_failures_total", "Sends that did not succeed", ["reason"], registry=r)
        self.model_answers = Counter(
            name + "model_answers_total",
            "Answers by endpoint; cut_off: it reached maxOutputTokens and is sent as it is",
            ["endpoint", "outcome"],
            registry=r,
        )
        self.model_failures = Counter(
            name + "model_failures_total", "Model calls without an answer", ["reason"], registry=r
        )
        self.media = Counter(
            name + "media_total",
            "Pictures and voice messages: read, or why not (docs/media.md)",
            ["kind", "outcome"],
            registry=r,
        )
        self.tokens = Counter(
            name + "model_tokens_total", "Tokens as the endpoint counts them", ["direction"], registry=r
        )
        self.cost = Counter(
            name + "model_cost_total", "What models cost, in the currency of pricePerMillionTokens", registry=r
        )
        self.model_seconds = Histogram(name + "model_seconds", "Time of one model call", registry=r, buckets=SECONDS)
        self.model_paced_seconds = Counter(
            name + "model_paced_seconds",
            "Time that model calls waited for their turn, within the owner's bound and the endpoint's",
            registry=r,
        )
        self.model_circuit_open = Gauge(
            name + "model_circuit_open", "1 while an endpoint is left alone after failures", ["endpoint"], registry=r
        )
        self.budget_used = Gauge(
            name + "budget_used_ratio", "Share of the day's budget that is spent; 0 without a limit", ["of"], registry=r
        )
        self.reply_seconds = Histogram(
            name + "reply_seconds", "From taking a message in to its answer being stored", registry=r, buckets=SECONDS
        )
        self.stage_seconds = Histogram(
            name + "reply_stage_seconds",
            "waiting: from taking a message in to asking the model; model: one question, with its fallbacks; sending: from storing "
            "a message of the answer to Telegram having it",
            ["stage"],
            registry=r,
            buckets=SECONDS,
        )
        self.send_seconds = Histogram(name + "send_seconds", "Time of one send", registry=r, buckets=SECONDS)
        self.flood_waits = Counter(
            name + "flood_waits_total", "How often Telegram has asked to wait", ["scope"], registry=r
        )
        self.flood_wait_seconds = Counter(
            name + "flood_wait_seconds_total", "For how long, all of them together", ["scope"], registry=r
        )
        self.connected = Gauge(name + "connected", "1 while Telegram is connected and authorized", registry=r)
        self.receiving = Gauge(name + "receiving", "1 while updates are proved to come through", registry=r)
        self.receiving_proof = Gauge(
            name + "receiving_proof_timestamp_seconds", "When that was proved last, as Unix time", registry=r
        )
        self.receiving_remedies = Counter(
            name + "receiving_remedies_total", "What was done because no updates came", ["kind"], registry=r
        )
        self.state_lag = Gauge(
            name + "telegram_state_lag",
            "How far Telegram's count of the account's updates (pts) was ahead of the stored one at the last look, taken while "
            "nothing comes in; below 0: ours was ahead",
            registry=r,
        )
        self.lease_held = Gauge(name + "lease_held", "1 while this runner holds the account's lease", registry=r)
        self.lease_age = Gauge(
            name + "lease_age_seconds",
            "Since the last renewal that succeeded was sent; at two thirds of the term the connection is cut; 0 without a lease",
            registry=r,
        )
        self.pending = Gauge(name + "inbox_pending", "Messages that wait for an answer", registry=r)
        self.oldest_pending = Gauge(
            name + "inbox_oldest_pending_seconds", "Age of the oldest message that waits", registry=r
        )
        self.outgoing = Gauge(name + "outbox_open", "Messages that wait to be sent", registry=r)
        self.paused = Gauge(name + "paused", "1 while an admin has paused the bot: it answers nobody", registry=r)
        self.takeovers = Gauge(name + "takeovers", "Chats that a person has taken over", registry=r)
        self.connections = Counter(
            name + "telegram_connections_total",
            "Connections made to Telegram: the first, and each reconnect",
            registry=r,
        )
        self.tasks = Gauge(name + "tasks", "Tasks of the event loop", registry=r)
        self.loop_lag = Gauge(name + "event_loop_lag_seconds", "How late the event loop ran last", registry=r)

    def waits(self, scope: str, seconds: float) -> None:
        """Telegram has asked to wait."""
        self.flood_waits.labels(scope).inc()
        self.flood_wait_seconds.labels(scope).inc(seconds)
