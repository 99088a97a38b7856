#!/bin/sh
# Imports image archives into the store of a containerd that lives for just that long.
# Layers are not unpacked here: that would store them twice; the node does it at its first start.
set -eu

containerd --log-level warn &
daemon=$!
tries=0
until ctr version > /dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 150 ] || { echo "containerd does not answer" >&2; exit 1; }
  kill -0 "$daemon" || { echo "containerd ended" >&2; exit 1; }
  sleep 0.2
done
for archive in "$@"; do
  ctr --namespace k8s.io images import --all-platforms --no-unpack "$archive"
done
kill "$daemon"
wait "$daemon" || true
