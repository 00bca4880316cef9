#!/bin/sh
# Prepares the base image of a running container: the standard library compiled (the official image comes without .pyc
# files, and each of a thousand runners would compile it for itself), no package installers, a name for the user.
set -eu
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
rm -rf "$library/ensurepip" "$library"/site-packages/pip "$library"/site-packages/pip-* \
    "$library"/site-packages/setuptools "$library"/site-packages/setuptools-* "$library"/site-packages/wheel \
    "$library"/site-packages/wheel-* /usr/local/bin/pip* /usr/local/bin/wheel* /usr/local/bin/idle* /usr/local/bin/2to3*
python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(test|tests|idlelib|lib2to3|turtledemo|tkinter)/' "$library"
echo 'botfleet:x:65532:65532:Botfleet:/tmp:/usr/sbin/nologin' >> /etc/passwd
echo 'botfleet:x:65532:' >> /etc/group
