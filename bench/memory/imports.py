"""Why: the floor of bench/memory: a process that has imported the runner's libraries and does nothing.

A program of its own, `python -m bench.memory.imports`; it prints a line when it has them and ends when its input does.
"""

import sys

import openai
import openai.types.chat
import psycopg
import redis.asyncio
import sqlalchemy.ext.asyncio
import telethon

IMPORTED = (telethon, openai, openai.types.chat.ChatCompletion, sqlalchemy.ext.asyncio, psycopg, redis.asyncio)

if __name__ == "__main__":
    # Some of them give their parts only when they are named, as the runner does.
    openai.AsyncOpenAI, openai.Timeout  # noqa: B018
    sys.stdout.write("imported\n")
    sys.stdout.flush()
    sys.stdin.read()
