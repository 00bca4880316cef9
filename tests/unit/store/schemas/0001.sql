CREATE TABLE bots (
	id VARCHAR(32) NOT NULL, 
	namespace VARCHAR(63) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	uid VARCHAR(64), 
	role_name VARCHAR(63), 
	redis_user VARCHAR(63), 
	credential_digest VARCHAR(64), 
	credentials_generation INTEGER DEFAULT '1' NOT NULL, 
	session_key_generation INTEGER DEFAULT '1' NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	CONSTRAINT pk_bots PRIMARY KEY (id), 
	CONSTRAINT uq_bots_role_name UNIQUE (role_name), 
	CONSTRAINT uq_bots_redis_user UNIQUE (redis_user)
);
CREATE UNIQUE INDEX uq_bots_living_name ON bots (namespace, name) WHERE deleted_at is null;
CREATE TABLE installation (
	only BOOLEAN DEFAULT 1 NOT NULL, 
	id VARCHAR(8) NOT NULL, 
	compatible_from VARCHAR(4) NOT NULL, 
	key_fingerprint VARCHAR(64), 
	cluster_uid VARCHAR(64), 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_installation PRIMARY KEY (only), 
	CONSTRAINT ck_installation_one_row CHECK ("only")
);
CREATE TABLE accounts (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	credential_digest VARCHAR(64) NOT NULL, 
	session BLOB, 
	username VARCHAR(64), 
	authorized_at DATETIME, 
	token_login_at DATETIME, 
	CONSTRAINT pk_accounts PRIMARY KEY (bot_id, account_id), 
	CONSTRAINT fk_accounts_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE bindings (
	account_key VARCHAR(80) NOT NULL, 
	bot_id VARCHAR(32) NOT NULL, 
	credential_digest VARCHAR(64) NOT NULL, 
	proved BOOLEAN DEFAULT 0 NOT NULL, 
	bound_at DATETIME NOT NULL, 
	CONSTRAINT pk_bindings PRIMARY KEY (account_key), 
	CONSTRAINT fk_bindings_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE INDEX ix_bindings_bot_id ON bindings (bot_id);
CREATE TABLE chats (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	peer_id BIGINT NOT NULL, 
	disclosed_at DATETIME, 
	closed_reason VARCHAR(32), 
	not_before DATETIME, 
	CONSTRAINT pk_chats PRIMARY KEY (bot_id, account_id, peer_id), 
	CONSTRAINT fk_chats_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE events (
	bot_id VARCHAR(32) NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	type VARCHAR(48) NOT NULL, 
	time DATETIME NOT NULL, 
	data JSON NOT NULL, 
	relayed_at DATETIME, 
	CONSTRAINT pk_events PRIMARY KEY (bot_id, id), 
	CONSTRAINT fk_events_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE INDEX ix_events_unrelayed ON events (bot_id, id) WHERE relayed_at is null;
CREATE TABLE inbox (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	peer_id BIGINT NOT NULL, 
	message_id BIGINT NOT NULL, 
	sender_id BIGINT, 
	access_hash BIGINT, 
	text TEXT NOT NULL, 
	date DATETIME NOT NULL, 
	edit_date DATETIME, 
	grouped_id BIGINT, 
	reply_to_message_id BIGINT, 
	trace_id VARCHAR(32) NOT NULL, 
	received_at DATETIME NOT NULL, 
	state VARCHAR(12) DEFAULT 'pending' NOT NULL, 
	reason VARCHAR(32), 
	closed_at DATETIME, 
	CONSTRAINT pk_inbox PRIMARY KEY (bot_id, account_id, peer_id, message_id), 
	CONSTRAINT fk_inbox_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE INDEX ix_inbox_pending ON inbox (bot_id, account_id, peer_id, message_id) WHERE state = 'pending';
CREATE TABLE leases (
	bot_id VARCHAR(32) NOT NULL, 
	holder VARCHAR(64), 
	token BIGINT, 
	expires_at DATETIME, 
	renewed_at DATETIME, 
	health JSON, 
	health_changed_at DATETIME, 
	CONSTRAINT pk_leases PRIMARY KEY (bot_id), 
	CONSTRAINT ck_leases_expires_at_is_a_time CHECK (expires_at between '2000-01-01' and '3000-01-01'), 
	CONSTRAINT ck_leases_renewed_at_is_a_time CHECK (renewed_at between '2000-01-01' and '3000-01-01'), 
	CONSTRAINT ck_leases_health_changed_at_is_a_time CHECK (health_changed_at between '2000-01-01' and '3000-01-01'), 
	CONSTRAINT ck_leases_health_is_small CHECK (length(cast(health as text)) <= 1024), 
	CONSTRAINT fk_leases_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE INDEX ix_leases_health_changed_at ON leases (health_changed_at);
CREATE TABLE messages (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	peer_id BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	role VARCHAR(12) NOT NULL, 
	message_id BIGINT, 
	sender_id BIGINT, 
	text TEXT NOT NULL, 
	date DATETIME NOT NULL, 
	CONSTRAINT pk_messages PRIMARY KEY (bot_id, account_id, peer_id, position), 
	CONSTRAINT uq_messages_bot_id_account_id_peer_id_role_message_id UNIQUE (bot_id, account_id, peer_id, role, message_id), 
	CONSTRAINT fk_messages_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE opt_outs (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	person_id BIGINT NOT NULL, 
	since DATETIME NOT NULL, 
	CONSTRAINT pk_opt_outs PRIMARY KEY (bot_id, account_id, person_id), 
	CONSTRAINT fk_opt_outs_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE outbox (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	peer_id BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	random_id BIGINT NOT NULL, 
	cause VARCHAR(48) NOT NULL, 
	part INTEGER DEFAULT '0' NOT NULL, 
	text TEXT NOT NULL, 
	entities JSON, 
	access_hash BIGINT, 
	reply_to_message_id BIGINT, 
	trace_id VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	state VARCHAR(12) DEFAULT 'pending' NOT NULL, 
	reason VARCHAR(32), 
	attempted_at DATETIME, 
	not_before DATETIME, 
	closed_at DATETIME, 
	sent_message_id BIGINT, 
	history_position BIGINT, 
	CONSTRAINT pk_outbox PRIMARY KEY (bot_id, account_id, peer_id, position), 
	CONSTRAINT uq_outbox_bot_id_account_id_random_id UNIQUE (bot_id, account_id, random_id), 
	CONSTRAINT fk_outbox_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE INDEX ix_outbox_open ON outbox (bot_id, account_id, peer_id, position) WHERE state in ('pending', 'attempted');
CREATE TABLE peers (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	peer_id BIGINT NOT NULL, 
	access_hash BIGINT NOT NULL, 
	CONSTRAINT pk_peers PRIMARY KEY (bot_id, account_id, peer_id), 
	CONSTRAINT fk_peers_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE update_states (
	bot_id VARCHAR(32) NOT NULL, 
	account_id BIGINT NOT NULL, 
	channel_id BIGINT NOT NULL, 
	pts BIGINT NOT NULL, 
	qts BIGINT DEFAULT '0' NOT NULL, 
	date DATETIME, 
	seq BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_update_states PRIMARY KEY (bot_id, account_id, channel_id), 
	CONSTRAINT fk_update_states_bots FOREIGN KEY(bot_id) REFERENCES bots (id) ON DELETE CASCADE
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
