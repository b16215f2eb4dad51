"""Everything durable: what was asked and answered, keys, usage. Importing the package imports no database library.

records.py     what the engine hands over for each request (plain dataclasses)
recorder.py    puts records off the hot path, writes them in batches, enforces `store.keep`
store.py       opens a database: SQLite by default, PostgreSQL by URL
url.py         which URLs are accepted, and how they are shown
models.py      the tables
migrations/    how the tables came to be, step by step (alembic)
queries.py     usage, feedback, retention
checkpoints.py how far durable strategies have come, as LangGraph keeps it
kept_calls.py  … and which calls were answered
key_table.py   keys in the database (their meaning is in orchestrator/keys.py)
"""
