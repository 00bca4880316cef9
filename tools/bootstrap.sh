#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and the packages of this repository. Does nothing when it is up to date.
# It checks Python before anything starts; what else a command needs (root, Go, Debian packages) that command checks itself.
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
