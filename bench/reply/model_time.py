"""Why: how long the model had each message, by its own clock: what is left of the message's time is the runner's. Pure."""

from collections.abc import Iterable, Sequence

from bench.kill.count import numbers_of
from bench.load import Exchange
from botfleet_simulator.client import ModelRequest


def model_seconds(requests: Iterable[ModelRequest]) -> dict[int, float]:
    """Seconds of the model by the number of each message that an answer names. A call that gave no answer has none."""
    found: dict[int, float] = {}
    for request in requests:
        if request.outcome != "ok" or request.seconds is None:
            continue
        for number in numbers_of([request.answer or ""]):
            found[number] = found.get(number, 0.0) + request.seconds
    return found


def overheads(exchanges: Sequence[Exchange], model: dict[int, float]) -> list[float]:
    """Seconds of each that were not the model's. It had the message between the two moments, so none is below nothing.

    Raises ValueError for a message whose answer the model did not give.
    """
    if missing := [exchange.number for exchange in exchanges if exchange.number not in model]:
        raise ValueError(f"the model answered nothing about message {missing[0]}; its people got a reply that names it")
    return [exchange.seconds - model[exchange.number] for exchange in exchanges]
