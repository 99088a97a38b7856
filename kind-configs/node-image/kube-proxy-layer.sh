#!/bin/sh
# Writes the files that kube-proxy's image needs beside its binary to the tar file $1: iptables of
# both kinds, nft, conntrack and a shell, each with its libraries. Runs inside the node's own base,
# so that node and kube-proxy always have the same iptables.
set -eu

programs="/bin/dash /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi /usr/sbin/nft
  /usr/sbin/conntrack /bin/kmod /usr/bin/grep"
extensions=$(dirname "$(find /usr/lib -name libxt_statistic.so)")

root=$(mktemp -d)
add() { # the file under its own path, links resolved
  mkdir -p "$root$(dirname "$1")"
  cp -L "$1" "$root$1"
}
for program in $programs; do
  add "$program"
done
for object in $programs "$extensions"/*.so; do
  ldd "$object" 2> /dev/null | grep -o '/[^ ]*' | while read -r library; do
    [ -e "$root$library" ] || add "$library"
  done
done
mkdir -p "$root$extensions" "$root/run" "$root/tmp" "$root/etc"
cp -L "$extensions"/*.so "$root$extensions/"
cp /etc/protocols /etc/services /etc/ethertypes "$root/etc/" 2> /dev/null || true
ln -s dash "$root/bin/sh"
ln -s ../bin/kmod "$root/usr/sbin/modprobe"
# kubelet marks the iptables that the node uses with this chain (KEP-3178); the other kind would
# write rules that nobody else sees. The first call decides for all later ones.
cat > "$root/usr/sbin/iptables-choose" << 'CHOOSE'
#!/bin/sh
kind=
[ -e /run/iptables-kind ] && read -r kind < /run/iptables-kind
if [ -z "$kind" ]; then
  kind=nft
  if ! /usr/sbin/xtables-nft-multi iptables-save -t mangle 2> /dev/null | grep -q KUBE-IPTABLES-HINT \
    && /usr/sbin/xtables-legacy-multi iptables-save -t mangle 2> /dev/null | grep -q KUBE-IPTABLES-HINT
  then
    kind=legacy
  fi
  echo "$kind" > /run/iptables-kind
fi
exec "/usr/sbin/xtables-$kind-multi" "${0##*/}" "$@"
CHOOSE
chmod 755 "$root/usr/sbin/iptables-choose"
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -s iptables-choose "$root/usr/sbin/$name"
done
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$root" -cf "$1.part" .
mv "$1.part" "$1"
