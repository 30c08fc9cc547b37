#!/bin/sh
# Usage: install-guest.sh [--wheels FOLDER] [SOURCE]
# Installs guestmux in this machine from SOURCE, a source tree or wheel (default: the tree that this script is in),
# into /opt/guestmux, with its units, bus policy and user. With --wheels nothing is fetched: all comes from FOLDER.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix=/opt/guestmux
pip_options=""
if [ "${1:-}" = --wheels ]; then
    pip_options="--no-index --find-links=$2"
    shift 2
fi
source=${1:-$here/..}

[ "$(id -u)" = 0 ] || { echo "install-guest.sh: must be run as root" >&2; exit 1; }

python3 -m venv "$prefix"
# shellcheck disable=SC2086  # a list of options
"$prefix/bin/pip" install --quiet --disable-pip-version-check --root-user-action=ignore $pip_options "$source[guest,fast,host]"
for program in guestmux guestmux-eventd guestmux-session; do
    ln -sf "$prefix/bin/$program" "/usr/local/bin/$program"
done

install -D -m 644 -t /usr/lib/sysusers.d "$here/sysusers.d/guestmux.conf"
install -D -m 644 -t /usr/lib/systemd/system "$here/systemd/guestmux-eventd.service"
install -D -m 644 -t /usr/lib/systemd/user "$here/systemd/user/guestmux-session.service"
install -D -m 644 -t /usr/share/dbus-1/system.d "$here/dbus/org.guestmux.conf"
install -D -m 644 -t /usr/lib/udev/rules.d "$here/udev/60-guestmux.rules"
install -D -m 644 -t /usr/share/polkit-1/rules.d "$here/polkit/org.guestmux.rules"
install -D -m 644 -t /usr/share/guestmux "$here/eventd.toml"
[ -e /etc/guestmux/eventd.toml ] || install -D -m 644 -t /etc/guestmux "$here/eventd.toml"

systemd-sysusers guestmux.conf
systemctl --quiet enable guestmux-eventd.service
systemctl --quiet --global enable guestmux-session.service
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl reload dbus.service
    systemctl restart guestmux-eventd.service
fi
