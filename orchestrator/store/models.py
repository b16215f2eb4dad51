"""The tables, one definition for SQLite and PostgreSQL. Knows nothing of connections or of how rows come about.

    requests 1 ── * calls          one row per request, one per call it made to an expert
    requests 1 ── 0..1 feedback    what its asker thought of the answer
    usage                          totals per day, key, decision and expert: retention does not erase what was spent
    keys, counters                 who may call; every change of a key draws the next number of the counter `keys`
    collections 1 ── * documents 1 ── * passages   what a tenant put there to be found, whatever `store.keep` says
    memory_users, memories         who has switched memory on, and what each of them said of themselves
    checkpoints, checkpoint_writes, checkpoint_calls
                                   how far durable strategies have come: each run's last state and its answered calls

A change here needs a step in `migrations/versions/` and a new `SCHEMA`; a test compares the two.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

SCHEMA = "0003"
"""The migration these tables correspond to."""


class UtcTime(TypeDecorator[datetime]):
    """A moment. Aware datetimes in and out; SQLite, which knows no zones, holds UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("key_id", sa.String, nullable=False),  # no foreign key: keys of the configuration are in no table
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("user_name", sa.String),
    sa.Column("policy", sa.String),
    sa.Column("policy_hash", sa.String),
    sa.Column("decision", sa.String),
    sa.Column("strategy", sa.String),
    sa.Column("propensity", sa.Double),
    sa.Column("model", sa.String),
    sa.Column("expert", sa.String),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("error", sa.String),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
    sa.Column("first_token_s", sa.Double),
    sa.Column("total_s", sa.Double),
    sa.Column("features", sa.JSON(none_as_null=True)),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("text", sa.Text),
    sa.Column("reply", sa.Text),
    sa.Index("ix_requests_created_at", "created_at"),
    sa.Index("ix_requests_key_id_created_at", "key_id", "created_at"),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("request_id", sa.ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),  # from 0, in the order the calls were made
    sa.Column("expert", sa.String, nullable=False),
    sa.Column("revision", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("first_token_s", sa.Double),
    sa.Column("total_s", sa.Double),
    sa.Column("cost_usd", sa.Double, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("error", sa.String),
    sa.Index("ix_calls_expert", "expert"),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("request_id", sa.ForeignKey("requests.id", ondelete="CASCADE"), primary_key=True),  # so: once
    sa.Column("key_id", sa.String, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("comment", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),  # UTC, of the request's start
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("decision", sa.String, primary_key=True),  # "" where there was none
    sa.Column("expert", sa.String, primary_key=True),  # likewise
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
    sa.Index("ix_usage_key_id_day", "key_id", "day"),
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),  # grows with every write: who has seen N asks for more than N
    sa.UniqueConstraint("tenant", "name", name="ux_collections_tenant_name"),
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("collection", sa.ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("title", sa.String),
    sa.Column("url", sa.String),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),  # the collection's, when it was written
)

passages = sa.Table(
    "passages",
    metadata,
    sa.Column("collection", sa.String, primary_key=True),
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),  # from 0, in the document's order
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # float32, little-endian
    sa.ForeignKeyConstraint(["collection", "document"], ["documents.collection", "documents.id"], ondelete="CASCADE"),
)

memory_users = sa.Table(
    "memory_users",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("user_name", sa.String, primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
)

memories = sa.Table(
    "memories",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("user_name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # float32, little-endian
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_memories_tenant_user_name", "tenant", "user_name"),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("prefix", sa.String, nullable=False),  # the token's first characters, to recognise it by
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),  # SHA-256 of the token
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("user_name", sa.String),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("requests_per_minute", sa.BigInteger),
    sa.Column("tokens_per_minute", sa.BigInteger),
    sa.Column("budget_usd", sa.Double),
    sa.Column("budget_period", sa.String, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    # A name is free again once its key is revoked.
    sa.Index(
        "ux_keys_live_name",
        "name",
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    ),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("thread", sa.String, primary_key=True),  # the run's name
    sa.Column("namespace", sa.String, primary_key=True),  # LangGraph's, "" for all but graphs within graphs
    sa.Column("id", sa.String, primary_key=True),  # grows with every step
    sa.Column("parent", sa.String),
    sa.Column("kind", sa.String, nullable=False),  # how `state` is written
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("about_kind", sa.String, nullable=False),
    sa.Column("about", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_checkpoints_created_at", "created_at"),
)

checkpoint_writes = sa.Table(
    "checkpoint_writes",
    metadata,
    sa.Column("thread", sa.String, primary_key=True),  # no foreign key: they may come before their checkpoint
    sa.Column("namespace", sa.String, primary_key=True),
    sa.Column("checkpoint", sa.String, primary_key=True),
    sa.Column("task", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("task_path", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_checkpoint_writes_created_at", "created_at"),
)

checkpoint_calls = sa.Table(
    "checkpoint_calls",
    metadata,
    sa.Column("thread", sa.String, primary_key=True),
    sa.Column("asked", sa.Integer, primary_key=True),  # the how-manieth asking of the run, from 1
    sa.Column("seq", sa.Integer, primary_key=True),  # the call's number among those made together
    sa.Column("role", sa.String, nullable=False),
    sa.Column("voice", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_checkpoint_calls_created_at", "created_at"),
)
