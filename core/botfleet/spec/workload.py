"""Why: how a bot's pod runs. These are Kubernetes' own fields; the types are the parts of them that a bot can use."""

from typing import Annotated, Any

from pydantic import Field

from botfleet.spec.rules import Wire

Quantity = Annotated[
    str | int,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
        }
    ),
]
Opaque = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Resources(Wire):
    """Requests and limits of the runner's container."""

    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class Toleration(Wire):
    """As in a pod."""

    key: str | None = None
    operator: Annotated[str | None, Field(json_schema_extra={"enum": ["Exists", "Equal"]})] = None
    value: str | None = None
    effect: Annotated[
        str | None, Field(json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})
    ] = None
    toleration_seconds: int | None = None


class WorkloadSpec(Wire):
    """Where and with what the runner's pod runs."""

    image: Annotated[
        str | None, Field(min_length=1, max_length=1024, description="Pins this bot to a runner image.")
    ] = None
    resources: Resources | None = None
    node_selector: dict[str, str] | None = None
    tolerations: Annotated[list[Toleration] | None, Field(max_length=64)] = None
    affinity: Annotated[dict[str, Any] | None, Field(description="As in a pod.", json_schema_extra=Opaque)] = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
