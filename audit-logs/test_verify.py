#!/usr/bin/env python3
"""Tests of verify.py: a log made here, and one made by coldroot where COLDROOT_LOG and COLDROOT_VKEY name it.

    python3 -B audit-logs/test_verify.py

The small log is written by this file's own encoder, from FORMAT.md: certificates and a CRL included.
"""

import base64
import datetime
import hashlib
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import verify  # noqa: E402

ORIGIN = "example.org/test"
START = datetime.datetime(2026, 11, 22)
DAY = datetime.timedelta(days=1)


def sha(data):
    return hashlib.sha256(data).digest()


def encode(value):
    """Deterministic CBOR of the values that entries have."""

    def head(major, argument):
        for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if argument < 24:
                return bytes([major << 5 | argument])
            if argument < 1 << (8 * size):
                return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
        raise ValueError(argument)

    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    pairs = sorted((encode(key), encode(item)) for key, item in value.items())
    return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)


def entry(kind, /, **body):
    fields = {name.replace("_", "-"): value for name, value in body.items()}
    return encode({"v": 0, "time": 1795305600, "body": {kind: fields}})


def mth(leaves):
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\x00" + leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha(b"\x01" + mth(leaves[:k]) + mth(leaves[k:]))


class Log:
    """A log directory under construction."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x2a" * 32)
        public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = sha(ORIGIN.encode() + b"\n\x01" + public)[:4]
        self.vkey = "%s+%s+%s" % (ORIGIN, self.id.hex(), base64.b64encode(b"\x01" + public).decode())
        self.entries = []

    def artefact(self, data):
        name = sha(data)
        self.file("artefact/%s/%s" % (name.hex()[:2], name.hex()), data)
        return name

    def file(self, name, data):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def write(self, sealed=None):
        """Writes tiles, checkpoint and tail; entries beyond `sealed` stay in the tail."""
        sealed = len(self.entries) if sealed is None else sealed
        done, late = self.entries[:sealed], self.entries[sealed:]
        for kind in ("entries", "0", "1"):
            shutil.rmtree(self.path / "tile" / kind, ignore_errors=True)
        self.rows("entries", [len(e).to_bytes(2, "big") + e for e in done])
        self.rows("0", [mth([e]) for e in done])
        self.rows("1", [mth(done[i : i + 256]) for i in range(0, sealed - 255, 256)])
        text = "%s\n%d\n%s\n" % (ORIGIN, sealed, base64.b64encode(mth(done)).decode())
        signature = base64.b64encode(self.id + self.key.sign(text.encode())).decode()
        self.file("checkpoint", ("%s\n\u2014 %s %s\n" % (text, ORIGIN, signature)).encode())
        header = b"coldroot-tail-v0" + sealed.to_bytes(8, "big") + mth(done)
        header += len(ORIGIN).to_bytes(2, "big") + ORIGIN.encode()
        records = [len(e).to_bytes(4, "big") + e + mth([e]) for e in late]
        self.file("tail", header + sha(header) + b"".join(records))

    def rows(self, kind, items):
        for n in range(0, len(items), 256):
            part = items[n : n + 256]
            suffix = "" if len(part) == 256 else ".p/%d" % len(part)
            self.file("tile/%s/%03d%s" % (kind, n // 256, suffix), b"".join(part))

    def verify(self, roots=None):
        return verify.verify(str(self.path), verify.VerifierKey(self.vkey), roots)


def certificate(subject, key, issuer, issuer_key, serial, ca):
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])  # noqa: E731
    builder = x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), serial, START, START + DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def crl(issuer, key, number):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(START).next_update(START + DAY)
    builder = builder.add_extension(x509.CRLNumber(number), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def request(subject, key, signer=None):
    """A CertificationRequest; `signer` signs in place of its key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    der = x509.CertificateSigningRequestBuilder().subject_name(name).sign(signer or key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    if signer is not None:
        spki = [k.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) for k in (signer, key)]
        der = der.replace(spki[0], spki[1])
    return der


ROOT_KEY = ec.generate_private_key(ec.SECP384R1())
CA_KEY = rsa.generate_private_key(65537, 2048)
LEAF_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = certificate("Root", ROOT_KEY, "Root", ROOT_KEY, 1, True)
CA = certificate("CA", CA_KEY, "Root", ROOT_KEY, 2, True)
LEAF = certificate("leaf", LEAF_KEY, "CA", CA_KEY, 3, False)


