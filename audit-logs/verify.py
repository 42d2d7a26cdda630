#!/usr/bin/env python3
"""Independent verifier of coldroot's audit logs.

    verify.py LOGDIR --verifier-key KEY [--root ROOT.pem]... [--allow-unverified] [--json]
    verify.py --proof PROOF --verifier-key KEY [--certificate CERTIFICATE [--root ROOT.pem]...] [--json]

LOGDIR is a station's `audit` directory or the `log` directory of a release. KEY (name+hash+base64) and the root
certificates come from somewhere else than the log: from paper, from a web page, from the ceremony's minutes. KEY may be a file
that holds it.

PROOF shows without the log that one entry is on record (FORMAT.md, section 9); CERTIFICATE, PEM or DER, is the one that it must be of.
With --root the certificates behind it in its file must lead to one of the roots: signatures and names, no dates.

Written from FORMAT.md and the standards it names (C2SP tlog-tiles, tlog-checkpoint, signed-note; RFC 9162 section 2.1;
RFC 8949 section 4.2.1; RFC 5280). It needs Python 3.9 or later and the package `cryptography`, and shares no code with the
program that writes the logs.

ML-DSA needs a recent `cryptography`, SLH-DSA is in none yet. Signatures that cannot be verified here make the log refused, and
say so; with --allow-unverified they are counted and named instead, and everything else is checked.

Exit code 0: everything that can be checked is right. 4: it is not; one line on stderr says why. 2: wrong usage.
"""

import argparse
import base64
import calendar
import hashlib
import json
import os
import re
import sys
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:
    mldsa = None

MAX_NOTE = 4096
MAX_SIZE = 1 << 48
MAX_ENTRY = 65_535
MAX_DEPTH = 16
WIDTH = 256


class Refused(Exception):
    """The log is not right. `entry` is the index where it showed, if there is one."""

    def __init__(self, reason, entry=None):
        super().__init__(reason)
        self.reason = reason
        self.entry = entry

    def line(self):
        return self.reason if self.entry is None else "entry %d: %s" % (self.entry, self.reason)


def shown(text):
    """Text from the log, safe for a terminal."""
    text = str(text)
    safe = "".join(c if " " <= c <= "~" and c != "\\" else "\\u{%x}" % ord(c) for c in text[:200])
    return safe + ("..." if len(text) > 200 else "")


# --- deterministic CBOR -------------------------------------------------------------------------------------------------


SIMPLE = {0xF4: False, 0xF5: True, 0xF6: None}


