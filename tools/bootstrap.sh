#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and the packages of this repository. Does nothing when it is up to date.
# `tools/bootstrap.sh cluster` is for commands that make a cluster: then root and Go are checked too, before anything starts,
# unless Docker runs (kind needs neither). Debian packages are installed by the command that needs them.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
PACKAGES=(core botrunner operator simulator tools)

if ! command -v "$PYTHON" >/dev/null; then
  echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv" >&2
  exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Python 3.11 or newer is needed; $PYTHON is $("$PYTHON" -V). Name another one: make PYTHON=python3.12 …" >&2
  exit 1
fi

if [ "${1:-}" = cluster ] && ! docker info >/dev/null 2>&1; then
  missing=""
  if [ "$(id -u)" != 0 ]; then
    missing+="  - root (namespaces, mounts and Debian packages)"$'\n'"    run: sudo -E make ${MAKECMDGOALS:-…}"$'\n'
  fi
  go=$( (GOTOOLCHAIN=local go version 2>/dev/null || true) | sed -n 's/.* go\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  read -r major minor <<<"${go:-0 0}"
  if [ "$major" -lt 1 ] || { [ "$major" = 1 ] && [ "$minor" -lt 24 ]; }; then
    missing+="  - Go 1.24 or newer (builds the Kubernetes programs); found: ${go:-none on PATH}"$'\n'
    missing+="    run: the commands of https://go.dev/doc/install (Debian 12 has an older Go), then export PATH=/usr/local/go/bin:\$PATH"$'\n'
  fi
  if [ -n "$missing" ]; then
    printf 'missing on this machine:\n%s' "$missing" >&2
    exit 1
  fi
fi

want=$(cat tools/bootstrap.sh requirements/uv.txt requirements/dev.txt "${PACKAGES[@]/%//pyproject.toml}" | sha256sum | cut -c1-64)
want="$want $("$PYTHON" -c 'import sys; print(sys.version)' | tr -d '\n') $PWD"
if [ -f .venv/.made-from ] && [ "$(cat .venv/.made-from)" = "$want" ]; then
  exit 0
fi

started=$SECONDS
echo "Making .venv with $("$PYTHON" -V) and the pinned packages of requirements/dev.txt …" >&2
if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing the Debian package python3-venv …" >&2
    { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null
  else
    echo "Python's venv module is needed: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi
if ! .venv/bin/python -c "import sys; sys.exit(sys.version != '''$("$PYTHON" -c 'import sys; print(sys.version)')'''); import pip" 2>/dev/null; then
  rm -rf .venv
  "$PYTHON" -m venv .venv
fi
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
export VIRTUAL_ENV="$PWD/.venv"
.venv/bin/uv pip install --quiet --require-hashes -r requirements/dev.txt
for package in "${PACKAGES[@]}"; do
  .venv/bin/uv pip install --quiet --no-deps --no-build-isolation -e "./$package"
done
echo "$want" >.venv/.made-from
echo "Made .venv in $((SECONDS - started)) s." >&2
