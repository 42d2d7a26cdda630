#!/usr/bin/env python3
"""A third independent verifier of coldroot's audit logs: the package aics-tlog over the tiles and checkpoints.

    aics.py LOGDIR --key KEY [--older CHECKPOINT]

LOGDIR is the `log` directory of a release or a station's `audit` directory; KEY (name+hash+base64) comes from somewhere else.
CHECKPOINT is an earlier checkpoint of the same log, kept by the reader: the log must continue it.

Signatures, hashes and proofs are those of aics-tlog (PyPI), which shares no code with coldroot, with verify.py or with Go. This program
only calls it; what entries mean is verify.py's question. Of an ECDSA P-256 key (signed-note type 2) the package reads neither key nor
signature: those two are read here, and `cryptography` verifies. The package asks for Python 3.12 and a recent `cryptography`; it has run
with Python 3.11 and `cryptography` 48 too:

    python3 -m pip install --no-deps --ignore-requires-python --target judges aics-tlog==0.2.1
    PYTHONPATH=judges python3 aics.py LOGDIR --key 'NAME+HASH+KEY'

Exit code 0: right. 4: not; one line on stderr says why. 2: wrong usage.
"""

import argparse
import base64
import hashlib
import os
import sys

import aics_tlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

MAX_NOTE = 4096
# Proofs of inclusion made and checked, spread evenly over the log.
PROOFS = 64


class Refused(Exception):
    """The log is not right."""


class EcdsaKey:
    """A verifier key of type 2: 0x02 and the SubjectPublicKeyInfo of a point of P-256 that is not compressed."""

    HEAD = bytes.fromhex("023059301306072a8648ce3d020106082a8648ce3d03010703420004")

    def __init__(self, text):
        self.name, hexed, encoded = text.split("+", 2)
        octets = base64.b64decode(encoded, validate=True)
        if len(octets) != 92 or not octets.startswith(self.HEAD) or base64.b64encode(octets).decode() != encoded:
            raise ValueError("it is not a P-256 key")
        self.id = hashlib.sha256(octets[1:]).digest()[:4]
        if self.id.hex() != hexed:
            raise ValueError("it is mistyped: its hash does not fit")
        self.public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets[27:])

    def checkpoint(self, note):
        ours = [line.signature for line in note.signatures if (line.name, line.key_id) == (self.name, self.id)]
        if len(ours) != 1:
            raise Refused("the checkpoint has %s signature by the key" % ("more than one" if ours else "no"))
        try:
            self.public.verify(ours[0], note.text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused("the checkpoint's signature does not verify")
        found = aics_tlog.parse_checkpoint(note.text)
        if found.origin != self.name or not found.size:
            raise Refused("the checkpoint is of another log, or of an empty one")
        return found.size, found.root


def read_key(text):
    # "AjBZ" is 0x02, and how a P-256 key in its longer form begins.
    return EcdsaKey(text) if text.split("+", 2)[-1].startswith("AjBZ") else aics_tlog.parse_vkey(text)


def open_checkpoint(path, key):
    """Size and root of a checkpoint that the key has signed."""
    with open(path, "rb") as file:
        data = file.read(MAX_NOTE + 1)
    if len(data) > MAX_NOTE:
        raise Refused("the checkpoint is too large")
    if not data.endswith(b"\n"):
        # Of the whole form, aics-tlog asks for all but this.
        raise Refused("the checkpoint is cut in its last line")
    note = aics_tlog.parse_note(data)
    if isinstance(key, EcdsaKey):
        return key.checkpoint(note)
    found = aics_tlog.verify_checkpoint(note, key, expected_origin=key.name)
    if not found.ok or not found.size:
        raise Refused("the checkpoint: %s" % (found.error or "it is of an empty log"))
    return found.size, found.root


def verify(directory, key, older):
    size, root = open_checkpoint(os.path.join(directory, "checkpoint"), key)
    files = aics_tlog.FileSystemTileReader(directory)
    audited = aics_tlog.audit_tiles(files, size, root)
    proven = aics_tlog.VerifiedTileReader(files, size, root)
    proofs = min(PROOFS, size)
    for n in range(proofs):
        index = n * (size - 1) // max(proofs - 1, 1)
        path = aics_tlog.inclusion_proof_from_tiles(proven, index, size)
        if not aics_tlog.verify_inclusion(aics_tlog.leaf_hash(proven.entry(index)), index, size, path, root):
            raise Refused("entry %d is not in the tree" % index)
    continued = ""
    if older is not None:
        before, before_root = open_checkpoint(older, key)
        if before > size:
            raise Refused("the log has %d entries, the checkpoint that it should continue %d" % (size, before))
        path = aics_tlog.consistency_proof_from_tiles(proven, before, size)
        if not aics_tlog.verify_consistency(before, size, before_root, root, path):
            raise Refused("the log does not continue the checkpoint of %d entries, it is a fork" % before)
        continued = ", continues the checkpoint of %d" % before
    return "good: %s, %d entries, root %s, %d tiles, %d proofs of inclusion%s" % (
        ascii(key.name), size, root.hex(), audited.tiles, proofs, continued
    )


def main():
    parser = argparse.ArgumentParser(description="Verifies tiles and checkpoint of an audit log with aics-tlog.")
    parser.add_argument("log", metavar="LOGDIR")
    parser.add_argument("--key", required=True, help="name+hash+base64, from outside the log")
    parser.add_argument("--older", metavar="CHECKPOINT", help="an earlier checkpoint that the log must continue")
    options = parser.parse_args()
    try:
        key = read_key(options.key)
    except ValueError as error:
        print("aics.py: the verifier key: %s" % ascii(str(error)), file=sys.stderr)
        return 2
    try:
        print(verify(options.log, key, options.older))
    except (Refused, ValueError, OSError) as error:
        print("refused: %s" % ascii(str(error)), file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
