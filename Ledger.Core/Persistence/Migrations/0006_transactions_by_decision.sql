-- A user's transactions, newest decision first: what was posted stands in the entries of the user's accounts, by time, on
-- both sides of a transfer. Only what was rejected has no entries, and needs an index of its own. Two index entries of
-- every transaction, each on a page of its own, were a quarter of what posting cost the database.
drop index ledger.transactions_of_owner;
drop index ledger.transactions_of_counterparty;
create index transactions_rejected on ledger.transactions (owner_id, decided_at, id) where status = 'rejected';
