#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and the packages of this repository. Does nothing when it is up to date.
# `tools/bootstrap.sh cluster` is for commands that make a cluster: then root and Go are checked too, before anything starts,
# unless Docker runs (kind needs neither). Debian packages are installed by the command that needs them.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
PACKAGES=(core botrunner operator simulator tools)
GO=1.26.8  # what the remedy installs
typed=${BOTFLEET_TYPED:-make …}
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo "
install="${sudo}apt-get update && ${sudo}apt-get install --yes"

# The same words as in botfleet_tools/prerequisites.py, which is not installed yet.
missing=""
python_is_missing() {
  missing+="  - Python 3.11 or newer (Debian has it since 12); $1"$'\n'
  missing+="    run: $install python3 python3-venv && $typed PYTHON=/usr/bin/python3"$'\n'
}
refuse_when_missing() {
  [ -n "$missing" ] || return 0
  printf 'missing on this machine:\n%s' "$missing" >&2
  exit 1
}

if ! "$PYTHON" -c "" 2>/dev/null; then
  python_is_missing "$PYTHON cannot be run"
elif ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  python_is_missing "found $("$PYTHON" -c 'import sys; print(sys.version.split()[0])')"
fi

if [ "${1:-}" = cluster ] && ! docker info >/dev/null 2>&1; then
  if [ -n "$sudo" ]; then
    missing+="  - root (namespaces, mounts and Debian packages)"$'\n'
    missing+="    run: sudo -E env \"PATH=\$PATH\" $typed"$'\n'
  fi
  go=$( (GOTOOLCHAIN=local go version 2>/dev/null || true) | sed -n 's/.* go\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  read -r major minor <<<"${go:-0 0}"
  if [ "$major" -lt 1 ] || { [ "$major" = 1 ] && [ "$minor" -lt 24 ]; }; then
    found="there is none on PATH"
    [ -z "$go" ] || found="found $major.$minor"
    missing+="  - Go 1.24 or newer (builds the Kubernetes programs); $found"$'\n'
    # The sha256 that https://go.dev/dl/ publishes.
    case $(uname -m) in
      x86_64) go=amd64 sum=d0f743b33e8d8945e6b1f432edd15785c70507121d6e2a723b21285eddf8b57b ;;
      aarch64) go=arm64 sum=211ffced9dcb9633a55eac6364816ec0ddd951389a740e88fa8b3337971bdda0 ;;
      *) go="" ;;
    esac
    if [ -n "$go" ]; then
      missing+="    run: $install curl ca-certificates && go=\$(mktemp)"
      missing+=" && curl -fsSLo \"\$go\" https://go.dev/dl/go$GO.linux-$go.tar.gz && echo \"$sum  \$go\" | sha256sum --check"
      missing+=" && ${sudo}tar -xzf \"\$go\" --one-top-level=/usr/local/go$GO --strip-components=1"
      missing+=" && export PATH=/usr/local/go$GO/bin:\"\$PATH\""$'\n'
    else
      missing+="    run: what https://go.dev/doc/install says"$'\n'
    fi
  fi
fi
refuse_when_missing

want=$(cat tools/bootstrap.sh requirements/uv.txt requirements/dev.txt "${PACKAGES[@]/%//pyproject.toml}" | sha256sum | cut -c1-64)
want="$want $("$PYTHON" -c 'import sys; print(sys.version)' | tr -d '\n') $PWD"
if [ -f .venv/.made-from ] && [ "$(cat .venv/.made-from)" = "$want" ]; then
  exit 0
fi

if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null && { [ -n "$sudo" ] || ! command -v apt-get >/dev/null; }; then
  missing+="  - Python's module venv"$'\n'"    run: $install python3-venv"$'\n'
fi
refuse_when_missing

started=$SECONDS

# Says every 15 s (on a terminal every second, in one line) what is being done and for how long. What is being done, it is
# told on its input; it ends with that input, so with this script, however that ends.
heartbeat() {
  local what="" told part="" every=${BOTFLEET_HEARTBEAT_SECONDS:-15} begin="  " end=$'\n'
  if [ -t 2 ]; then
    every=${BOTFLEET_HEARTBEAT_SECONDS:-1} begin=$'\r\e[K  ' end=""
  fi
  while true; do
    if IFS= read -rt "$every" told; then
      what=$part$told part=""
      [ -t 2 ] || continue
    elif [ $? -le 128 ]; then  # more than 128: no whole line came within the time; else: there is nobody any more
      break
    else
      part+=$told
    fi
    printf '%sMaking .venv: %s — %s s so far%s' "$begin" "$what" "$((SECONDS - started))" "$end" >&2
  done
  [ ! -t 2 ] || printf '\r\e[K' >&2
}

quiet() {
  exec {tell}>&-
  wait "$heart" || true
}

# Runs a command that is silent unless it fails: step WHAT COMMAND …
step() {
  local what=$1 said
  shift
  echo "$what" >&"$tell"
  if ! said=$("$@" 2>&1 {tell}>&-); then
    quiet
    printf '%s\nMaking .venv failed at: %s\n' "$said" "$what" >&2
    exit 1
  fi
}

echo "Making .venv with $("$PYTHON" -V) and the pinned packages of requirements/dev.txt …" >&2
exec {tell}> >(heartbeat)
heart=$!
if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
  echo "Installing the Debian package python3-venv …" >&2
  step "apt-get update" apt-get update
  step "apt-get install python3-venv" apt-get install -y --no-install-recommends python3-venv
fi
if ! .venv/bin/python -c "import sys; sys.exit(sys.version != '''$("$PYTHON" -c 'import sys; print(sys.version)')'''); import pip" 2>/dev/null; then
  rm -rf .venv
  step "python -m venv" "$PYTHON" -m venv .venv
fi
step "uv" .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
export VIRTUAL_ENV="$PWD/.venv"
# Compiled once: where the environment forbids Python to write bytecode, each process would compile its libraries anew.
step "the pinned packages" .venv/bin/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt
for package in "${PACKAGES[@]}"; do
  step "the package $package" .venv/bin/uv pip install --quiet --no-deps --no-build-isolation -e "./$package"
done
step "the bytecode of the packages" .venv/bin/python -m compileall -q -j 2 "${PACKAGES[@]}"
echo "$want" >.venv/.made-from
quiet
echo "Made .venv in $((SECONDS - started)) s." >&2
