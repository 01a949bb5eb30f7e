#!/usr/bin/env python3
"""Recomputes the journal of a ledger from its tables, as docs/journal.md describes it, with nothing but Python and psql.

Usage: scripts/verify-journal.py CONNECTION      such as postgresql://postgres:…@localhost:5432/ledgerdb
       scripts/verify-journal.py --test-vector   checks this script against the test vector of docs/journal.md

Exit code 0: every block is as it must be; 1: one is not, and it is named; 2: the database cannot be read.
"""
import hashlib
import json
import os
import re
import subprocess
import sys

FORM = "ledger transaction 1"
GENESIS = bytes(32)

# Sealing goes on meanwhile: both queries read up to the block that was the last when the first of them started.
LAST = "select json_build_array(coalesce(max(number), 0), coalesce(max(last_sequence), 0)) from ledger.blocks"

BLOCKS = """
    select json_build_array(number, first_sequence, last_sequence, encode(previous, 'hex'), encode(hash, 'hex'))
    from ledger.blocks where number <= {number} order by number"""

# One line per sealed transaction, in the journal's order: sequence, stored digest, fields, and the fields of each entry.
TRANSACTIONS = """
    select json_build_array(j.sequence, encode(t.digest, 'hex'),
        json_build_array(t.id, t.kind, t.status, t.principal_id, t.owner_id, t.recipient_id, t.currency, t.amount::text, t.reference,
            t.metadata::text, t.details::text, (extract(epoch from t.created_at) * 1000000)::bigint::text,
            (extract(epoch from t.decided_at) * 1000000)::bigint::text, (extract(epoch from t.effective_at) * 1000000)::bigint::text,
            t.reverses, t.hold_id, t.rejection, t.available::text, t.rejection_index::text, t.failure),
        coalesce((
            select json_agg(json_build_array(e.account_id, e.currency, e.amount::text, e.balance_after::text) order by e.id)
            from unnest(t.account_ids) a(id)
            join ledger.entries e on e.account_id = a.id and e.posted_at = t.decided_at and e.transaction_id = t.id
                and e.effective_at is not distinct from t.effective_at), '[]'))
    from ledger.journal j left join ledger.transactions t on t.id = j.transaction_id where j.sequence <= {last} order by j.sequence"""


def field(value):
    """A netstring, or "-," for a value that is absent."""
    if value is None:
        return b"-,"
    text = str(value).encode()
    return str(len(text)).encode() + b":" + text + b","


def digest_of(fields, entries):
    """SHA-256 over the canonical form of a transaction and its entries."""
    form = [FORM, *fields, len(entries)]
    for entry in entries:
        form += entry
    return hashlib.sha256(b"".join(field(value) for value in form)).digest()


def hash_of(number, first, last, previous, digests):
    """SHA-256 over the header of a block, the hash of the block before, and its digests."""
    return hashlib.sha256(f"ledger block 1\n{number}\n{first}\n{last}\n".encode() + previous + b"".join(digests)).digest()


def query(connection, sql):
    """The rows of a statement that returns one JSON value each, as they come."""
    try:
        psql = subprocess.Popen(
            ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", connection, "--command", f"copy ({sql}) to stdout"],
            stdout=subprocess.PIPE, text=True, encoding="utf-8")
    except FileNotFoundError:
        print("verify-journal: psql is not installed; it comes with PostgreSQL's client, such as Debian's package postgresql-client", file=sys.stderr)
        sys.exit(2)
    for line in psql.stdout:
        # "copy" writes a backslash twice.
        yield json.loads(line.replace("\\\\", "\\"))
    if psql.wait() != 0:
        sys.exit(2)


def verify(connection):
    broken = 0

    def tell(text):
        nonlocal broken
        broken += 1
        print(text)

    ((blocks, sequence),) = query(connection, LAST)
    rows = query(connection, TRANSACTIONS.format(last=sequence))
    row, last, previous, count, before = next(rows, None), 0, GENESIS, 0, 0
    for number, first, end, stored_previous, stored_hash in query(connection, BLOCKS.format(number=blocks)):
        if number != before + 1 or first != last + 1 or bytes.fromhex(stored_previous) != previous:
            tell(f"block {number} does not follow block {before}")
        digests = []
        expected = first
        while row is not None and row[0] <= end:
            sequence, stored, fields, entries = row
            if sequence != expected:
                tell(f"block {number} has no transaction at {expected}")
            expected = sequence + 1
            if stored is None:
                tell(f"the transaction at {sequence} is missing")
            else:
                digests.append(bytes.fromhex(stored))
                if digest_of(fields, entries).hex() != stored:
                    tell(f"transaction {fields[0]} at {sequence}, or one of its entries, is not as it was decided")
            count += 1
            row = next(rows, None)
        if hash_of(number, first, end, bytes.fromhex(stored_previous), digests).hex() != stored_hash:
            tell(f"block {number} ({first} to {end}) has another hash than its transactions")
        last, previous, before = end, bytes.fromhex(stored_hash), number
    print(f"{count} transactions, the last block's hash is {previous.hex()}: {'as they must be' if broken == 0 else f'{broken} faults'}")
    return 1 if broken else 0


def test_vector():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "journal.md")
    with open(path, encoding="utf-8") as file:
        vector = json.loads(re.search(r"```json\n(.*?)```", file.read(), re.S).group(1))
    digest = digest_of(vector["fields"], vector["entries"])
    block = hash_of(1, 1, 1, GENESIS, [digest])
    expected = (vector["digest"], vector["blockHash"])
    print(f"digest {digest.hex()}\nblock  {block.hex()}")
    return 0 if (digest.hex(), block.hex()) == expected else 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    sys.exit(test_vector() if sys.argv[1] == "--test-vector" else verify(sys.argv[1]))