class Made(unittest.TestCase):
    """The log made here."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.log = Log(self.dir.name)
        self.plan = self.log.artefact(b"a plan")
        self.start()

    def start(self, items=9):
        hierarchy = self.log.artefact(b"a hierarchy")
        self.log.entries = [
            entry("genesis", origin=ORIGIN, name="n", environment="rehearsal", hierarchy=hierarchy,
                  verifier_key=self.log.vkey, approvals=[], requesters=hierarchy, program="0.1.0"),
            entry("open", mark_size=1, cut=0),
            entry("planned", plan=self.plan, kind="certificates", items=items, refused=0, bundle=None,
                  counts=[{"act": "root", "ca": "root", "detail": "root", "count": 1}]),
            entry("start", plan=self.plan, approvals=[], operator="o", witness="w", witness_time=-5),
        ]  # fmt: skip

    def add(self, item, der, ca, subject_ca=None, **change):
        request = None if subject_ca else "r%d" % item
        body = dict(plan=self.plan, item=item, ca=ca, subject_ca=subject_ca, request=request, profile="p", requester=None, der=der)
        self.log.entries.append(entry("certificate", **dict(body, **change)))

    def add_crl(self, item, der, number):
        at = int(START.replace(tzinfo=datetime.timezone.utc).timestamp())
        name = self.log.artefact(der)
        self.log.entries.append(entry("crl", plan=self.plan, item=item, ca="ca", number=number, this_update=at,
                                      next_update=at + 86400, crl=name))  # fmt: skip

    def whole(self):
        self.add(0, ROOT, "root", "root")
        self.add(1, CA, "root", "ca")
        self.add(2, LEAF, "ca")
        self.add_crl(3, crl("CA", CA_KEY, 1), 1)
        self.log.entries.append(entry("end", plan=self.plan, release=1, done=4, refused=0, manifest=sha(b"m")))

    def fill(self, size):
        while len(self.log.entries) < size:
            self.log.entries.append(entry("failure", what="number %d" % len(self.log.entries)))

    def refused(self, reason, roots=None, index=None):
        with self.assertRaises(verify.Refused) as caught:
            self.log.verify(roots)
        self.assertIn(reason, caught.exception.reason)
        if index is not None:
            self.assertEqual(caught.exception.entry, index)

    def test_a_good_log_is_good(self):
        self.whole()
        self.fill(300)
        self.log.write()
        found = self.log.verify({ROOT})
        self.assertEqual((found["size"], found["unsealed"], found["artefacts"], found["absent"]), (300, 0, 3, 1))
        self.assertEqual(found["counts"]["certificate"], 3)
        self.assertEqual((found["crls"], found["roots"]), ({"verified": 1, "absent": 0}, [sha(ROOT).hex()]))

    def test_a_published_copy_needs_neither_tail_nor_artefacts(self):
        self.whole()
        self.log.write()
        shutil.rmtree(self.log.path / "artefact")
        self.refused("is missing", index=0)
        (self.log.path / "tail").unlink()
        self.assertEqual(self.log.verify()["crls"], {"verified": 0, "absent": 1})

    def test_every_size_around_a_tile_is_right(self):
        for size in (4, 5, 255, 256, 257, 511, 512, 513):
            self.start()
            self.fill(size)
            self.log.write()
            self.assertEqual(self.log.verify()["size"], size)
            self.log.write(size - 2)
            self.assertEqual(self.log.verify()["unsealed"], 2)

    def test_any_one_changed_octet_of_an_entry_is_refused(self):
        self.whole()
        self.log.write(len(self.log.entries) - 2)
        for name in ("tile/entries/000.p/7", "tail"):
            path = self.log.path / name
            whole = path.read_bytes()
            for at in range(len(whole)):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
                with self.assertRaises(verify.Refused, msg="%s octet %d" % (name, at)):
                    self.log.verify()
            for length in range(0, len(whole), 97):
                path.write_bytes(whole[:length])
                with self.assertRaises(verify.Refused):
                    self.log.verify()
            path.write_bytes(whole)
        self.log.verify()

    def test_a_receipt_names_the_checkpoint_that_its_release_carries(self):
        self.whole()
        note = self.log.artefact(b"a note")
        receipt = dict(release=1, manifest=sha(b"m"), checkpoint=note, target="release-0001")
        self.log.entries.append(entry("release-written", **receipt))
        self.log.write()
        self.log.verify()
        path = self.log.path / "artefact" / note.hex()[:2] / note.hex()
        path.write_bytes(b"another note")
        self.refused("")
        path.unlink()
        self.refused("(checkpoint) is missing", index=len(self.log.entries) - 1)
        (self.log.path / "tail").unlink()
        self.assertEqual(self.log.verify()["absent"], 2)
        with self.assertRaises(verify.Refused):
            verify.parse_entry(entry("release-written", **{**receipt, "checkpoint": None}))

    def test_tiles_checkpoint_and_artefacts_are_checked(self):
        self.fill(300)
        self.log.write()
        paths = [p for p in self.log.path.rglob("*") if p.is_file() and "entries" not in p.parts]
        self.assertEqual(len(paths), 7)
        for path in paths:
            whole = path.read_bytes()
            for at in {0, len(whole) // 2, len(whole) - 1}:
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                with self.assertRaises(verify.Refused, msg=str(path)):
                    self.log.verify()
            path.write_bytes(whole)

    def test_signatures_are_checked(self):
        forged = bytearray(LEAF)
        forged[-1] ^= 1
        self.add(0, ROOT, "root", "root")
        self.add(1, CA, "root", "ca")
        self.add(2, bytes(forged), "ca")
        self.log.write()
        self.refused("signature of the certificate does not verify", index=6)
        self.log.entries[6:] = []
        self.add(2, certificate("leaf", LEAF_KEY, "CA", LEAF_KEY, 9, False), "ca")
        self.log.write()
        self.refused("signature of the certificate does not verify", index=6)
        self.log.entries[6:] = []
        self.add(2, LEAF, "root")
        self.log.write()
        self.refused("issuer of the certificate is not the CA root", index=6)
        self.log.entries[6:] = []
        self.add_crl(2, crl("CA", LEAF_KEY, 1), 1)
        self.log.write()
        self.refused("signature of the CRL does not verify", index=6)
        self.log.entries[6:] = []
        self.add_crl(2, crl("CA", CA_KEY, 2), 1)
        self.log.write()
        self.refused("number or dates of the CRL", index=6)

    def test_a_checkpoint_may_be_of_a_p256_key(self):
        key = ec.derive_private_key(0x1234567, ec.SECP256R1())
        spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

        def vkey(octets, named):
            return "%s+%s+%s" % (ORIGIN, sha(named)[:4].hex(), base64.b64encode(octets).decode())

        good = vkey(b"\x02" + spki, spki)
        self.log.entries[0] = self.log.entries[0].replace(encode(self.log.vkey), encode(good))
        self.log.write()
        with self.assertRaisesRegex(verify.Refused, "has no signature by the given key"):
            verify.verify(str(self.log.path), verify.VerifierKey(good))
        text = (self.log.path / "checkpoint").read_bytes().split(b"\n\n")[0] + b"\n"

        def put(signature):
            line = "\u2014 %s %s\n" % (ORIGIN, base64.b64encode(sha(spki)[:4] + signature).decode())
            self.log.file("checkpoint", text + b"\n" + line.encode())

        def refused(words):
            with self.assertRaisesRegex(verify.Refused, words):
                verify.verify(str(self.log.path), verify.VerifierKey(good))

        signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
        put(signature)
        self.assertEqual(verify.verify(str(self.log.path), verify.VerifierKey(good))["size"], len(self.log.entries))
        for other in (signature + b"\0", signature[:-1], b"\x30\0", b"\0" * 64, self.log.key.sign(text),
                      key.sign(text + b"\n", ec.ECDSA(hashes.SHA256())), key.sign(text, ec.ECDSA(hashes.SHA384()))):
            put(other)
            refused("does not verify")
        off = spki[:-1] + bytes([spki[-1] ^ 1])
        other = ec.derive_private_key(7, ec.SECP384R1()).public_key()
        other = other.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for octets, named, words in (
            (b"\x02" + spki, ORIGIN.encode() + b"\n\x02" + spki, "mistyped"),
            (b"\x01" + spki, spki, "neither Ed25519 nor"),
            (b"\x02" + other, other, "neither Ed25519 nor"),
            (b"\x02" + spki + b"\0", spki + b"\0", "neither Ed25519 nor"),
            (b"\x02" + off, off, "no point of its curve"),
            (b"\x02" + b"\3" * 32, b"\3" * 32, "neither Ed25519 nor"),
        ):
            with self.assertRaisesRegex(verify.Refused, words):
                verify.VerifierKey(vkey(octets, named))

    def test_ca_and_leaf_are_not_confused(self):
        self.add(0, ROOT, "root", "root")
        self.add(1, CA, "root")
        self.log.write()
        self.refused("basicConstraints", index=5)

    def test_the_root_is_the_given_one(self):
        self.whole()
        self.log.write()
        other = certificate("Root", CA_KEY, "Root", CA_KEY, 1, True)
        self.refused("roots", {other})
        self.refused("roots", {ROOT, other})
        self.log.verify({ROOT})

    def test_the_order_of_entries_is_checked(self):
        end = entry("end", plan=self.plan, release=1, done=0, refused=0, manifest=sha(b"m"))
        start = self.log.entries[3]
        cases = [
            ("out of order", lambda: (self.add(1, ROOT, "root", "root"), self.add(1, CA, "root", "ca"))),
            ("out of order", lambda: self.add(9, ROOT, "root", "root")),
            ("earlier certificate", lambda: (self.add(0, ROOT, "root", "root"), self.add(1, ROOT, "root", "root"))),
            ("outside", lambda: self.add(0, ROOT, "root", "root", plan=sha(b"other"))),
            ("outside", lambda: (self.log.entries.append(end), self.add(0, ROOT, "root", "root"))),
            ("after its end", lambda: self.log.entries.extend([end, start])),
            ("planned before", lambda: self.log.entries.append(self.log.entries[2])),
            ("not planned", lambda: self.log.entries.__delitem__(2)),
            ("genesis", lambda: self.log.entries.append(self.log.entries[0])),
            ("genesis", lambda: self.log.entries.__delitem__(0)),
            ("counts", lambda: (self.add(0, ROOT, "root", "root"), self.log.entries.append(end))),
        ]
        for reason, change in cases:
            self.start()
            change()
            self.log.write()
            self.refused(reason)

    def void(self, done, **change):
        body = dict(plan=self.plan, reason="why", done=done, approvals=[], operator="o", witness="w", witness_time=None)
        self.log.entries.append(entry("void", **dict(body, **change)))

    def revoke(self, item, serial=b"\x03", **change):
        body = dict(plan=self.plan, item=item, ca="ca", serial=serial, reason=4, date=1795305600)
        self.log.entries.append(entry("revoked", **dict(body, **change)))

    def refusal(self):
        self.log.entries.append(entry("refused", plan=self.plan, request="r", check="void", reason="not processed"))

    def ended(self, done, refused):
        self.log.entries.append(
            entry("end", plan=self.plan, release=1, done=done, refused=refused, manifest=sha(b"m"))
        )

    def test_a_plan_may_be_voided_and_certificates_revoked(self):
        self.add(0, ROOT, "root", "root")
        self.add(1, CA, "root", "ca")
        self.revoke(2, reason=None)
        self.add_crl(3, crl("CA", CA_KEY, 1), 1)
        self.void(4)
        self.refusal()
        self.ended(4, 1)
        self.log.write()
        self.log.verify({ROOT})
        # A plan that was never started.
        self.start()
        del self.log.entries[3]
        self.void(0)
        self.ended(0, 0)
        self.log.write()
        self.log.verify()

    def test_the_order_of_voids_and_revocations_is_checked(self):
        start = self.log.entries[3]
        other = dict(plan=sha(b"other"))
        cases = [
            ("count of the void", lambda: self.void(1)),
            ("count of the void", lambda: (self.revoke(0), self.void(0))),
            ("follows the void", lambda: (self.void(0), self.revoke(0))),
            ("not planned", lambda: self.void(0, **other)),
            ("has ended", lambda: (self.void(0), self.void(0))),
            ("has ended", lambda: (self.ended(0, 0), self.void(0))),
            ("after it was voided", lambda: (self.void(0), self.log.entries.append(start))),
            ("outside", lambda: self.revoke(0, **other)),
            ("outside", lambda: (self.ended(0, 0), self.revoke(0))),
            ("out of order", lambda: (self.revoke(1), self.revoke(1))),
            ("beyond", lambda: self.revoke(9)),
            ("counts", lambda: (self.revoke(0), self.ended(0, 0))),
        ]
        for reason, change in cases:
            self.start()
            change()
            self.log.write()
            self.refused(reason)

    def test_an_adopted_log_is_the_one_before_its_entry(self):
        self.whole()
        self.fill(300)
        decision = {"reason": "why", "release": 2, "change": 1, "approvals": [], "operator": "o", "witness": "w", "witness-time": None}
        known, lost = sha(b"a hierarchy"), self.log.artefact(b"the one that was adopted in the gap")
        right = dict(mark_size=400, mark_root=sha(b"lost"), mark_release=2, mark_plan=None, mark_hierarchy=lost, token="0a1b", size=270,
                     root=mth(self.log.entries[:270]), release=1, hierarchy=known, decision=decision)  # fmt: skip
        before = list(self.log.entries)
        for change, why in [
            ({}, None),
            ({"mark_hierarchy": known}, None),
            ({"root": mth(before[:269])}, "another root"),
            ({"size": 271}, "another root"),
            ({"size": 301}, "not this one before it"),
            ({"size": 0}, "not this one before it"),
            ({"size": 0, "root": mth([])}, "not this one before it"),
            ({"release": 0}, "not the one that is named"),
            ({"release": 2}, "not the one that is named"),
            ({"mark_release": 3}, "not the one that is named"),
            ({"hierarchy": lost}, "was not in force"),
            ({"mark_hierarchy": sha(b"of no artefact")}, "is missing"),
            ({"decision": dict(decision, release=0)}, "stands behind release"),
            ({"decision": dict(decision, change=0)}, "follows change"),
        ]:
            self.log.entries = before + [entry("log-adopted", **dict(right, **change))]
            self.log.write()
            if why is None:
                self.assertEqual(self.log.verify()["counts"]["log-adopted"], 1)
            else:
                with self.assertRaisesRegex(verify.Refused, why):
                    self.log.verify()

    def test_the_hierarchy_of_an_adopted_log_is_the_one_in_force(self):
        self.whole()
        decision = {"reason": "why", "release": 1, "change": 1, "approvals": [], "operator": "o", "witness": "w", "witness-time": None}
        known, lost, new = sha(b"a hierarchy"), self.log.artefact(b"adopted in the gap"), self.log.artefact(b"adopted next")
        self.log.entries.append(
            entry("log-adopted", mark_size=400, mark_root=sha(b"lost"), mark_release=1, mark_plan=None, mark_hierarchy=lost, token="0a1b", size=5,
                  root=mth(self.log.entries[:5]), release=1, hierarchy=known, decision=decision))  # fmt: skip
        before = list(self.log.entries)
        for replaced, why in [(lost, None), (known, "was not in force")]:
            adopted = entry("hierarchy-adopted", before=replaced, hierarchy=new, decision=dict(decision, change=2))
            self.log.entries = before + [adopted]
            self.log.write()
            self.log.verify() if why is None else self.refused(why)
        # No number follows the greatest one.
        clock = {"from": 1795305601, "to": 1795305600}
        self.log.entries = before[:-1]
        for _ in range(2):
            last = dict(decision, change=(1 << 64) - 1)
            self.log.entries.append(
                entry("log-adopted", mark_size=400, mark_root=sha(b"lost"), mark_release=1, mark_plan=None, mark_hierarchy=known, token="0a1b", size=5,
                      root=mth(self.log.entries[:5]), release=1, hierarchy=known, decision=last))  # fmt: skip
        self.log.write()
        self.refused("follows change")
        self.log.entries[-1] = entry("clock-corrected", decision=last, **clock)
        self.log.write()
        self.refused("follows change")

    def test_an_adopted_certificate_answers_its_request_and_verifies_up_to_the_last_one(self):
        key, other, middle_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        asked, again = request("Ours", key), request("Ours", key)
        middle = certificate("Middle", middle_key, "Root", ROOT_KEY, 4, True)
        ours = certificate("Ours", key, "Middle", middle_key, 5, True)
        renewed = certificate("Ours", key, "Root", ROOT_KEY, 6, True)
        at = int(START.replace(tzinfo=datetime.timezone.utc).timestamp())
        decision = {"reason": "why", "release": 1, "change": 1, "approvals": [], "operator": "o", "witness": "w", "witness-time": None}
        right = dict(ca="ours", csr=sha(asked), der=ours, above=[middle, ROOT], replaces=None, not_before=at, not_after=at + 86400,
                     differs=[], decision=decision)  # fmt: skip

        def begin(*requests):
            self.start()
            for item, der in enumerate(requests):
                self.log.entries.append(entry("csr", plan=self.plan, item=item, ca="ours", der=der))
            self.log.entries.append(entry("end", plan=self.plan, release=1, done=len(requests), refused=0, manifest=sha(b"m")))

        for change, why in [
            ({}, None),
            ({"above": [middle]}, None),
            ({"csr": sha(b"another")}, "answers no request"),
            ({"ca": "others"}, "answers no request"),
            ({"der": certificate("Ours", other, "Middle", middle_key, 5, True)}, "another key or name"),
            ({"der": certificate("Theirs", key, "Middle", middle_key, 5, True)}, "another key or name"),
            ({"der": certificate("Ours", key, "Middle", middle_key, 5, False)}, "no CA's"),
            ({"der": certificate("Ours", key, "Middle", other, 5, True)}, "does not verify"),
            ({"above": [ROOT]}, "is not the CA ours"),
            ({"above": [middle, certificate("Root", other, "Root", other, 1, True)]}, "does not verify"),
            ({"above": [certificate("Middle", middle_key, "Root", ROOT_KEY, 4, False), ROOT]}, "is no CA's"),
            ({"above": []}, "no certificate stands above"),
            ({"replaces": sha(renewed)}, "replaces another one"),
            ({"not_after": at}, "is not that of its entry"),
        ]:
            begin(asked)
            self.log.entries.append(entry("certificate-adopted", **dict(right, **change)))
            self.log.write()
            self.log.verify() if why is None else self.refused(why)
        # It signs then, and is renewed for a request of its own; the root that is not ours is one of those to be compared.
        begin(asked, again)
        newer = dict(right, csr=sha(again))
        self.log.entries.append(entry("certificate-adopted", **newer))
        renewal = dict(newer, der=renewed, above=[ROOT], replaces=sha(ours), decision=dict(decision, change=2))
        self.log.entries.append(entry("certificate-adopted", **renewal))
        self.log.write()
        self.assertEqual(self.log.verify({ROOT})["counts"]["certificate-adopted"], 2)
        self.refused("not the given ones", roots={CA})
        self.log.entries[-1] = entry("certificate-adopted", **dict(renewal, replaces=None))
        self.log.write()
        self.refused("replaces another one")
        begin(request("Ours", key, signer=other))
        self.log.write()
        self.refused("is not signed by its own key")
        begin(asked[:-1])
        self.log.write()
        self.refused("")

    def test_an_act_on_a_key_is_about_one_that_was_generated(self):
        proof, objects, spki = self.log.artefact(b"a signature"), self.log.artefact(b"objects"), sha(b"spki a")
        about = dict(key="a", token="t", spki=spki)
        acts = {
            "key-backed-up": dict(wrapping_key="w", mechanism="m", backup=proof, signature=proof),
            "key-restored": dict(backup=proof, attributes=[], adopted=False, signature=proof),
            "key-proven": dict(signature=proof),
            "key-destroyed": dict(label="l", cka_id=b"1", found=True, inventory=objects),
        }
        made = dict(token="t", label="l", cka_id=b"1", algorithm="ed25519", attributes=[], adopted=False)
        for kind, fields in acts.items():
            for change, why in [({}, None), ({"spki": sha(b"spki b")}, "not generated"), ({"key": "b"}, "not generated")]:
                self.start()
                self.log.entries[2] = entry("planned", plan=self.plan, kind="keys", items=9, refused=0, bundle=None, counts=[])
                self.log.entries.append(entry("key-generated", plan=self.plan, item=0, key="a", spki=b"spki a", **made))
                self.log.entries.append(entry(kind, plan=self.plan, item=1, **dict(about, **fields, **change)))
                self.log.write()
                self.log.verify() if why is None else self.refused(why)

    def test_what_an_entry_must_hold_it_holds_though_another_named_it_first(self):
        name = sha(b"photo")
        read = entry("medium-read", name="seals.jpg", digest=name, octets=5)
        shown = entry("evidence", kind="photo", what="seals", artefact=name, withheld=False, octets=5, person="a")
        self.log.entries += [read]
        self.log.write()
        self.assertEqual(self.log.verify()["absent"], 1)
        self.log.entries += [shown]
        self.log.write()
        self.refused("is missing")
        self.log.artefact(b"photo")
        self.log.verify()

    def test_a_sample_is_of_what_the_dice_drew_and_stops_the_plan_where_it_differs(self):
        start = self.log.entries[3]

        def sampled(**changed):
            rest = dict(plan=self.plan, items=9, count=2, dice="3" * 25, differs=[], persons=["a", "b"])
            self.log.entries.append(entry("sampled", **dict(rest, **changed)))

        drawn = sorted(verify.draw(self.plan, "3" * 25, 9, 2))
        other = next(n for n in range(9) if n not in drawn)
        sampled()
        sampled(differs=drawn)
        self.log.write()
        self.log.verify()
        cases = [
            ("does not agree", lambda: (sampled(differs=drawn[:1]), sampled(), self.log.entries.append(start))),
            ("not drawn", lambda: sampled(differs=[other])),
            ("not drawn", lambda: sampled(differs=drawn[::-1])),
            ("two persons", lambda: sampled(persons=["a"])),
            ("two persons", lambda: sampled(persons=["a", "a"])),
            ("plan's items", lambda: sampled(items=10)),
            ("cannot be drawn", lambda: sampled(count=0)),
            ("the dice", lambda: sampled(dice="3" * 24)),
            ("has ended", lambda: sampled(plan=sha(b"other"))),
            ("has ended", lambda: (self.void(0), sampled())),
        ]
        for reason, change in cases:
            self.start()
            change()
            self.log.write()
            self.refused(reason)

    def test_the_mark_is_handed_over_by_the_token_that_has_it(self):
        self.whole()
        self.fill(300)
        before = list(self.log.entries)
        release = 1

        def decision(change):
            return {"reason": "why", "release": release, "change": change, "approvals": [], "operator": "o", "witness": "w", "witness-time": None}

        right = dict(token="audit", **{"from": "0a1b"}, to="2c3d", lost=False, size=270,
                     root=mth(before[:270]), plan=None, decision=decision(1))  # fmt: skip
        then = {"from": "2c3d", "to": "0a1b", "decision": decision(2)}
        adopted = entry("log-adopted", mark_size=400, mark_root=sha(b"lost"), mark_release=release, mark_plan=None, mark_hierarchy=sha(b"a hierarchy"), token="4e5f", size=270,
                        root=mth(before[:270]), release=release, hierarchy=sha(b"a hierarchy"), decision=decision(2))  # fmt: skip
        for others, change, why in [
            ([], {}, None),
            ([entry("handed-over", **right)], then, None),
            ([], {"to": "0a1b"}, "to the same one"),
            ([], {"plan": sha(b"plan")}, "another plan is handed over"),
            ([], {"lost": True, "plan": sha(b"plan")}, "another plan is handed over"),
            ([], {"root": mth(before[:269])}, "another root"),
            ([], {"size": 301}, "not this one before it"),
            ([], {"decision": decision(2)}, "change 2 follows change 0"),
            ([entry("handed-over", **right)], {"decision": decision(2)}, "a token that has not got it"),
            ([entry("handed-over", **right), adopted], {"decision": decision(3)}, "a token that has not got it"),
        ]:
            self.log.entries = before + others + [entry("handed-over", **dict(right, **change))]
            self.log.write()
            if why is None:
                self.assertEqual(self.log.verify()["counts"]["handed-over"], 1 + len(others))
            else:
                with self.assertRaisesRegex(verify.Refused, why):
                    self.log.verify()

    def test_a_report_stays_with_its_station(self):
        name = self.log.artefact(b"a report")
        self.log.entries.append(entry("inventory", token="t", serial="1", report=name, right=1, missing=0, wrong=0, unexpected=0))
        self.log.write()
        self.log.verify()
        (self.log.path / "artefact" / name.hex()[:2] / name.hex()).unlink()
        with self.assertRaises(verify.Refused):
            self.log.verify()

    def test_entries_have_one_encoding_and_known_fields(self):
        good = entry("open", mark_size=1, cut=0)
        body = encode({"mark-size": 1, "cut": 0})
        longer = good.replace(encode({"cut": 0, "mark-size": 1}), b"\xa2\x63cut\x18\x00\x69mark-size\x01")
        swapped = good.replace(body, b"\xa2\x69mark-size\x01\x63cut\x00")
        doubled = good.replace(body, b"\xa3\x63cut\x00\x63cut\x00\x69mark-size\x01")
        indefinite = good.replace(body, b"\xbf" + body[1:] + b"\xff")
        for bad in (longer, swapped, doubled, indefinite, good + b"\x00", good[:-1], b"\xc0" + good, b""):
            self.assertNotEqual(bad, good)
            with self.assertRaises(verify.Refused):
                verify.parse_entry(bad)
        for kind, fields in (
            ("open", dict(mark_size=1)),
            ("open", dict(mark_size=1, cut=0, more=0)),
            ("open", dict(mark_size=-1, cut=0)),
            ("open", dict(mark_size=True, cut=0)),
            ("unknown", dict()),
        ):
            with self.assertRaises(verify.Refused):
                verify.parse_entry(entry(kind, **fields))
        self.assertEqual(verify.parse_entry(good)[1:], ("open", {"mark-size": 1, "cut": 0}))

    def test_the_command_says_so(self):
        self.whole()
        self.log.write()
        root = self.log.path / "root.pem"
        root.write_bytes(x509.load_der_x509_certificate(ROOT).public_bytes(serialization.Encoding.PEM))
        arguments = [str(self.log.path), "--verifier-key", self.log.vkey, "--root", str(root), "--json"]
        with open(os.devnull, "w") as null:
            stdout, stderr, sys.stdout, sys.stderr = sys.stdout, sys.stderr, null, null
            try:
                codes = [verify.main(arguments)]
                (self.log.path / "checkpoint").unlink()
                codes.append(verify.main(arguments))
                codes.append(verify.main(arguments[:4] + [str(self.log.path / "none.pem")]))
            finally:
                sys.stdout, sys.stderr = stdout, stderr
        self.assertEqual(codes, [0, 4, 2])


@unittest.skipUnless(os.environ.get("COLDROOT_LOG"), "COLDROOT_LOG names no log")
class Given(unittest.TestCase):
    """A log that coldroot made."""

    def test_it_is_good_and_any_changed_entry_is_refused(self):
        key = verify.VerifierKey(os.environ["COLDROOT_VKEY"])
        with tempfile.TemporaryDirectory() as temporary:
            log = pathlib.Path(temporary, "log")
            shutil.copytree(os.environ["COLDROOT_LOG"], log)
            found = verify.verify(str(log), key)
            self.assertGreater(found["size"], 0)
            # The last bundle, of the checkpoint's width: narrower ones of earlier checkpoints may lie beside it.
            n, width = divmod(found["size"] - 1, 256)
            name = "".join("x%s/" % part for part in ("%03d" % (n // 1000),) if n >= 1000) + "%03d" % (n % 1000)
            path = log / "tile" / "entries" / (name if width == 255 else "%s.p/%d" % (name, width + 1))
            whole, at, changed = path.read_bytes(), 0, 0
            while at < len(whole):
                length = int.from_bytes(whole[at : at + 2], "big")
                for place in {at + 2, at + 2 + changed * 31 % length, at + 1 + length}:
                    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
                    with self.assertRaises(verify.Refused, msg="octet %d" % place):
                        verify.verify(str(log), key)
                changed += 1
                # Every entry of a small log, a sample of a large bundle.
                at += 2 + length if changed < 40 else len(whole)
            path.write_bytes(whole)
            self.assertGreater(changed, 0)
            verify.verify(str(log), key)


if __name__ == "__main__":
    unittest.main()