class Cbor:
    """Reads one item in the one encoding that RFC 8949 section 4.2.1 allows; no floats, no tags."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    @staticmethod
    def loads(data):
        reader = Cbor(data)
        value = reader.item(0)
        if reader.at != len(data):
            raise Refused("CBOR with trailing octets")
        return value

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Refused("CBOR ends in the middle of an item")
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def argument(self, info):
        if info < 24:
            return info
        if info > 27:
            raise Refused("CBOR of indefinite length or reserved form")
        count = 1 << (info - 24)
        value = int.from_bytes(self.take(count), "big")
        smallest = 24 if count == 1 else 1 << (4 * count)
        if value < smallest:
            raise Refused("CBOR number is not in its shortest form")
        return value

    def item(self, depth):
        if depth > MAX_DEPTH:
            raise Refused("CBOR is nested too deeply")
        data, at = self.data, self.at
        if at >= len(data):
            raise Refused("CBOR ends in the middle of an item")
        head = data[at]
        self.at = at + 1
        major, value = head >> 5, head & 31
        if major == 7:
            if head not in SIMPLE:
                raise Refused("CBOR has a simple value or float that no entry has")
            return SIMPLE[head]
        if value >= 24:
            value = self.argument(value)
        if major == 3 or major == 2:
            end = self.at + value
            if end > len(data):
                raise Refused("CBOR ends in the middle of an item")
            part = data[self.at : end]
            self.at = end
            if major == 2:
                return part
            try:
                return str(part, "utf-8", "strict")
            except UnicodeDecodeError:
                raise Refused("CBOR text is not UTF-8")
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 4:
            return [self.item(depth + 1) for _ in range(self.bounded(value))]
        if major == 5:
            return self.map(self.bounded(value), depth)
        raise Refused("CBOR has a tag")

    def bounded(self, count):
        # Every element takes an octet at least.
        if count > len(self.data) - self.at:
            raise Refused("CBOR ends in the middle of an item")
        return count

    def map(self, count, depth):
        result, before = {}, None
        for _ in range(count):
            start = self.at
            key = self.item(depth + 1)
            encoded = self.data[start : self.at]
            if before is not None and encoded <= before:
                raise Refused("CBOR map keys are not sorted, or repeat")
            if not isinstance(key, str):
                raise Refused("CBOR map key is not text")
            before = encoded
            result[key] = self.item(depth + 1)
        return result


# --- what entries look like ---------------------------------------------------------------------------------------------


def u8(value):
    return type(value) is int and 0 <= value < 256


def u64(value):
    return type(value) is int and 0 <= value < 1 << 64


def i64(value):
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def text(value):
    return isinstance(value, str)


def octets(value):
    return isinstance(value, bytes)


def boolean(value):
    return isinstance(value, bool)


def digest(value):
    return isinstance(value, bytes) and len(value) == 32


def one_of(*names):
    return lambda value: isinstance(value, str) and value in names


def optional(check):
    return lambda value: value is None or check(value)


def list_of(check):
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def record(**fields):
    return exactly({name.replace("_", "-"): check for name, check in fields.items()})


def exactly(wanted):
    """A map with these keys and no others."""

    def fits(value):
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(check(value[name]) for name, check in wanted.items())
        )

    fits.fields = tuple(wanted)
    return fits


APPROVED = record(person=text, fingerprint=text, signature=digest)
DECISION = record(
    reason=text, release=u64, change=u64, approvals=list_of(APPROVED), operator=text, witness=text, witness_time=optional(i64)
)
BUNDLE = record(desk=text, sequence=u64, digest=digest)
COUNT = record(act=text, ca=text, detail=text, count=u64)
SHARE = record(custodian=optional(text), digest=digest)
ML_DSA = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
SLH_DSA = tuple("slh-dsa-%s-%d%s" % (family, bits, size) for family in ("sha2", "shake") for bits in (128, 192, 256) for size in "sf")
RSA = tuple("rsa-%d%s" % (bits, padded) for bits in (2048, 3072, 4096) for padded in ("", "-pss"))
KEY_ALGORITHM = one_of("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", *RSA, *ML_DSA, *SLH_DSA)

BODIES = {
    "genesis": record(
        origin=text,
        name=text,
        environment=one_of("real", "rehearsal"),
        hierarchy=digest,
        verifier_key=text,
        approvals=list_of(APPROVED),
        requesters=digest,
        program=text,
    ),
    "open": exactly({"mark-size": u64, "cut": u64}),
    "pin-try": record(token=text),
    "login": record(token=text, serial=text, module=text),
    "probe": record(token=text, serial=text, report=digest, able=boolean, protected=optional(boolean)),
    "inventory": record(
        token=text, serial=text, report=digest, right=u64, missing=u64, wrong=u64, unexpected=u64
    ),
    "pin-split": record(token=text, set=octets, threshold=u8, shares=list_of(SHARE)),
    "pin-split-done": record(token=text, set=octets, new_pin=boolean),
    "bundle-received": record(bundle=BUNDLE, count=u64, revocations=u64),
    "planned": record(
        plan=digest,
        kind=one_of("keys", "certificates"),
        items=u64,
        refused=u64,
        bundle=optional(BUNDLE),
        counts=list_of(COUNT),
    ),
    "start": record(
        plan=digest, approvals=list_of(APPROVED), operator=text, witness=text, witness_time=optional(i64)
    ),
    "key-generated": record(
        plan=digest,
        item=u64,
        key=text,
        token=text,
        label=text,
        cka_id=octets,
        algorithm=KEY_ALGORITHM,
        spki=octets,
        attributes=list_of(text),
        adopted=boolean,
    ),
    "wrapping-key-generated": record(
        plan=digest,
        item=u64,
        key=text,
        token=text,
        label=text,
        cka_id=octets,
        check_value=optional(octets),
        attributes=list_of(text),
        adopted=boolean,
    ),
    "key-backed-up": record(
        plan=digest,
        item=u64,
        key=text,
        token=text,
        spki=digest,
        wrapping_key=text,
        mechanism=text,
        backup=digest,
        signature=digest,
    ),
    "key-restored": record(
        plan=digest,
        item=u64,
        key=text,
        token=text,
        spki=digest,
        backup=digest,
        attributes=list_of(text),
        adopted=boolean,
        signature=digest,
    ),
    "key-proven": record(plan=digest, item=u64, key=text, token=text, spki=digest, signature=digest),
    "key-destroyed": record(
        plan=digest,
        item=u64,
        key=text,
        token=text,
        label=text,
        cka_id=octets,
        spki=digest,
        found=boolean,
        inventory=digest,
    ),
    "certificate": record(
        plan=digest,
        item=u64,
        ca=text,
        subject_ca=optional(text),
        request=optional(text),
        profile=text,
        requester=optional(digest),
        der=octets,
    ),
    "revoked": record(plan=digest, item=u64, ca=text, serial=octets, reason=optional(u8), date=i64),
    "crl": record(
        plan=digest, item=u64, ca=text, number=u64, this_update=i64, next_update=i64, crl=digest
    ),
    "csr": record(plan=digest, item=u64, ca=text, der=octets),
    "refused": record(plan=digest, request=text, check=text, reason=text),
    "void": record(
        plan=digest,
        reason=text,
        done=u64,
        approvals=list_of(APPROVED),
        operator=text,
        witness=text,
        witness_time=optional(i64),
    ),
    "end": record(plan=digest, release=u64, done=u64, refused=u64, manifest=digest),
    "release-written": record(release=u64, manifest=digest, checkpoint=digest, target=text),
    "hierarchy-adopted": record(before=digest, hierarchy=digest, decision=DECISION),
    "crl-adopted": record(
        ca=text, number=u64, this_update=i64, next_update=i64, crl=digest, entries=u64, unknown=u64, decision=DECISION
    ),
    "certificate-adopted": record(
        ca=text,
        csr=digest,
        der=octets,
        above=list_of(octets),
        replaces=optional(digest),
        not_before=i64,
        not_after=i64,
        differs=list_of(text),
        decision=DECISION,
    ),
    "log-adopted": record(
        mark_size=u64,
        mark_root=digest,
        mark_release=u64,
        mark_plan=optional(digest),
        mark_hierarchy=digest,
        token=text,
        size=u64,
        root=digest,
        release=u64,
        hierarchy=digest,
        decision=DECISION,
    ),
    "handed-over": exactly(
        {
            "token": text,
            "from": text,
            "to": text,
            "lost": boolean,
            "size": u64,
            "root": digest,
            "plan": optional(digest),
            "decision": DECISION,
        }
    ),
    "clock-corrected": exactly({"from": i64, "to": i64, "decision": DECISION}),
    "medium-read": record(name=text, digest=digest, octets=u64),
    "copy-written": record(target=text, size=u64, root=digest),
    "indexed": record(size=u64, digest=digest),
    "step": record(script=digest, number=u64, persons=list_of(text)),
    "deviation": record(what=text, persons=list_of(text)),
    "sampled": record(plan=digest, items=u64, count=u64, dice=text, differs=list_of(u64), persons=list_of(text)),
    "evidence": record(
        kind=one_of("hsm-log", "minutes", "photo", "other"),
        what=text,
        artefact=digest,
        withheld=boolean,
        octets=u64,
        person=text,
    ),
    "failure": record(what=text),
}


# Items of plans of kind `keys`.
KEY_KINDS = (
    "key-generated",
    "wrapping-key-generated",
    "key-backed-up",
    "key-restored",
    "key-proven",
    "key-destroyed",
)


def parse_entry(data):
    """The time, kind and body of an entry."""
    if not 0 < len(data) <= MAX_ENTRY:
        raise Refused("its length is not that of an entry")
    value = Cbor.loads(data)
    if not isinstance(value, dict) or value.keys() != {"v", "time", "body"}:
        raise Refused("it is not an entry")
    if type(value["v"]) is not int or value["v"] != 0:
        raise Refused("its version is unknown")
    body = value["body"]
    if not i64(value["time"]) or not isinstance(body, dict) or len(body) != 1:
        raise Refused("it is not an entry")
    ((kind, body),) = body.items()
    if kind not in BODIES:
        raise Refused("its kind is unknown: %s" % shown(kind))
    if not BODIES[kind](body):
        raise Refused("a field of this `%s` entry is missing, unknown or of the wrong type" % kind)
    return value["time"], kind, body


# --- signed notes -------------------------------------------------------------------------------------------------------

ORIGIN = re.compile(r"[!-*,-~]{1,128}")


def strict_base64(data):
    try:
        decoded = base64.b64decode(data.encode("ascii"), validate=True)
    except (ValueError, UnicodeEncodeError):
        raise Refused("base64 is malformed")
    if base64.b64encode(decoded).decode() != data:
        raise Refused("base64 is malformed")
    return decoded


# SubjectPublicKeyInfo of a P-256 key up to its point, which is not compressed.
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


class VerifierKey:
    def __init__(self, line):
        self.line = line
        try:
            self.name, _, rest = line.partition("+")
            hexed, _, key = rest.partition("+")
            key = strict_base64(key)
        except Refused:
            raise Refused("the verifier key is malformed")
        if not ORIGIN.fullmatch(self.name):
            raise Refused("the verifier key is malformed")
        # The key's type decides how a signature is verified; nothing in a note does.
        if len(key) == 33 and key[0] == 1:
            named = self.name.encode() + b"\n" + key
            self.public = ed25519.Ed25519PublicKey.from_public_bytes(key[1:])
        elif len(key) == 92 and key[0] == 2 and key[1:].startswith(P256):
            named = key[1:]
            try:
                self.public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key[27:])
            except ValueError:
                raise Refused("the verifier key is no point of its curve")
        else:
            raise Refused("the verifier key is malformed, or neither Ed25519 nor ECDSA P-256")
        self.id = hashlib.sha256(named).digest()[:4]
        if self.id.hex() != hexed:
            raise Refused("the verifier key is mistyped: its hash does not fit")

    def verify(self, signature, signed):
        if isinstance(self.public, ed25519.Ed25519PublicKey):
            self.public.verify(signature, signed)
        else:
            self.public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


def open_checkpoint(data, key):
    """Size and root of the checkpoint, its signature verified."""
    if len(data) > MAX_NOTE:
        raise Refused("the checkpoint is too large")
    try:
        note = data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refused("the checkpoint is not a signed note")
    signed, found, signatures = note.rpartition("\n\n")
    signed += "\n"
    if not found or not signatures.endswith("\n"):
        raise Refused("the checkpoint is not a signed note")
    ours = []
    for line in signatures[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^\\s+]+) ([A-Za-z0-9+/=]+)", line)
        if not match:
            raise Refused("a signature line of the checkpoint is malformed")
        value = strict_base64(match[2])
        if len(value) < 5:
            raise Refused("a signature line of the checkpoint is malformed")
        if match[1] == key.name and value[:4] == key.id:
            ours.append(value[4:])
    if len(ours) != 1:
        raise Refused("the checkpoint has %s signature by the given key" % ("more than one" if ours else "no"))
    try:
        key.verify(ours[0], signed.encode())
    except InvalidSignature:
        raise Refused("the checkpoint's signature does not verify with the given key")
    lines = signed[:-1].split("\n")
    if len(lines) != 3 or not re.fullmatch("0|[1-9][0-9]{0,14}", lines[1]) or int(lines[1]) > MAX_SIZE:
        raise Refused("the checkpoint's text is malformed")
    root = strict_base64(lines[2])
    if len(root) != 32:
        raise Refused("the checkpoint's text is malformed")
    if lines[0] != key.name:
        raise Refused("the checkpoint is of the log %s, not of the key's" % shown(lines[0]))
    return int(lines[1]), root


# --- the tree -----------------------------------------------------------------------------------------------------------


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def full_root(row):
    """The root of 256 hashes."""
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


class Tree:
    """RFC 9162 section 2.1, leaf by leaf: the roots of complete subtrees, by size."""

    def __init__(self):
        self.stack = []

    def add(self, leaf):
        size = 1
        while self.stack and self.stack[-1][0] == size:
            leaf = node_hash(self.stack.pop()[1], leaf)
            size *= 2
        self.stack.append((size, leaf))

    def root(self):
        if not self.stack:
            return hashlib.sha256(b"").digest()
        root = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            root = node_hash(left, root)
        return root


class Directory:
    """The files of a log."""

    def __init__(self, path):
        self.path = path

    def read(self, name, limit):
        """The octets of a file; None when there is no such file."""
        try:
            with open(os.path.join(self.path, *name.split("/")), "rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused("%s: %s" % (name, error.strerror))
        if len(data) > limit:
            raise Refused("%s is larger than it can be" % name)
        return data

    def tile(self, kind, n, width, limit):
        """A tile and its width: the partial one or, when it has been removed, the full one."""
        name = "%03d" % (n % 1000)
        while n >= 1000:
            n //= 1000
            name = "x%03d/%s" % (n % 1000, name)
        name = "tile/%s/%s" % (kind, name)
        partial = name if width == WIDTH else "%s.p/%d" % (name, width)
        for path, there in ((partial, width), (name, WIDTH)):
            data = self.read(path, limit)
            if data is not None:
                return data, there, path
        raise Refused("%s is missing" % partial)

    def compare_hashes(self, level, n, row):
        data, there, name = self.tile(str(level), n, len(row), 32 * WIDTH)
        if len(data) != 32 * there:
            raise Refused("%s has the wrong length" % name)
        if data[: 32 * len(row)] != b"".join(row):
            differs = [i for i, hash in enumerate(row) if data[32 * i : 32 * i + 32] != hash][0]
            index = n * WIDTH + differs if level == 0 else None
            raise Refused("%s differs from what the entries give" % name, index)

    def bundle(self, n, width):
        data, there, name = self.tile("entries", n, width, WIDTH * (2 + MAX_ENTRY))
        entries, at = [], 0
        for _ in range(there):
            length = int.from_bytes(data[at : at + 2], "big")
            entry = data[at + 2 : at + 2 + length]
            if at + 2 > len(data) or len(entry) != length:
                raise Refused("%s is cut short" % name)
            entries.append(entry)
            at += 2 + length
        if at != len(data):
            raise Refused("%s has octets behind its entries" % name)
        return entries[:width]


class Tiles:
    """Makes every tile again from the entries and compares it with the file."""

    def __init__(self, directory):
        self.directory = directory
        self.rows = []
        self.done = []

    def add(self, hash):
        level = 0
        while True:
            if level == len(self.rows):
                self.rows.append([])
                self.done.append(0)
            row = self.rows[level]
            row.append(hash)
            if len(row) < WIDTH:
                return
            self.directory.compare_hashes(level, self.done[level], row)
            hash = full_root(row)
            self.rows[level] = []
            self.done[level] += 1
            level += 1

    def finish(self):
        for level, row in enumerate(self.rows):
            if row:
                self.directory.compare_hashes(level, self.done[level], row)


# --- proofs -------------------------------------------------------------------------------------------------------------

MAX_PROOF = 128 << 10
PROOF = re.compile(
    r"c2sp\.org/tlog-proof@v1\nextra ([A-Za-z0-9+/=]+)\nindex (0|[1-9][0-9]{0,14})\n((?:[A-Za-z0-9+/]{43}=\n){0,64})\n(.+)", re.S
)


def climb(leaf, index, size, path):
    """The root that a path of hashes leads to from a leaf (RFC 9162 section 2.1.3.2)."""
    if index >= size:
        raise Refused("the proof is of an entry beyond its checkpoint")
    node, last = index, size - 1
    for other in path:
        if last == 0:
            raise Refused("the proof has more hashes than the tree has levels")
        if node & 1 or node == last:
            leaf = node_hash(other, leaf)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = node_hash(leaf, other)
        node, last = node >> 1, last >> 1
    if last:
        raise Refused("the proof has fewer hashes than the tree has levels")
    return leaf


def verify_proof(data, key, certificate=None):
    """Index, size and kind of the entry that a proof shows to be on record; `certificate`: the DER it must be of."""
    try:
        found = PROOF.fullmatch(data.decode("utf-8", "strict"))
    except UnicodeDecodeError:
        found = None
    if len(data) > MAX_PROOF or not found:
        raise Refused("it is no proof of inclusion")
    entry, index, path, note = strict_base64(found[1]), int(found[2]), found[3].split(), found[4]
    size, root = open_checkpoint(note.encode(), key)
    if climb(leaf_hash(entry), index, size, [strict_base64(line) for line in path]) != root:
        raise Refused("the hashes of the proof do not lead to its checkpoint")
    _, kind, body = parse_entry(entry)
    if certificate is not None and (kind != "certificate" or body["der"] != certificate):
        raise Refused("the proof is of another entry than the certificate's")
    return {
        "ok": True,
        "origin": key.name,
        "index": index,
        "size": size,
        "root": root.hex(),
        "kind": kind,
        "certificate": hashlib.sha256(body["der"]).hexdigest() if kind == "certificate" else None,
        "compared": certificate is not None,
    }


PEM = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


def load_certificates(path):
    """The DER of a certificate, and of those that stand behind it in a PEM file."""
    with open(path, "rb") as file:
        data = file.read(1 << 20)
    blocks = PEM.findall(data)
    loaded = [x509.load_pem_x509_certificate(block) for block in blocks] or [x509.load_der_x509_certificate(data)]
    return [certificate.public_bytes(serialization.Encoding.DER) for certificate in loaded]


def key_line(given):
    """The line of a verifier key: itself, or what a file holds."""
    if "+" in given:
        return given
    with open(given, encoding="ascii") as file:
        return file.read(4096).strip()


def verify_chain(chain, roots):
    """That a certificate is signed by a root, over the CAs that stand behind it. What this Python cannot verify is not good."""
    signers = Authorities()
    read = [Authorities.read(der) for der in chain[1:] + sorted(roots)]
    der, (_, issuer, _, signed, _, _) = chain[0], Authorities.read(chain[0])
    for _ in range(len(read) + 1):
        if der in roots:
            break
        above = [ca for ca in read if ca[2] == issuer and ca[5] and signers.is_by(ca[4].public, signed)]
        if not above:
            raise Refused("the certificate does not lead to a root that was given: put its CAs behind it in its file")
        _, issuer, _, signed, own, _ = above[0]
        der = own.der
    else:
        raise Refused("the certificates go round in a circle")
    if signers.unverified:
        raise Refused("this Python cannot verify %s" % ", ".join(sorted(signers.unverified)))


# --- the tail -----------------------------------------------------------------------------------------------------------


class Tail:
    """The file `tail`: entries since the last checkpoint (or, after a stop, since the one before)."""

    MAGIC = b"coldroot-tail-v0"

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.header(file)

    def header(self, file):
        fixed = file.read(58)
        length = int.from_bytes(fixed[56:58], "big")
        if len(fixed) != 58 or fixed[:16] != self.MAGIC or length > 128:
            raise Refused("the header of the tail is damaged")
        variable = file.read(length + 32)
        self.origin, check = variable[:length], variable[length:]
        if hashlib.sha256(fixed + self.origin).digest() != check:
            raise Refused("the header of the tail is damaged")
        self.base = int.from_bytes(fixed[16:24], "big")
        self.root = fixed[24:56]
        self.records = file.tell()

    def __iter__(self):
        index = self.base
        with open(self.path, "rb") as file:
            file.seek(self.records)
            while True:
                head = file.read(4)
                if not head:
                    return
                length = int.from_bytes(head, "big")
                if len(head) != 4 or not 0 < length <= MAX_ENTRY:
                    raise Refused("the tail is damaged or unfinished here", index)
                entry, check = file.read(length), file.read(32)
                if len(entry) != length or leaf_hash(entry) != check:
                    raise Refused("the tail is damaged or unfinished here", index)
                yield index, entry
                index += 1


# --- certificates and CRLs ----------------------------------------------------------------------------------------------


def der_element(data, at):
    """Tag, start of the content and end of the DER element at `at`."""
    if at + 2 > len(data):
        raise Refused("DER ends early")
    tag, first = data[at], data[at + 1]
    start = at + 2
    length = first
    if first & 0x80:
        count = first & 0x7F
        if not 1 <= count <= 4 or start + count > len(data):
            raise Refused("DER length is malformed")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise Refused("DER ends early")
    return tag, start, start + length


def certificate_names(der):
    """Serial number (content octets), issuer and subject (whole DER Names) and SubjectPublicKeyInfo, as they stand."""
    _, at, end = der_element(der, 0)
    if end != len(der):
        raise Refused("a certificate with trailing octets")
    _, at, _ = der_element(der, at)
    tag, _, end = der_element(der, at)
    if tag == 0xA0:
        at = end
    _, start, end = der_element(der, at)
    serial, at = der[start:end], end
    parts = []
    for _ in range(5):  # signature, issuer, validity, subject, subjectPublicKeyInfo
        _, _, end = der_element(der, at)
        parts.append(der[at:end])
        at = end
    return serial, parts[1], parts[3], parts[4]


def request_names(der):
    """Subject (whole DER Name) and SubjectPublicKeyInfo of a request (RFC 2986 section 4), as they stand."""
    _, at, end = der_element(der, 0)
    if end != len(der):
        raise Refused("a request with trailing octets")
    _, at, _ = der_element(der, at)
    parts = []
    for _ in range(3):  # version, subject, subjectPKInfo
        _, _, end = der_element(der, at)
        parts.append(der[at:end])
        at = end
    return parts[1], parts[2]


def crl_issuer(der):
    """The issuer of a CRL, whole DER."""
    _, at, _ = der_element(der, 0)
    _, at, _ = der_element(der, at)
    tag, _, end = der_element(der, at)
    if tag == 0x02:
        at = end
    _, _, at = der_element(der, at)
    _, _, end = der_element(der, at)
    return der[at:end]


class Signed:
    """What a certificate, CRL or request says of its signature, read from its octets: the package reads no algorithm that it lacks."""

    def __init__(self, der, algorithm_inside=True):
        _, at, end = der_element(der, 0)
        _, inside, after = der_element(der, at)
        self.tbs = der[at:after]
        _, _, at = der_element(der, after)
        identifier = der[after:at]
        tag, start, last = der_element(der, at)
        if last != end or tag != 0x03 or der[start : start + 1] != b"\0":
            raise Refused("a signature is no whole BIT STRING")
        self.signature = der[start + 1 : last]
        if identifier not in SIGNATURES:
            raise Refused("a signature algorithm is none of FORMAT.md, section 6")
        self.algorithm = SIGNATURES[identifier]
        if not algorithm_inside:  # a request has none
            return
        # The one inside is signed: version or serial number before it, or nothing in a CRL of version 1.
        while True:
            tag, _, following = der_element(der, inside)
            if tag == 0x30:
                break
            inside = following
        if der[inside:following] != identifier:
            raise Refused("the signature algorithm outside is not the one inside")


def signature_algorithms():
    """AlgorithmIdentifiers, whole DER (RFC 4055, 5758, 8410, 9881, 9909), with name, kind of key and digest."""

    def sequence(content):
        return b"\x30" + bytes([len(content)]) + content

    known = {sequence(bytes.fromhex("06032b6570")): ("Ed25519", "ed25519", None)}
    digests = {256: (1, hashes.SHA256()), 384: (2, hashes.SHA384()), 512: (3, hashes.SHA512())}
    for bits, (arc, digest) in digests.items():
        ecdsa = sequence(bytes.fromhex("06082a8648ce3d0403") + bytes([arc + 1]))
        known[ecdsa] = ("ECDSA with SHA-%d" % bits, "ecdsa", digest)
        rsa_oid = bytes.fromhex("06092a864886f70d0101")
        known[sequence(rsa_oid + bytes([arc + 10]) + b"\x05\0")] = ("RSA with SHA-%d" % bits, "rsa", digest)
        sha = sequence(bytes.fromhex("06096086480165030402") + bytes([arc]) + b"\x05\0")
        mgf1 = sequence(rsa_oid + b"\x08" + sha)
        salt = b"\x02\x01" + bytes([bits // 8])
        pss = b"".join(bytes([0xA0 + n, len(part)]) + part for n, part in enumerate((sha, mgf1, salt)))
        known[sequence(rsa_oid + b"\x0a" + sequence(pss))] = ("RSA-PSS with SHA-%d" % bits, "pss", digest)
    for number, name in enumerate(ML_DSA + SLH_DSA, 17):
        known[sequence(bytes.fromhex("06096086480165030403") + bytes([number]))] = (name, name, None)
    return known


SIGNATURES = signature_algorithms()


class NotHere(Exception):
    """This Python cannot verify such a signature."""


def verify_signature(public, algorithm, signature, signed):
    name, kind, digest = algorithm
    if kind == "rsa" and isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, signed, padding.PKCS1v15(), digest)
    elif kind == "pss" and isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    elif kind == "ecdsa" and isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, signed, ec.ECDSA(digest))
    elif kind == "ed25519" and isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, signed)
    elif kind in ML_DSA and public is not None and mldsa is not None:
        if not isinstance(public, getattr(mldsa, "MLDSA%sPublicKey" % kind[-2:])):
            raise InvalidSignature
        public.verify(signature, signed)
    elif kind in ML_DSA + SLH_DSA and public is None:
        raise NotHere(name)
    else:
        raise UnsupportedAlgorithm("a key of another kind")


def seconds(crl, name):
    """A date of a certificate or CRL, seconds since the epoch; older versions of the package know only the name without `_utc`."""
    moment = getattr(crl, name + "_utc", None) or getattr(crl, name)
    return calendar.timegm(moment.utctimetuple())


CONSTRAINTS = x509.BasicConstraints.oid


class Authority:
    """One certificate of a CA that stands in the log."""

    def __init__(self, der, certificate, subject, spki):
        self.der = der
        self.certificate = certificate
        self.subject = subject
        self.spki = spki
        self.read = False

    @property
    def public(self):
        # Read when something is signed by it: of most certificates nothing is.
        if not self.read:
            self.read, self.key = True, None
            try:
                self.key = self.certificate.public_key()
            except (UnsupportedAlgorithm, ValueError):
                # A kind that this Python does not know. What it signed is not verified, and never for that reason good.
                pass
        return self.key


class Authorities:
    """The CAs of the log, and what they signed."""

    def __init__(self):
        self.known = {}
        self.roots = {}
        self.serials = set()
        self.unverified = {}
        self.requests = {}
        self.newest = {}

    @staticmethod
    def read(der):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                certificate = x509.load_der_x509_certificate(der)
                serial, issuer, subject, spki = certificate_names(der)
                signed = Signed(der)
                own = Authority(der, certificate, subject, spki)
                is_ca = any(extension.value.ca for extension in certificate.extensions if extension.oid == CONSTRAINTS)
        except Refused:
            raise
        except Exception as error:  # the package raises types of its own, and more with each version
            raise Refused("the certificate cannot be read: %s" % shown(error))
        return serial, issuer, subject, signed, own, is_ca

    def csr(self, body):
        der = body["der"]
        try:
            subject, spki = request_names(der)
            signed = Signed(der, algorithm_inside=False)
            own = Authority(der, x509.load_der_x509_csr(der), subject, spki)
        except Refused:
            raise
        except Exception as error:
            raise Refused("the request cannot be read: %s" % shown(error))
        if not self.is_by(own.public, signed):
            raise Refused("the request of the CA %s is not signed by its own key" % shown(body["ca"]))
        self.requests[body["ca"]] = (hashlib.sha256(der).digest(), subject, spki)

    def adopted(self, body):
        """FORMAT.md section 7, rule 13."""
        ca = body["ca"]
        asked = self.requests.get(ca)
        if asked is None or asked[0] != body["csr"]:
            raise Refused("the certificate answers no request of the CA %s" % shown(ca))
        _, issuer, subject, signed, own, is_ca = self.read(body["der"])
        dates = tuple(seconds(own.certificate, name) for name in ("not_valid_before", "not_valid_after"))
        if (subject, own.spki) != asked[1:] or not is_ca:
            raise Refused("the certificate is for another key or name than the request, or no CA's")
        if dates != (body["not-before"], body["not-after"]) or self.newest.get(ca) != body["replaces"]:
            raise Refused("the validity of the certificate is not that of its entry, or it replaces another one")
        if not body["above"]:
            raise Refused("no certificate stands above the adopted one")
        for der in body["above"]:
            _, above_issuer, above_subject, above_signed, above, above_ca = self.read(der)
            if not above_ca:
                raise Refused("a certificate above the adopted one is no CA's")
            self.verify("certificate", ca, [above], issuer, signed)
            issuer, signed = above_issuer, above_signed
        if above_issuer == above_subject:
            self.verify("certificate", ca, [above], issuer, signed)
            self.roots[body["above"][-1]] = ca
        self.known.setdefault(ca, []).append(own)
        self.newest[ca] = hashlib.sha256(body["der"]).digest()

    def certificate(self, body):
        der = body["der"]
        serial, issuer, subject, signed, own, is_ca = self.read(der)
        mark = hashlib.sha256(issuer + serial).digest()[:16]
        if mark in self.serials:
            raise Refused("issuer and serial number are those of an earlier certificate")
        self.serials.add(mark)
        if is_ca != (body["subject-ca"] is not None):
            raise Refused("basicConstraints says %s, the entry the opposite" % ("a CA" if is_ca else "no CA"))
        root = body["subject-ca"] is not None and body["subject-ca"] == body["ca"]
        signers = [own] if root and issuer == subject else self.known.get(body["ca"], [])
        self.verify("certificate", body["ca"], signers, issuer, signed)
        if body["subject-ca"] is not None:
            self.known.setdefault(body["subject-ca"], []).append(own)
            self.newest[body["subject-ca"]] = hashlib.sha256(der).digest()
        if signers == [own]:
            self.roots[der] = body["ca"]

    def crl(self, body, der):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                crl = x509.load_der_x509_crl(der)
                number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
                dates = tuple(seconds(crl, name) for name in ("last_update", "next_update"))
                signed = Signed(der)
                issuer = crl_issuer(der)
        except Refused:
            raise
        except Exception as error:
            raise Refused("the CRL cannot be read: %s" % shown(error))
        if (number, *dates) != (body["number"], body["this-update"], body["next-update"]):
            raise Refused("number or dates of the CRL are not those of its entry")
        self.verify("CRL", body["ca"], self.known.get(body["ca"], []), issuer, signed)

    def verify(self, what, ca, signers, issuer, signed):
        if not signers:
            raise Refused("the log holds no earlier certificate of the CA %s" % shown(ca))
        if all(signer.subject != issuer for signer in signers):
            raise Refused("the issuer of the %s is not the CA %s" % (what, shown(ca)))
        for signer in signers:
            if signer.subject != issuer:
                continue
            if self.is_by(signer.public, signed):
                return
        raise Refused("the signature of the %s does not verify under the CA %s" % (what, shown(ca)))

    def is_by(self, public, signed):
        try:
            verify_signature(public, signed.algorithm, signed.signature, signed.tbs)
        except NotHere as error:
            self.unverified[str(error)] = self.unverified.get(str(error), 0) + 1
        except (InvalidSignature, UnsupportedAlgorithm, TypeError):
            return False
        return True


def load_roots(paths):
    """The DER of every certificate in the given PEM files."""
    roots = set()
    for path in paths:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
        blocks = PEM.findall(data)
        if not blocks:
            raise ValueError("%s holds no PEM certificate" % path)
        for block in blocks:
            certificate = x509.load_pem_x509_certificate(block)
            roots.add(certificate.public_bytes(serialization.Encoding.DER))
    return roots


# --- the order of entries -----------------------------------------------------------------------------------------------


class Changed:
    """What the changes of state have come to: FORMAT.md section 7, rule 11. That their quorums approved them is not checked
    here: `coldroot check` does, which reads hierarchies and makes their statements again."""

    def __init__(self):
        self.token = None
        self.number = 0
        self.release = 0
        self.floor = 0
        self.hierarchy = None

    def entry(self, time, kind, body, open_plan):
        if kind == "genesis":
            self.hierarchy = body["hierarchy"]
        if kind == "end":
            if body["release"] != self.release + 1:
                raise Refused("release %d follows release %d" % (body["release"], self.release))
            self.release = body["release"]
        decision = body.get("decision")
        if decision is not None:
            self.change(time, kind, body, decision, open_plan)
        read = body.get("witness-time") if decision is None else decision["witness-time"]
        if read is not None:
            self.floor = max(self.floor, min(read, time))

    def change(self, time, kind, body, decision, open_plan):
        loss = kind == "log-adopted"
        handed_on = None
        if kind == "handed-over":
            handed_on = body["plan"]
            if handed_on != (open_plan if body["lost"] else None):
                raise Refused("another plan is handed over than the open one, or one that only a loss hands on")
        number, release = decision["change"], decision["release"]
        if number < self.number + 1 or (number > self.number + 1 and not loss):
            raise Refused("change %d follows change %d" % (number, self.number))
        if release < self.release or (release > self.release and not loss):
            raise Refused("a change that was decided after release %d stands behind release %d" % (release, self.release))
        if open_plan is not None and not loss and open_plan != handed_on:
            raise Refused("the station's state is changed while a plan is open")
        if time < self.floor:
            raise Refused("a change is dated before what a witness has read from another clock")
        if kind == "hierarchy-adopted":
            if body["before"] != self.hierarchy:
                raise Refused("the hierarchy that is replaced was not in force")
            if body["hierarchy"] == body["before"]:
                raise Refused("the hierarchy that is adopted was in force")
            self.hierarchy = body["hierarchy"]
        if kind == "log-adopted":
            if body["hierarchy"] != self.hierarchy:
                raise Refused("the hierarchy that the log is said to know was not in force")
            if body["release"] != self.release or body["mark-release"] != release:
                raise Refused("the last release here or there is not the one that is named")
            self.hierarchy = body["mark-hierarchy"]
        if loss:
            self.release = release
            self.token = body["token"]
        if kind == "handed-over":
            if body["from"] != (self.token or body["from"]) or body["to"] == body["from"]:
                raise Refused("the mark is handed over from a token that has not got it, or to the same one")
            self.token = body["to"]
        if kind == "clock-corrected" and not (self.floor <= body["to"] < body["from"] and body["to"] <= time):
            raise Refused("the clock is not set back, or behind what a witness has read from another one")
        self.number = number


def draw(plan, dice, items, count):
    """The items of a plan that dice draw (docs/formats.md, "The sample")."""
    if not re.fullmatch("[1-6]{25,100}", dice):
        raise Refused("the dice of a sample are not 25 to 100 digits from 1 to 6")
    if not 1 <= count <= items or count != items and count > 10_000:
        raise Refused("so many items cannot be drawn")
    if count == items:
        return set(range(items))
    seed = hashlib.sha256(b"coldroot-sample-v0\n%s\n%s\n" % (plan.hex().encode(), dice.encode())).digest()
    drawn, i = set(), 0
    while len(drawn) < count:
        x = int.from_bytes(hashlib.sha256(seed + i.to_bytes(8, "big")).digest()[:8], "big")
        if x < 2**64 - 2**64 % items:
            drawn.add(x % items)
        i += 1
    return drawn


class Rules:
    """What FORMAT.md section 7 demands of the sequence of entries."""

    def __init__(self, key):
        self.key = key
        self.plans = {}
        self.keys = {}
        self.open = None
        self.changed = Changed()

    def entry(self, index, time, kind, body):
        if (kind == "genesis") != (index == 0):
            raise Refused("the genesis entry is not the first and only one")
        if kind == "genesis" and (body["origin"], body["verifier-key"]) != (self.key.name, self.key.line):
            raise Refused("the genesis entry is of another log or key")
        self.changed.entry(time, kind, body, self.open)
        if kind == "planned":
            if body["plan"] in self.plans:
                raise Refused("the plan was planned before")
            self.plans[body["plan"]] = dict(kind=body["kind"], items=body["items"], last=-1, done=0, refused=0, void=False, differs=False, ended=False)
        if kind == "start":
            plan = self.plans.get(body["plan"])
            if plan is None:
                raise Refused("a plan is started that was not planned")
            if plan["ended"]:
                raise Refused("a plan is started after its end")
            if plan["void"]:
                raise Refused("a plan is started after it was voided")
            if plan["differs"]:
                raise Refused("a plan is started although a sample of it does not agree with the evidence")
            if self.open not in (None, body["plan"]):
                raise Refused("a plan is started while another is open")
            self.open = body["plan"]
        if kind == "void":
            plan = self.plans.get(body["plan"])
            if plan is None or plan["ended"] or plan["void"]:
                raise Refused("a plan is voided that was not planned, or has ended")
            if self.open not in (None, body["plan"]):
                raise Refused("a plan is voided while another is open")
            if body["done"] != plan["done"]:
                raise Refused("the count of the void entry is not that of the log")
            plan["void"] = True
            self.open = body["plan"]
        if kind == "sampled":
            self.sampled(self.plans.get(body["plan"]), body)
        if kind in KEY_KINDS + ("certificate", "revoked", "crl", "csr", "refused", "end"):
            if self.open is None or body["plan"] != self.open:
                raise Refused("it stands outside the start and end of its plan")
            self.within(self.plans[self.open], kind, body)

    @staticmethod
    def sampled(plan, body):
        if plan is None or plan["ended"] or plan["void"]:
            raise Refused("a sample is of a plan that was not planned, or has ended")
        persons = body["persons"]
        if body["items"] != plan["items"] or len(persons) < 2 or len(set(persons)) != len(persons):
            raise Refused("the sample is not of the plan's items, or not by two persons")
        drawn = draw(body["plan"], body["dice"], body["items"], body["count"])
        differs = body["differs"]
        if differs != sorted(set(differs)) or not drawn.issuperset(differs):
            raise Refused("an item is said to differ that was not drawn")
        plan["differs"] = plan["differs"] or bool(differs)

    def within(self, plan, kind, body):
        if kind == "refused":
            plan["refused"] += 1
        elif kind == "end":
            if (body["done"], body["refused"]) != (plan["done"], plan["refused"]):
                raise Refused("the counts of the end entry are not those of the log")
            plan["ended"] = True
            self.open = None
        else:
            if plan["void"]:
                raise Refused("an item follows the void of its plan")
            if plan["kind"] != ("keys" if kind in KEY_KINDS else "certificates"):
                raise Refused("the plan is of the other kind")
            self.about(kind, body)
            if not plan["last"] < body["item"] < plan["items"]:
                raise Refused("item %d is out of order or beyond the plan" % body["item"])
            plan["last"] = body["item"]
            plan["done"] += 1

    def about(self, kind, body):
        if kind == "key-generated":
            self.keys[body["key"]] = hashlib.sha256(body["spki"]).digest()
        elif kind != "wrapping-key-generated" and kind in KEY_KINDS and self.keys.get(body["key"]) != body["spki"]:
            raise Refused("it is about a key that was not generated")


# --- the whole ----------------------------------------------------------------------------------------------------------


# What a withheld artefact begins with: a CBOR text, before 32 random octets and the content.
WITHHELD = b"\x74coldroot-withheld-v0"


class Artefacts:
    """Files named by their SHA-256."""

    # What a station must hold itself; in a published copy everything may be absent.
    KEPT = {"hierarchy", "requesters", "approval", "plan", "crl", "checkpoint", "proof", "inventory", "backup", "script", "evidence", "report"}

    def __init__(self, directory, station):
        self.directory = directory
        self.station = station
        self.seen = {}
        self.present = 0
        self.absent = 0

    @staticmethod
    def named(kind, body):
        if kind in ("genesis", "start", "void"):
            for approval in body["approvals"]:
                yield "approval", approval["signature"]
        for approval in body.get("decision", {}).get("approvals", []):
            yield "approval", approval["signature"]
        if kind == "hierarchy-adopted":
            yield "hierarchy", body["before"]
            yield "hierarchy", body["hierarchy"]
        if kind == "log-adopted":
            yield "hierarchy", body["mark-hierarchy"]
        if kind == "crl-adopted":
            yield "crl", body["crl"]
        if kind == "step":
            yield "script", body["script"]
        if kind == "evidence":
            yield "evidence", body["artefact"]
        if kind == "medium-read":
            yield "medium", body["digest"]
        if kind == "genesis":
            yield "hierarchy", body["hierarchy"]
            yield "requesters", body["requesters"]
        if kind == "planned":
            yield "plan", body["plan"]
        if kind == "crl":
            yield "crl", body["crl"]
        if kind == "key-backed-up":
            yield "backup", body["backup"]
        if kind in ("key-backed-up", "key-restored", "key-proven"):
            yield "proof", body["signature"]
        if kind == "key-destroyed":
            yield "inventory", body["inventory"]
        if kind == "bundle-received":
            yield "bundle", body["bundle"]["digest"]
        if kind == "end":
            yield "manifest", body["manifest"]
        if kind == "release-written":
            yield "checkpoint", body["checkpoint"]
        if kind in ("probe", "inventory"):
            yield "report", body["report"]

    def path(self, name):
        return os.path.join(self.directory.path, "artefact", name.hex()[:2], name.hex())

    def entry(self, kind, body):
        for what, name in self.named(kind, body):
            if name not in self.seen:
                there = self.seen[name] = self.matches(name)
                self.present += there
                self.absent += not there
            if not self.seen[name] and self.station and what in self.KEPT:
                raise Refused("the artefact %s (%s) is missing" % (name.hex(), what))

    def matches(self, name):
        hasher = hashlib.sha256()
        try:
            with open(self.path(name), "rb") as file:
                for piece in iter(lambda: file.read(1 << 16), b""):
                    hasher.update(piece)
        except FileNotFoundError:
            return False
        if hasher.digest() != name:
            raise Refused("the artefact %s does not hash to its name" % name.hex())
        return True

    def evidence(self, body):
        """A file that is here is as long as its entry says, and salted where it is withheld."""
        try:
            with open(self.path(body["artefact"]), "rb") as file:
                head = file.read(len(WITHHELD) + 32) if body["withheld"] else b""
                length = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return
        if body["withheld"] and (len(head) != len(WITHHELD) + 32 or not head.startswith(WITHHELD)):
            raise Refused("the withheld artefact has no salt before it")
        if length - len(head) != body["octets"]:
            raise Refused("the evidence has not the length that its entry gives")

    def load(self, name):
        with open(self.path(name), "rb") as file:
            data = file.read()
        if hashlib.sha256(data).digest() != name:
            raise Refused("the artefact %s does not hash to its name" % name.hex())
        return data


def entries(directory, size, tail):
    """Index and octets of every entry: the sealed ones from the tiles, the others from the tail."""
    tiles, tree = Tiles(directory), Tree()
    rest = iter(tail) if tail is not None else iter(())
    for n in range((size + WIDTH - 1) // WIDTH):
        bundle = directory.bundle(n, min(WIDTH, size - n * WIDTH))
        # Hashes first: what is in an entry says little when the entry was changed.
        directory.compare_hashes(0, n, [leaf_hash(data) for data in bundle])
        for index, data in enumerate(bundle, n * WIDTH):
            if tail is not None and index == tail.base and tree.root() != tail.root:
                raise Refused("the tail continues another log")
            if tail is not None and index >= tail.base:
                # A stop behind a checkpoint leaves a tail that repeats what the tiles hold. Both must be the same.
                repeated = next(rest, None)
                if repeated is not None and repeated[1] != data:
                    raise Refused("the tail and the tiles hold different entries", index)
            leaf = leaf_hash(data)
            tiles.add(leaf)
            tree.add(leaf)
            yield index, data, None
    tiles.finish()
    if tail is not None and tail.base == size and tree.root() != tail.root:
        raise Refused("the tail continues another log")
    yield size, None, tree.root()
    for index, data in rest:
        yield index, data, None


def adopted(directory, size, index, body):
    """A log that was adopted or handed over is this one before its entry: its size and root."""
    if not 0 < body["size"] <= min(index, size):
        raise Refused("the log that was adopted or handed over is not this one before it", index)
    tree = Tree()
    for n in range((body["size"] + WIDTH - 1) // WIDTH):
        bundle = directory.bundle(n, min(WIDTH, size - n * WIDTH))
        for data in bundle[: body["size"] - n * WIDTH]:
            tree.add(leaf_hash(data))
    if tree.root() != body["root"]:
        raise Refused("the log that was adopted or handed over has another root", index)


def verify(path, key, roots=None):
    """Checks a log; gives what it holds or raises Refused. `roots`: set of DER certificates, or None."""
    directory = Directory(path)
    note = directory.read("checkpoint", MAX_NOTE)
    if note is None:
        raise Refused("there is no checkpoint in %s" % shown(path))
    size, root = open_checkpoint(note, key)
    if size == 0:
        raise Refused("the checkpoint is of an empty log")
    tail_path = os.path.join(path, "tail")
    tail = Tail(tail_path) if os.path.exists(tail_path) else None
    if tail is not None and (tail.origin != key.name.encode() or tail.base > size):
        raise Refused("tail and checkpoint are not of one log and time")
    rules, authorities = Rules(key), Authorities()
    artefacts = Artefacts(directory, tail is not None)
    counts, total, crls = {}, 0, {"verified": 0, "absent": 0}
    for index, data, computed in entries(directory, size, tail):
        if data is None:
            if computed != root:
                raise Refused("the entries give another root than the checkpoint")
            continue
        try:
            time, kind, body = parse_entry(data)
            rules.entry(index, time, kind, body)
            artefacts.entry(kind, body)
            if kind == "evidence":
                artefacts.evidence(body)
            if kind in ("log-adopted", "handed-over"):
                adopted(directory, size, index, body)
            if kind == "certificate":
                authorities.certificate(body)
            if kind == "csr":
                authorities.csr(body)
            if kind == "certificate-adopted":
                authorities.adopted(body)
            if kind in ("crl", "crl-adopted"):
                here = artefacts.seen[body["crl"]]
                crls["verified" if here else "absent"] += 1
                if here:
                    authorities.crl(body, artefacts.load(body["crl"]))
        except Refused as refused:
            refused.entry = index
            raise
        counts[kind] = counts.get(kind, 0) + 1
        total += 1
    if roots is not None and roots != set(authorities.roots):
        raise Refused("the roots in the log are not the given ones")
    return {
        "ok": True,
        "origin": key.name,
        "size": size,
        "root": root.hex(),
        "unsealed": total - size,
        "counts": counts,
        "artefacts": artefacts.present,
        "absent": artefacts.absent,
        "crls": crls,
        "unverified": authorities.unverified,
        "open-plan": rules.open.hex() if rules.open else None,
        "roots": sorted(hashlib.sha256(der).hexdigest() for der in authorities.roots),
        "roots-compared": roots is not None,
    }


def unverified(found):
    """One line for each algorithm of which this Python's `cryptography` has no verification."""
    return ["%d signatures by %s, which this Python cannot verify" % (count, name) for name, count in sorted(found["unverified"].items())]


