#!/bin/sh
# Makes sure that there is a real nginx for test_prefix.py; says so in one line where there cannot be one.
PATH="$PATH:/usr/sbin:/usr/local/sbin"
command -v nginx >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing nginx for the test of a path prefix"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1  # nothing is started
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light; } >/dev/null 2>&1
    command -v nginx >/dev/null 2>&1 && exit 0
fi
echo "no nginx found: the test behind a path prefix will be skipped"
exit 0
