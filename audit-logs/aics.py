#!/usr/bin/env python3
"""A third independent verifier of coldroot's audit logs: the package aics-tlog over the tiles and checkpoints.

    aics.py LOGDIR --key KEY [--older CHECKPOINT]

LOGDIR is the `log` directory of a release or a station's `audit` directory; KEY (name+hash+base64) comes from somewhere else.
CHECKPOINT is an earlier checkpoint of the same log, kept by the reader: the log must continue it.

Signatures, hashes and proofs are those of aics-tlog (PyPI), which shares no code with coldroot, with verify.py or with Go. This program
only calls it; what entries mean is verify.py's question. The package asks for Python 3.12 and a recent `cryptography`; it has run
with Python 3.11 and `cryptography` 48 too:

    python3 -m pip install --no-deps --ignore-requires-python --target judges aics-tlog==0.2.1
    PYTHONPATH=judges python3 aics.py LOGDIR --key 'NAME+HASH+KEY'

Exit code 0: right. 4: not; one line on stderr says why. 2: wrong usage.
"""

import argparse
import os
import sys

import aics_tlog

MAX_NOTE = 4096
# Proofs of inclusion made and checked, spread evenly over the log.
PROOFS = 64


class Refused(Exception):
    """The log is not right."""


def open_checkpoint(path, key):
    """Size and root of a checkpoint that the key has signed."""
    with open(path, "rb") as file:
        data = file.read(MAX_NOTE + 1)
    if len(data) > MAX_NOTE:
        raise Refused("the checkpoint is too large")
    if not data.endswith(b"\n"):
        # Of the whole form, aics-tlog asks for all but this.
        raise Refused("the checkpoint is cut in its last line")
    found = aics_tlog.verify_checkpoint(aics_tlog.parse_note(data), key, expected_origin=key.name)
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
        key = aics_tlog.parse_vkey(options.key)
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
