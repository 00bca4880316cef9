"""Why: docs/conditions.md is written from the catalogue, so the page cannot tell something else than the status."""

from botfleet.conditions import CONDITIONS, REASONS, ConditionType


def render() -> str:
    """The page, as Markdown."""
    lines = [
        "# Conditions and reasons",
        "",
        "<!-- Generated from core/botfleet/conditions.py: make generate -->",
        "",
        "`kubectl get telegrambot NAME -o yaml` shows them under `status.conditions`. `{…}` stands for a name or a number.",
        "",
    ]
    for condition in ConditionType:
        info = CONDITIONS[condition]
        lines += [f"## {condition.value}", "", f"**True**: {info.true_means}. **Absent**: {info.absence_means}.", ""]
        lines += ["| reason | message, with the next action |", "|---|---|"]
        lines += [f"| `{r.value}` | {i.template} |" for r, i in REASONS.items() if condition in i.conditions]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(render())
