-- The worker may write what it has to, and nothing else: no fault of it unfreezes a user, changes a currency or what an
-- idempotency key stands for. To lock a row takes the right to change one of its columns; these are columns that decide nothing.
revoke update (frozen_at) on identity.users from ledger_worker;
grant update (phone_number_confirmed) on identity.users to ledger_worker;

revoke insert, update, delete on all tables in schema ledger from ledger_worker;
alter default privileges in schema ledger revoke insert, update, delete on tables from ledger_worker;
grant insert (id, kind, owner_id, currency), update (opened_at) on ledger.accounts to ledger_worker;
grant insert on ledger.transactions, ledger.entries, ledger.idempotency_keys, ledger.verifications to ledger_worker;
grant update (relayed_at, failure), delete on ledger.pending_commands to ledger_worker;
grant insert, update, delete on ledger.attempts to ledger_worker;

-- Who may execute a trigger's function may put it on a table of his own, and feed it what he likes; and everybody may execute
-- what is not taken from him. Triggers that are there go on: they fire without asking.
revoke execute on function ledger.post_entries(), ledger.open_settlement_accounts() from public;