def report(found):
    kinds = ", ".join("%d %s" % (count, kind) for kind, count in sorted(found["counts"].items()))
    print("good: %s, %d entries, root %s" % (shown(found["origin"]), found["size"], found["root"]))
    print("  entries: %s" % kinds)
    print("  artefacts: %d here and right, %d not here" % (found["artefacts"], found["absent"]))
    if found["unsealed"]:
        print("  unsealed: %d entries that no checkpoint covers yet" % found["unsealed"])
    if found["crls"]["absent"]:
        print("  not verified: %d CRLs whose files are not here" % found["crls"]["absent"])
    for line in unverified(found):
        print("  NOT VERIFIED: %s" % line)
    if found["open-plan"]:
        print("  open: plan %s was started and has not ended" % found["open-plan"])
    for root in found["roots"]:
        compared = "equal to the given one" if found["roots-compared"] else "not compared, no --root given"
        print("  root certificate: SHA-256 %s (%s)" % (root, compared))


def proof_main(options):
    try:
        chain = load_certificates(options.certificate) if options.certificate else [None]
        roots = load_roots(options.root) if options.root else None
        key = key_line(options.verifier_key)
        with open(options.proof, "rb") as file:
            data = file.read(MAX_PROOF + 1)
    except (OSError, ValueError) as error:
        print("verify.py: %s" % shown(error), file=sys.stderr)
        return 2
    try:
        found = verify_proof(data, VerifierKey(key), chain[0])
        found["root-compared"] = roots is not None
        if roots is not None:
            verify_chain(chain, roots)
    except Refused as error:
        print("refused: %s" % error.line(), file=sys.stderr)
        if options.json:
            print(json.dumps({"ok": False, "reason": error.line()}))
        return 4
    if options.json:
        print(json.dumps(found, indent=2, sort_keys=True))
        return 0
    print("good: %s, entry %d (%s) of %d, root %s" % (shown(found["origin"]), found["index"], found["kind"], found["size"], found["root"]))
    if found["certificate"]:
        compared = "the given one" if found["compared"] else "not compared, no --certificate given"
        print("  certificate: SHA-256 %s (%s)" % (found["certificate"], compared))
    if found["root-compared"]:
        print("  root: it leads to one that was given")
    return 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verifies an audit log of coldroot.", epilog="Exit code 0: right; 4: not.")
    parser.add_argument("log", metavar="LOGDIR", nargs="?", help="a station's `audit` directory or a release's `log` directory")
    parser.add_argument("--proof", metavar="FILE", help="instead of a log: the proof that one entry is on record")
    parser.add_argument("--certificate", metavar="FILE", help="the certificate that the proof must be of")
    parser.add_argument("--verifier-key", required=True, metavar="KEY", help="name+hash+base64 or a file that holds it, from outside the log")
    parser.add_argument("--root", action="append", metavar="PEM", help="the root certificate, from outside the log; may repeat")
    parser.add_argument("--allow-unverified", action="store_true", help="count signatures that this Python cannot verify, and go on")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    options = parser.parse_args(arguments)
    if (options.log is None) == (options.proof is None) or (options.certificate and not options.proof):
        parser.error("give a LOGDIR, or --proof and the --certificate that it is of")
    if options.proof:
        if options.allow_unverified or (options.root and not options.certificate):
            parser.error("--root beside --proof is of a --certificate, and nothing goes unverified there")
        return proof_main(options)
    try:
        key = key_line(options.verifier_key)
        roots = load_roots(options.root) if options.root else None
    except (OSError, ValueError) as error:
        print("verify.py: %s" % shown(error), file=sys.stderr)
        return 2
    try:
        found = verify(options.log, VerifierKey(key), roots)
        if found["unverified"] and not options.allow_unverified:
            raise Refused("%s; a newer `cryptography` may, and --allow-unverified checks the rest" % "; ".join(unverified(found)))
    except (Refused, OSError) as error:
        reason = error.line() if isinstance(error, Refused) else shown(error)
        print("refused: %s" % reason, file=sys.stderr)
        if options.json:
            print(json.dumps({"ok": False, "reason": reason, "entry": getattr(error, "entry", None)}))
        return 4
    for line in unverified(found):
        print("verify.py: NOT VERIFIED: %s" % line, file=sys.stderr)
    print(json.dumps(found, indent=2, sort_keys=True)) if options.json else report(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
