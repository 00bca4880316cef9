#!/bin/sh
# Installs Debian packages within an image build: install-debian.sh CONTEXT PACKAGE… From the context where the packages were
# downloaded before (no network is needed then), otherwise by apt-get. Starts no service, makes no database, keeps no key.
set -eu
context=$1
shift
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/postgresql-common/createcluster.d /etc/dpkg/dpkg.cfg.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/image.conf
printf 'path-exclude=/usr/share/%s/*\n' man info locale doc > /etc/dpkg/dpkg.cfg.d/image
echo 'path-include=/usr/share/doc/*/copyright' >> /etc/dpkg/dpkg.cfg.d/image

if [ -d "$context/debs" ]; then
    dpkg --unpack "$context"/debs/*.deb
    dpkg --configure --pending
else
    apt-get update
    apt-get install --yes --no-install-recommends "$@"
    rm -rf /var/lib/apt/lists/*
fi

# ssl-cert makes a key when it is installed: every container of the image would share it.
rm -rf /etc/ssl/private/* /etc/ssl/certs/ssl-cert-snakeoil.pem /var/log/* /var/cache/apt/* /var/cache/debconf/*-old \
    /usr/sbin/policy-rc.d /etc/postgresql-common/createcluster.d/image.conf
