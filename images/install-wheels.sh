#!/bin/sh
# Installs wheels into an image's virtual environment: install-wheels.sh CONTEXT WHEELS VENV. Exactly the wheels that
# CONTEXT/WHEELS/requirements.txt names go in, each checked by its hash; pip runs out of its own wheel and is not installed.
set -eu
context=$1
wheels=$1/$2
venv=$3
[ -d "$venv" ] || python3 -m venv --without-pip "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pip() { "$venv/bin/python" "$context/pip.whl/pip" --disable-pip-version-check --no-cache-dir --no-input "$@"; }

before=$(mktemp)
pip install --quiet --no-index --no-deps --no-compile --require-hashes \
    --find-links "$wheels" --requirement "$wheels/requirements.txt"
[ "$2" = dependencies ] || pip check

# Nothing imports the packages' own tests, typing stubs and C sources.
find "$site" -depth -type d -name tests -exec rm -rf {} +
find "$site" -type f \( -name '*.pyi' -o -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf "$venv"/bin/activate* "$venv"/bin/Activate* "$venv/include"

# The .pyc files hold whatever becomes of the sources' times on the way into a layer: they are not checked against them.
# Only what this step brought is compiled.
{ find "$site" -mindepth 1 -maxdepth 1 -cnewer "$before" ! -name __pycache__; find "$venv" -mindepth 1 -maxdepth 1 -name share; } \
    | "$venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash -i -
rm "$before"
