#!/bin/sh
# Makes every request of this directory anew, with the programs that XMPP servers really use, and writes versions.txt.
#
# On a Debian 12 machine, as root:
#   apt-get install openssl prosody gnutls-bin python3-cryptography openjdk-17-jre-headless
#   softhsm-tests/requests/make.sh [DIR]
#
# DIR defaults to the script's own directory. The keys live in a temporary directory and are deleted at the end.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
out=$(cd "$out" && pwd)
for program in openssl prosodyctl certtool keytool /usr/bin/python3; do
    command -v "$program" >/dev/null || { echo "make.sh: $program is missing; see the apt-get line in this script" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

# --- OpenSSL, as hostmasters type it -------------------------------------------------------------------------------
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout a.key -out "$out/openssl-p256.pem" \
    -subj /CN=chat.example.org -addext 'subjectAltName=DNS:chat.example.org,DNS:conference.chat.example.org'
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout b.key -outform DER -out "$out/openssl-p384.der" \
    -sha384 -subj '/C=NL/O=Example Chat Foundation/CN=im.example.org' -addext subjectAltName=DNS:im.example.org
openssl req -new -newkey rsa:2048 -nodes -keyout c.key -out "$out/openssl-rsa2048.csr" \
    -subj /CN=jabber.example.org -addext 'subjectAltName=DNS:jabber.example.org,DNS:muc.jabber.example.org,DNS:upload.jabber.example.org'
openssl req -new -newkey rsa:3072 -nodes -keyout d.key -outform DER -out "$out/openssl-rsa3072.der" \
    -subj /CN=talk.example.com -addext subjectAltName=DNS:talk.example.com
cat >srv.cnf <<'CNF'
[req]
prompt = no
distinguished_name = dn
req_extensions = ext
[dn]
CN = example.org
[ext]
subjectAltName = @san
[san]
DNS.1 = example.org
DNS.2 = xmpp.example.org
otherName.1 = 1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.example.org
otherName.2 = 1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-client.example.org
CNF
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout e.key -out "$out/openssl-srvname.pem" -config srv.cnf
# Old scripts still make requests without any subjectAltName. -text puts the readable form before the PEM block.
openssl req -new -newkey rsa:2048 -nodes -keyout f.key -text -out "$out/openssl-cn-only.pem" -subj /CN=old.example.com

# --- Prosody -------------------------------------------------------------------------------------------------------
# Run as root, prosodyctl puts what it makes where `certificates` says. The empty lines take every offered answer:
# key size 2048, then the six parts of the name.
mkdir certs data
cat >prosody.cfg.lua <<LUA
run_as_root = true
certificates = "certs"
data_path = "$work/data"
modules_enabled = {}
VirtualHost "chat.example.net"
VirtualHost "xmpp.example.net"
Component "conference.xmpp.example.net" "muc"
LUA
printf '\n\n\n\n\n\n\n' | prosodyctl --config "$work/prosody.cfg.lua" cert request chat.example.net >prosody.log 2>&1
cp certs/chat.example.net.req "$out/prosody-host.req"
# With the component named as well, Prosody 0.12 writes the component's names twice: real requests look like that.
printf '\n\n\n\n\n\n\n' | prosodyctl --config "$work/prosody.cfg.lua" cert request xmpp.example.net conference.xmpp.example.net >>prosody.log 2>&1
cp certs/xmpp.example.net.req "$out/prosody-muc.req"

# --- Python cryptography -------------------------------------------------------------------------------------------
/usr/bin/python3 - "$out" <<'PY'
import sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

SRV = ObjectIdentifier("1.3.6.1.5.5.7.8.7")
XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")

def string(tag, text):
    octets = text.encode()
    assert len(octets) < 128
    return bytes([tag, len(octets)]) + octets

def srv(name):
    return x509.OtherName(SRV, string(0x16, name))

def addr(name):
    return x509.OtherName(XMPP_ADDR, string(0x0C, name))

def request(curve, digest, cn, names):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not cn)
    return builder.sign(ec.generate_private_key(curve), digest)

def write(name, csr, encoding):
    with open(f"{sys.argv[1]}/{name}", "wb") as f:
        f.write(csr.public_bytes(encoding))

