"""Why: the operator (Python) and the chart's admission policy (CEL) hold the same limits; one list of cases for both.

Each case is what is listed, what is asked for, and whether that is allowed.
"""

RUNNER = "ghcr.io/botfleet/runner"
DIGEST = "sha256:" + "a" * 64

IMAGES: list[tuple[str, str, bool]] = [
    # The installation's own repository needs no entry; a name that only begins like it does.
    ("", f"{RUNNER}:1.2.3", True),
    ("", RUNNER, True),
    ("", f"{RUNNER}:1.2.3@{DIGEST}", True),
    ("", f"{RUNNER}@{DIGEST}", True),
    ("", f"{RUNNER}-evil:1", False),
    ("", f"{RUNNER}/evil:1", False),
    ("", f"{RUNNER}:1/evil", False),
    ("", f"{RUNNER}@sha256:abc", False),
    ("", f"evil.example/{RUNNER}:1", False),
    ("", "GHCR.io/botfleet/runner:1", False),
    ("", "runner:1", False),
    # A prefix is a folder, never a half word.
    ("registry.example/team/", "registry.example/team/runner:1", True),
    ("registry.example/team/", "registry.example/team/a/b@" + DIGEST, True),
    ("registry.example/team/", "registry.example/team/../evil:1", False),
    ("registry.example/team/", "registry.example/team/", False),
    ("registry.example/team/", "registry.example/teams/runner:1", False),
    ("registry.example/", "registry.example.evil.example/runner:1", False),
    ("registry.example/", "registry.example:5000/runner:1", False),
    ("registry.example:5000/team/", "registry.example:5000/team/runner", True),
    # A repository, or one image of it.
    ("registry.example/fork", "registry.example/fork:2", True),
    ("registry.example/fork", "registry.example/forked:2", False),
    ("registry.example/fork:2", "registry.example/fork:2", True),
    ("registry.example/fork:2", "registry.example/fork:20", False),
    # A digest alone says what runs, so it would be any image of the repository.
    ("registry.example/fork:2", "registry.example/fork:2@" + DIGEST, False),
    ("registry.example/fork:2", "registry.example/fork@" + DIGEST, False),
    ("registry.example/fork:2", "registry.example/fork", False),
    ("registry.example:5000/fork:2", "registry.example:5000/fork:2", True),
    ("registry.example:5000/fork:2", "registry.example:5000/fork:2@" + DIGEST, False),
    ("registry.example:5000/fork", "registry.example:5000/fork:2@" + DIGEST, True),
    ("registry.example/fork@" + DIGEST, "registry.example/fork@" + DIGEST, True),
    ("registry.example/fork@" + DIGEST, "registry.example/fork@sha256:" + "b" * 64, False),
    ("registry.example/fork@" + DIGEST, "registry.example/fork:2@" + DIGEST, False),
    ("registry.example/fork@" + DIGEST, f"registry.example/fork@{DIGEST}@{DIGEST}", False),
    ("registry.example/fork:2@" + DIGEST, "registry.example/fork:2@" + DIGEST, True),
    ("registry.example/fork:2@" + DIGEST, "registry.example/fork:2", False),
    ("*", "anything.example/at/all:1", True),
]

ENDPOINTS: list[tuple[str, str, bool]] = [
    # Nothing listed: OpenAI's own, whose address the built-in default is.
    ("", "https://api.openai.com/v1", True),
    ("", "https://api.openai.com/v1/", True),
    ("", "https://API.OpenAI.com/v1", True),
    ("", "https://api.openai.com:443/v1", True),
    ("", "https://api.openai.com/v2", False),
    ("", "https://api.openai.com/v1evil", False),
    ("", "http://api.openai.com/v1", False),
    ("", "https://api.openai.com.evil.example/v1", False),
    ("", "https://api.openai.com./v1", False),
    ("", "https://evil-api.openai.com/v1", False),
    ("", "https://api.openai.com@evil.example/v1", False),
    ("", "https://api.openai.com:443@evil.example/v1", False),
    ("", "https://user:word@api.openai.com/v1", False),
    ("", "https://evil.example/https://api.openai.com/v1", False),
    ("", "https://evil.example\\@api.openai.com/v1", False),
    ("", "https://evil.example#@api.openai.com/v1", False),
    ("", "https://evil.example?@api.openai.com/v1", False),
    ("", "https://api.openai.com:8443/v1", False),
    ("", "https://api.openai.com:80/v1", False),
    ("", "https://api.openai.com:0443/v1", False),
    ("", "https://api.openai.com:/v1", False),
    ("", "https://api.openai.com/v1/../evil", False),
    ("", "https://api.openai.com/v1/..", False),
    ("", "https://api.openai.com/v1/%2e%2e/evil", False),
    ("", "https://api.openai.com/v1?to=evil", False),
    ("", "https://api.openai.com/v1\n", False),
    ("", "https://api.openai.com", False),
    ("", "https:///v1", False),
    ("", "https://\u0430pi.openai.com/v1", False),  # a Cyrillic letter
    # A host alone means https, its own port, and every path.
    ("models.example", "https://models.example", True),
    ("models.example", "https://models.example/any/path", True),
    ("models.example", "http://models.example/", False),
    ("models.example", "https://models.example.evil.example", False),
    ("models.example", "https://api.openai.com/v1", False),  # what is listed is all that there is
    ("https://models.example:8443/v1/", "https://models.example:8443/v1", True),
    ("https://models.example:8443/v1/", "https://models.example/v1", False),
    ("http://models.svc:80", "http://models.svc/v1", True),
    ("http://models.svc", "https://models.svc/v1", False),
    ("http://[fd00::1]:8000", "http://[FD00::1]:8000/v1", True),
    ("http://[fd00::1]:8000", "http://[fd00::2]:8000/v1", False),
    ("*", "http://anything.example:1/at?all", True),
]
