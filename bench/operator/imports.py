"""Why: the floor of the operator's memory and start: a process that has imported its libraries and does nothing.

A program of its own, `python -m bench.operator.imports`; it prints a line when it has them and ends when its input does.
"""

import sys

import aiohttp
import kopf
import orjson
import prometheus_client
import psycopg
import pydantic
import redis.asyncio
import sqlalchemy.ext.asyncio
import structlog
import uvloop

IMPORTED = (
    aiohttp,
    kopf,
    orjson,
    prometheus_client,
    psycopg,
    pydantic,
    redis.asyncio,
    sqlalchemy.ext.asyncio,
    structlog,
    uvloop,
)

if __name__ == "__main__":
    sys.stdout.write("imported\n")
    sys.stdout.flush()
    sys.stdin.read()
