"""Why: docs/conditions.md is written from the catalogue, so the page cannot tell something else than the status."""

from botfleet.conditions import CONDITIONS, GOOD, REASONS, ConditionType, Reason


def render() -> str:
    """The page, as Markdown."""
    lines = [
        "# Conditions and reasons",
        "",
        "<!-- Generated from core/botfleet/conditions.py: make generate -->",
        "",
        "`kubectl get telegrambot NAME -o yaml` shows them under `status.conditions`, `kubectl get telegrambots -o wide` the most of "
        "them in columns. `{…}` stands for a name or a number.",
        "",
        "**Unknown** means that nothing shows whether it is so, and the reason says why: nothing was proved or asked yet, no runner "
        "with the current spec reports, or there is no news of it. What was never proved is never called True.",
        "",
        "What a runner tells of model and restrictions changes the status at once when it gets better, and at most once a minute when "
        "it gets worse again, so that what goes to and fro causes no storm of writes.",
        "",
    ]
    for condition in ConditionType:
        info = CONDITIONS[condition]
        lines += [f"## {condition.value}", "", f"**True**: {info.true_means}. **Absent**: {info.absence_means}.", ""]
        if good := GOOD.get(condition):
            named = ", ".join(f"`{reason.value}`" for reason in Reason if reason in good)
            lines += [f"True with: {named}.", ""]
        lines += ["| reason | message, with the next action |", "|---|---|"]
        lines += [f"| `{r.value}` | {i.template} |" for r, i in REASONS.items() if condition in i.conditions]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(render())
