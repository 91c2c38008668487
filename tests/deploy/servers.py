"""How each MTA is made ready: users, queues, and its stock configuration around ours."""

from tests.deploy.box import Server

# Its packages make these users when they are installed.
_POSTFIX_PREPARE = """\
echo 'postfix:x:900:900::/var/spool/postfix:/bin/false' >> /etc/passwd
echo 'postfix:x:900:' >> /etc/group
echo 'postdrop:x:901:' >> /etc/group
echo 'root: root@localhost' > /etc/aliases
cp /usr/share/postfix/dynamicmaps.cf /etc/postfix/dynamicmaps.cf
cat /usr/share/postfix/main.cf.debian /etc/postfix/added/main.cf > /etc/postfix/main.cf
cat /usr/share/postfix/master.cf.dist /etc/postfix/added/master.cf > /etc/postfix/master.cf
postconf -F '*/*/chroot=n'
postconf -M# smtp/inet
postconf -e maillog_file=/dev/stdout inet_interfaces=127.0.0.1 inet_protocols=ipv4 \
    myhostname=mail.shop.example mydestination= alias_maps=
postfix set-permissions >/dev/null 2>&1 || true
"""
POSTFIX = Server(package="postfix", prepare=_POSTFIX_PREPARE, command="/usr/sbin/postfix start-fg")

_EXIM_PREPARE = """\
echo 'Debian-exim:x:902:902::/var/spool/exim4:/bin/false' >> /etc/passwd
echo 'Debian-exim:x:902:' >> /etc/group
mkdir -p /var/spool/exim4 /var/log/exim4
chown Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4
chown root:root /etc/exim4/exim4.conf
chmod 4755 /usr/sbin/exim4
"""
EXIM = Server(
    package="exim4-daemon-light",
    prepare=_EXIM_PREPARE,
    command="/usr/sbin/exim4 -bdf -q1m -C /etc/exim4/exim4.conf",
)

_OPENSMTPD_PREPARE = """\
echo 'opensmtpd:x:903:903::/run/opensmtpd/empty:/bin/false' >> /etc/passwd
echo 'opensmtpq:x:904:904::/run/opensmtpd/empty:/bin/false' >> /etc/passwd
echo 'opensmtpd:x:903:' >> /etc/group
echo 'opensmtpq:x:904:' >> /etc/group
mkdir -p /run/opensmtpd/empty /var/empty
chmod 711 /run/opensmtpd /run/opensmtpd/empty
"""
OPENSMTPD = Server(
    package="opensmtpd",
    prepare=_OPENSMTPD_PREPARE,
    command="/usr/sbin/smtpd -d -f /etc/smtpd.conf",
)
