#!/usr/bin/env python3
"""Compares every entry of a log with schema.cddl, by an implementation of CDDL that is not coldroot's.

    schema.py LOGDIR

It needs the package `cddl-verifier`, which has no dependencies:

    python3 -m pip install cddl-verifier

It looks at the form of the entries alone. Signatures, hashes, rules and artefacts are verify.py's part.

Exit code 0: every entry has a form of the schema. 4: one has not; a line on stderr says which and why. 2: wrong usage.
"""

import pathlib
import sys

sys.dont_write_bytecode = True
import verify  # noqa: E402

try:
    import cddl_verifier
except ImportError:
    sys.exit("schema.py needs a package: python3 -m pip install cddl-verifier")

SCHEMA = pathlib.Path(__file__).resolve().parent / "schema.cddl"


class Schema:
    """schema.cddl, whose first rule is the entry."""

    def __init__(self):
        self.validator = cddl_verifier.Validator(SCHEMA)

    def fault(self, entry):
        """Why these octets are no entry, or None."""
        result = self.validator.validate(entry, root_type="entry")
        if result.valid:
            return None
        return "; ".join("%s: %s" % (d.path_text, d.message) for d in result.diagnostics[:3]) or "no entry"


def entries(path):
    """The entries that the checkpoint counts, and those of the tail, each with its index. Nothing is verified here."""
    directory = verify.Directory(path)
    note = directory.read("checkpoint", verify.MAX_NOTE)
    lines = (note or b"").split(b"\n")
    size = int(lines[1]) if len(lines) > 1 and lines[1].isdigit() else 0
    for n in range((size + verify.WIDTH - 1) // verify.WIDTH):
        bundle = directory.bundle(n, min(verify.WIDTH, size - n * verify.WIDTH))
        yield from enumerate(bundle, n * verify.WIDTH)
    if pathlib.Path(path, "tail").exists():
        yield from (found for found in verify.Tail(pathlib.Path(path, "tail")) if found[0] >= size)


def main(arguments):
    if len(arguments) != 1:
        print("usage: schema.py LOGDIR", file=sys.stderr)
        return 2
    schema, count = Schema(), 0
    try:
        for index, entry in entries(arguments[0]):
            fault = schema.fault(entry)
            if fault is not None:
                raise verify.Refused(fault, index)
            count += 1
        if count == 0:
            raise verify.Refused("there is no log in %s" % arguments[0])
    except verify.Refused as refused:
        print("refused: %s" % verify.shown(refused.line()), file=sys.stderr)
        return 4
    print("good: %d entries have the form of %s" % (count, SCHEMA.name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