write("python-srvname.pem", request(ec.SECP256R1(), hashes.SHA256(), "chat.example.com", [
    x509.DNSName("chat.example.com"), srv("_xmpp-server.chat.example.com"), srv("_xmpp-client.chat.example.com"),
    addr("chat.example.com")]), serialization.Encoding.PEM)
# No subject at all, and an internationalised name in A-label form.
write("python-idn.der", request(ec.SECP384R1(), hashes.SHA384(), None, [
    x509.DNSName("xn--bcher-kva.example.org"), srv("_xmpp-server.xn--bcher-kva.example.org")]), serialization.Encoding.DER)
PY

# --- Java keytool --------------------------------------------------------------------------------------------------
store="-keystore $work/store.p12 -storetype PKCS12 -storepass throw-away"
keytool -genkeypair $store -alias ec -keyalg EC -groupname secp256r1 -dname 'CN=openfire.example.net, O=Example Net' 2>>keytool.log
keytool -certreq $store -alias ec -ext san=dns:openfire.example.net,dns:conference.openfire.example.net \
    -file "$out/keytool-ec.csr" 2>>keytool.log
keytool -genkeypair $store -alias rsa -keyalg RSA -keysize 3072 -dname 'CN=tigase.example.net, OU=Messaging, O=Example Net, C=DE' 2>>keytool.log
keytool -certreq $store -alias rsa -ext san=dns:tigase.example.net -file "$out/keytool-rsa.csr" 2>>keytool.log

# --- GnuTLS certtool -----------------------------------------------------------------------------------------------
certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile g.key 2>>certtool.log
cat >g.tmpl <<'TMPL'
cn = "gnutls.example.com"
dns_name = "gnutls.example.com"
dns_name = "conference.gnutls.example.com"
xmpp_name = "gnutls.example.com"
TMPL
certtool --generate-request --load-privkey g.key --template g.tmpl --outfile "$out/certtool-xmppaddr.pem" 2>>certtool.log
certtool --generate-privkey --key-type rsa --bits 2048 --outfile h.key 2>>certtool.log
# other_name takes the value in DER: an IA5String (RFC 4985).
srv=_xmpp-server.friends.example.net
cat >h.tmpl <<TMPL
cn = "friends.example.net"
dns_name = "friends.example.net"
other_name = "1.3.6.1.5.5.7.8.7 16$(printf '%02x' ${#srv})$(printf %s "$srv" | od -An -v -tx1 | tr -d ' \n')"
TMPL
certtool --generate-request --load-privkey h.key --template h.tmpl --outder --outfile "$out/certtool-srvname.der" 2>>certtool.log

# --- To be refused -------------------------------------------------------------------------------------------------
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout i.key -out "$out/refused-name.pem" \
    -subj /CN=shop.example.com -addext 'subjectAltName=DNS:shop.example.com,DNS:bank.example.com'
openssl req -new -newkey rsa:1024 -nodes -keyout j.key -out "$out/refused-rsa1024.pem" \
    -subj /CN=small.example.org -addext subjectAltName=DNS:small.example.org
openssl req -new -newkey rsa:2048 -nodes -keyout k.key -sha1 -out "$out/refused-sha1.pem" \
    -subj /CN=ancient.example.org -addext subjectAltName=DNS:ancient.example.org
# One bit of the signature's last octet is turned over: the key's owner did not sign this.
openssl req -new -newkey rsa:2048 -nodes -keyout l.key -outform DER -out damaged.der \
    -subj /CN=damaged.example.org -addext subjectAltName=DNS:damaged.example.org
/usr/bin/python3 - damaged.der "$out/refused-signature.der" <<'PY'
import sys
octets = bytearray(open(sys.argv[1], "rb").read())
octets[-1] ^= 1
open(sys.argv[2], "wb").write(octets)
PY

{
    sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release
    openssl version
    dpkg-query -W -f 'prosody ${Version}\n' prosody
    certtool --version | sed -n 1p
    /usr/bin/python3 -c 'import cryptography; print("Python cryptography", cryptography.__version__)'
    java -version 2>&1 | sed -n 2p
} >"$out/versions.txt"
chmod 644 "$out"/*.pem "$out"/*.der "$out"/*.csr "$out"/*.req "$out/versions.txt"
