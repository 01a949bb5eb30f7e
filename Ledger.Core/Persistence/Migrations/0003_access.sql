-- Who may do what: what the API and the worker may touch, and whose rows the API may see.

-- Freezes or unfreezes a user with all accounts. The lock on the user's row makes it wait for batches that are opening an account of
-- the user, and them for it: an account that is opened later is opened frozen. Accounts are locked in id order, as a batch does.
create function identity.set_frozen(id uuid, frozen boolean) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    perform from identity.users u where u.id = set_frozen.id for update;
    if not found then
        return false;
    end if;
    update identity.users u set frozen_at = case when frozen then coalesce(u.frozen_at, clock_timestamp()) end where u.id = set_frozen.id;
    perform from ledger.accounts a where a.owner_id = set_frozen.id and a.kind = 'user' order by a.currency collate "C", a.name collate "C" for no key update;
    update ledger.accounts a set status = case when frozen then 'frozen' else 'open' end
    where a.owner_id = set_frozen.id and a.kind = 'user' and a.status <> 'closed' and (a.status = 'frozen') <> frozen;
    return true;
end $$;

-- Whether a user is the only operator who is not frozen.
create function identity.is_last_operator(id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select identity.is_operator(is_last_operator.id) and not exists (
        select from identity.user_roles ur join identity.roles r on r.id = ur.role_id join identity.users u on u.id = ur.user_id
        where r.name = 'operator' and ur.user_id <> is_last_operator.id and u.frozen_at is null);
$$;

-- Gives a role to a user, or takes it away: the API's database role cannot write identity.user_roles. The actor must be an operator now,
-- because its access token may be older, and cannot take away the last operator's role. The lock lets one call run at a time, so that
-- two operators cannot take each other's role away.
create function identity.set_role(subject uuid, role text, given boolean, actor uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
    wanted constant uuid := (select r.id from identity.roles r where r.name = set_role.role);
begin
    lock table identity.user_roles in share row exclusive mode;
    perform from identity.users u where u.id = subject and u.closed_at is null for key share;
    if not found or wanted is null then
        return 'unknown';
    end if;
    if not identity.is_operator(actor) then
        return 'forbidden';
    end if;
    if given then
        insert into identity.user_roles (user_id, role_id) values (subject, wanted) on conflict do nothing;
    else
        if role = 'operator' and identity.is_last_operator(subject) then
            return 'last_operator';
        end if;
        delete from identity.user_roles ur where ur.user_id = subject and ur.role_id = wanted;
    end if;
    return case when found then 'changed' else 'unchanged' end;
end $$;

-- Changes the names of a user. email_key is the address in the form in which addresses are compared. False if the actor may not.
create function identity.change_user(id uuid, external_id text, email text, email_key text, name text, metadata json, actor uuid) returns boolean
language sql security definer set search_path = '' as $$
    update identity.users u set external_id = change_user.external_id, user_name = change_user.email, email = change_user.email,
        normalized_user_name = change_user.email_key, normalized_email = change_user.email_key, name = change_user.name, metadata = change_user.metadata
    where u.id = change_user.id and u.closed_at is null and identity.manages_user(actor, u.id)
    returning true;
$$;

-- Closes a user for good: no login, no payment, and nothing that says who it was; the books stay. 'balance_not_zero' while it has money,
-- holds or a command that is not decided. Locks as a batch does: accounts, then their owner, which keeps batches from opening
-- more. The second look at the accounts finds those that a batch has opened in between.
create function identity.close_user(id uuid, actor uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    lock table identity.user_roles in share row exclusive mode;
    perform from ledger.accounts a where a.owner_id = close_user.id and a.kind = 'user' order by a.currency collate "C", a.name collate "C" for no key update;
    perform from identity.users u where u.id = close_user.id for update;
    if not found then
        return 'unknown';
    end if;
    if exists (select from identity.users u where u.id = close_user.id and u.closed_at is not null) then
        return 'unchanged';
    end if;
    if not identity.manages_user(actor, close_user.id) then
        return 'forbidden';
    end if;
    if identity.is_last_operator(close_user.id) then
        return 'last_operator';
    end if;
    perform from ledger.accounts a where a.owner_id = close_user.id and a.kind = 'user' order by a.currency collate "C", a.name collate "C" for no key update;
    if exists (select from ledger.accounts a where a.owner_id = close_user.id and (a.posted <> 0 or a.held <> 0))
        or exists (select from ledger.pending_commands p where p.owner_id = close_user.id) then
        return 'balance_not_zero';
    end if;
    -- An account's name and metadata are its owner's words. Without the name 'main', a batch does not find it: the user is unknown.
    update ledger.accounts a set status = 'closed', name = a.id::text, metadata = null where a.owner_id = close_user.id and a.kind = 'user';
    delete from identity.user_roles r where r.user_id = close_user.id;
    delete from identity.user_claims c where c.user_id = close_user.id;
    delete from identity.user_logins l where l.user_id = close_user.id;
    delete from identity.user_tokens t where t.user_id = close_user.id;
    update identity.users u set closed_at = clock_timestamp(), user_name = null, normalized_user_name = null, email = null, normalized_email = null,
        email_confirmed = false, password_hash = null, security_stamp = null, phone_number = null, external_id = null, name = null, metadata = null
    where u.id = close_user.id;
    return 'changed';
end $$;

-- A closed user gets no account any more: for those who open one without identity.lock_owners.
create function ledger.check_owner() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    closed boolean;
begin
    select u.closed_at is not null into closed from identity.users u where u.id = new.owner_id for key share;
    if closed then
        raise exception 'user % is closed and gets no account', new.owner_id using errcode = 'check_violation', constraint = 'accounts_of_open_users';
    end if;
    return new;
end $$;
create trigger check_owner before insert on ledger.accounts for each row when (new.owner_id is not null) execute function ledger.check_owner();
revoke execute on function ledger.check_owner() from public;

-- PostgreSQL's roles belong to the cluster, so another ledger may have created them already, or an administrator where this database's
-- owner may not. The roles have no login until an operator gives them a password. API and worker log in as another role and set these.
do $$
declare
    name text;
    -- PostgreSQL 16 tells being a member from being allowed to step down.
    to_step_down constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    foreach name in array array['ledger_api', 'ledger_worker'] loop
        if not exists (select from pg_catalog.pg_roles r where r.rolname = name) then
            begin
                execute format('create role %I nologin', name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
        -- The role that migrates may be the one that runs the processes.
        if not pg_has_role(current_user, name, to_step_down) then
            execute format('grant %I to current_user', name);
        end if;
    end loop;
end $$;

grant usage on schema identity, ledger to ledger_api, ledger_worker;

-- The API: identity, and of the ledger what its caller owns. It cannot write money and cannot give roles.
grant select on identity.users, identity.roles, identity.user_roles, identity.role_claims, identity.user_claims to ledger_api;
grant insert on identity.users to ledger_api;
grant update (password_hash, security_stamp, concurrency_stamp) on identity.users to ledger_api;
grant select, insert, update on identity.data_protection_keys to ledger_api;
grant select, insert, update, delete on identity.sessions, identity.refresh_tokens, identity.login_failures to ledger_api;
grant select, insert (id, name, scopes), update (closed_at) on identity.services to ledger_api;
grant select, insert (id, service_id, hash, expires_at), update (last_used_at, revoked_at) on identity.service_keys to ledger_api;
grant select, insert on identity.audit to ledger_api;
revoke execute on function identity.set_frozen(uuid, boolean), identity.set_role(uuid, text, boolean, uuid), identity.close_user(uuid, uuid),
    identity.change_user(uuid, text, text, text, text, json, uuid), identity.is_last_operator(uuid) from public;
grant execute on function identity.set_role(uuid, text, boolean, uuid), identity.close_user(uuid, uuid),
    identity.change_user(uuid, text, text, text, text, json, uuid) to ledger_api;
grant execute on function identity.set_frozen(uuid, boolean), identity.is_operator(uuid), identity.is_staff(uuid), identity.reads_for_others(uuid),
    identity.moves_for_others(uuid) to ledger_api;
grant select, insert, update (name, enabled) on ledger.currencies to ledger_api;
grant select on ledger.accounts, ledger.transactions, ledger.entries, ledger.verifications to ledger_api;
grant select on ledger.pending_commands to ledger_api;
grant insert (id, principal_id, owner_id, version, kind, currency, created_at, command, due_at) on ledger.pending_commands to ledger_api;
grant select, insert on ledger.idempotency_keys to ledger_api;

-- The worker: the ledger, and of users whether they are there. It writes what it has to and nothing else: no fault of it unfreezes a
-- user, changes a currency, says in which transaction it wrote, or changes what an idempotency key stands for.
grant execute on function identity.remove_sign_ins(interval, integer), identity.lock_owners(uuid[]), identity.movers(uuid[]) to ledger_worker;
grant execute on function ledger.lock_accounts(uuid[], text[], uuid[]), ledger.lock_shards(uuid[]), ledger.lock_closing() to ledger_worker;
grant select on all tables in schema ledger to ledger_worker;
grant insert (id, kind, owner_id, name, currency, status) on ledger.accounts to ledger_worker;
grant insert (id, kind, status, principal_id, owner_id, recipient_id, account_ids, currency, amount, reference, metadata, details, reverses, hold_id,
    created_at, decided_at, effective_at, rejection, rejection_index, available, failure, digest) on ledger.transactions to ledger_worker;
grant insert (account_id, posted_at, transaction_id, currency, amount, balance_after, effective_at) on ledger.entries to ledger_worker;
grant insert on ledger.idempotency_keys, ledger.verifications to ledger_worker;
grant insert (id, principal_id, owner_id, version, kind, currency, created_at, command, due_at),
    update (due_at, relays, reply_to, failure, failed_at, ends_at), delete on ledger.pending_commands to ledger_worker;
grant insert, update, delete on ledger.attempts to ledger_worker;

-- The user or service account that calls the API; null if the API's transaction did not say.
create function ledger.caller() returns uuid language sql stable parallel safe
    return nullif(current_setting('ledger.caller', true), '')::uuid;
-- The user for whom the caller acts: by default the caller.
create function ledger.acts_for() returns uuid language sql stable parallel safe
    return coalesce(nullif(current_setting('ledger.acts_for', true), '')::uuid, ledger.caller());
-- The user whose rows the API's transaction reads: null if the caller may not read that user's.
create function ledger.reads_for() returns uuid language sql stable
    return case when ledger.acts_for() = ledger.caller() or identity.reads_for_others(ledger.caller()) then ledger.acts_for() end;
-- The user whose money the API's transaction may order to be moved: null if the caller may not move that user's.
create function ledger.moves_for() returns uuid language sql stable
    return case when ledger.acts_for() = ledger.caller() or identity.moves_for_others(ledger.caller()) then ledger.acts_for() end;
-- Whether the API's transaction reads for a caller who may read, and asked for, everybody's rows.
create function ledger.reads_everything() returns boolean language sql stable
    return current_setting('ledger.scope', true) = 'everything' and identity.reads_for_others(ledger.caller());

-- Row-level security, for the API. "(select …)" is evaluated once per statement, not once per row; the caller's accounts are few, and
-- an array of them is searched in entries by index.
alter table ledger.accounts enable row level security;
alter table ledger.entries enable row level security;
alter table ledger.transactions enable row level security;
alter table ledger.pending_commands enable row level security;
alter table ledger.idempotency_keys enable row level security;

create policy of_user on ledger.accounts for select to ledger_api
    using (owner_id = (select ledger.reads_for()) or (select ledger.reads_everything()));
create policy of_user on ledger.entries for select to ledger_api
    using (account_id = any (array(select a.id from ledger.accounts a where a.owner_id = (select ledger.reads_for()) and a.kind = 'user'))
        or (select ledger.reads_everything()));
-- A posted transaction is seen by the owners of its accounts and by its sender; one that is not posted has no accounts.
create policy of_user on ledger.transactions for select to ledger_api
    using (owner_id = (select ledger.reads_for()) or principal_id = (select ledger.caller())
        or account_ids && array(select a.id from ledger.accounts a where a.owner_id = (select ledger.reads_for()) and a.kind = 'user')
        or (select ledger.reads_everything()));
create policy of_user on ledger.pending_commands for select to ledger_api
    using (owner_id = (select ledger.reads_for()) or principal_id = (select ledger.caller()));
-- A caller records commands of its own money; an operator or a service account with scope transactions also of the user's for whom it
-- acts, and commands without an owner.
create policy by_caller on ledger.pending_commands for insert to ledger_api
    with check (principal_id = (select ledger.caller())
        and case when owner_id is null then (select identity.moves_for_others(ledger.caller())) else owner_id = (select ledger.moves_for()) end);
create policy of_caller on ledger.idempotency_keys to ledger_api
    using (principal_id = (select ledger.caller())) with check (principal_id = (select ledger.caller()) and (select ledger.moves_for()) is not null);

-- The entries of a transaction that the caller sent: those on its owner's accounts, or all that state a balance if it has no owner. A
-- service account that moves money reads the outcome of its commands by this, also without the scope to read.
create function ledger.entries_of_command(id uuid) returns setof ledger.entries
language sql stable security definer set search_path = '' as $$
    select e.* from ledger.transactions t
    cross join lateral unnest(t.account_ids) i(account_id)
    join ledger.accounts a on a.id = i.account_id and a.shard is null and (a.owner_id = t.owner_id or t.owner_id is null)
    join ledger.entries e on e.account_id = a.id and e.posted_at = t.decided_at and e.transaction_id = t.id
    where t.id = entries_of_command.id and t.principal_id = ledger.caller()
    order by e.id;
$$;
-- The fields of a transaction that a caller needs to reverse it, for callers that move other users' money.
create function ledger.reversal_target(id uuid) returns table (status text, reverses uuid, currency text, amount bigint, currencies text[])
language sql stable security definer set search_path = '' as $$
    select t.status, t.reverses, t.currency, t.amount,
        array(select a.currency from ledger.accounts a where a.id = any (t.account_ids) union select t.currency)
    from ledger.transactions t
    where t.id = reversal_target.id and identity.moves_for_others(ledger.caller());
$$;
revoke execute on function ledger.entries_of_command(uuid), ledger.reversal_target(uuid) from public;
grant execute on function ledger.entries_of_command(uuid), ledger.reversal_target(uuid) to ledger_api;

-- The transactions with such metadata, of the user for whom the caller reads, or of everybody. jsonb's @> is not leakproof: under row-level
-- security it would be judged row by row and find no index. A recipient does not see the sender's metadata and does not find by it.
create function ledger.transactions_with_metadata(wanted json) returns setof uuid
language sql stable security definer set search_path = '' as $$
    select t.id from ledger.transactions t
    where t.metadata is not null and ledger.search_terms(t.metadata, t.owner_id) @> (
        '{"metadata":' || wanted::text || case when ledger.reads_everything() then '' else ',"owner":"' || ledger.reads_for()::text || '"' end || '}')::jsonb;
$$;
-- Whether so many transactions have a reference that a user's own are found sooner along the entries of the user's accounts.
create function ledger.is_common_reference(reference text) returns boolean
language sql stable security definer set search_path = '' as $$
    select count(*) > 1000 from (select from ledger.transactions t where t.reference = is_common_reference.reference limit 1001) t;
$$;
revoke execute on function ledger.transactions_with_metadata(json), ledger.is_common_reference(text) from public;
grant execute on function ledger.transactions_with_metadata(json), ledger.is_common_reference(text) to ledger_api;

-- Only an operator makes and closes service accounts and their keys. A revoked key and a closed service account stay so.
alter table identity.services enable row level security;
alter table identity.service_keys enable row level security;
create policy every_row on identity.services for select to ledger_api using (true);
create policy by_operator on identity.services for insert to ledger_api with check ((select identity.is_operator(ledger.caller())));
create policy closed_by_operator on identity.services for update to ledger_api
    using (closed_at is null and (select identity.is_operator(ledger.caller()))) with check (true);
create policy every_row on identity.service_keys for select to ledger_api using (true);
create policy by_operator on identity.service_keys for insert to ledger_api with check ((select identity.is_operator(ledger.caller())));
create policy revoked_by_operator on identity.service_keys for update to ledger_api
    using (revoked_at is null) with check (revoked_at is null or (select identity.is_operator(ledger.caller())));

-- The worker judges everybody's commands.
create policy every_row on ledger.accounts to ledger_worker using (true) with check (true);
create policy every_row on ledger.entries to ledger_worker using (true) with check (true);
create policy every_row on ledger.transactions to ledger_worker using (true) with check (true);
create policy every_row on ledger.pending_commands to ledger_worker using (true) with check (true);
create policy every_row on ledger.idempotency_keys to ledger_worker using (true) with check (true);

-- An operator gives a failed command to the relay again, or ends it. There are only commands in here whose clients were answered 202:
-- to them nothing final was said.
create policy of_staff on ledger.pending_commands for select to ledger_api using ((select ledger.reads_everything()));
create policy by_operator on ledger.pending_commands for update to ledger_api
    using (failure is not null and (select identity.is_operator(ledger.caller()))) with check (true);
grant update (due_at, relays, failure, failed_at, ends_at) on ledger.pending_commands to ledger_api;

-- The API changes accounts and closes the books by these functions alone. Each locks the account as a batch of the engine does, so that
-- one of the two is first and the other one sees its changes.

-- Opens an account of the user for whom the caller acts, beside the main one. The account of a frozen user is frozen. The lock on the
-- user's row lets one call run at a time, so that the number of accounts is exact, and makes it wait for a freeze.
create function ledger.open_account(id uuid, owner_id uuid, name text, currency text, metadata json) returns setof ledger.accounts
language plpgsql security definer set search_path = '' as $$
declare
    owner identity.users;
    max_accounts constant integer := 100;
begin
    if open_account.owner_id is distinct from ledger.moves_for() then
        raise exception '% opens no account of %', ledger.caller(), open_account.owner_id using errcode = 'insufficient_privilege';
    end if;
    select * into owner from identity.users u where u.id = open_account.owner_id and u.closed_at is null for no key update;
    if not found then
        raise exception 'there is no user %', open_account.owner_id using errcode = 'foreign_key_violation', constraint = 'accounts_owner_id_fkey';
    end if;
    if (select count(*) from ledger.accounts a where a.owner_id = open_account.owner_id and a.kind = 'user') >= max_accounts then
        raise exception 'user % has % accounts', open_account.owner_id, max_accounts using errcode = 'check_violation', constraint = 'accounts_per_user';
    end if;
    return query
        insert into ledger.accounts as a (id, kind, owner_id, name, currency, metadata, status)
        values (open_account.id, 'user', open_account.owner_id, open_account.name, open_account.currency, open_account.metadata,
            case when owner.frozen_at is null then 'open' else 'frozen' end)
        returning a.*;
end $$;

-- Changes the metadata of an account of the user for whom the caller acts, unless it is closed, and returns the account; no row if the
-- user has none of this id.
create function ledger.change_account(id uuid, metadata json) returns setof ledger.accounts language plpgsql security definer set search_path = '' as $$
begin
    update ledger.accounts a set metadata = change_account.metadata
    where a.id = change_account.id and a.owner_id = ledger.moves_for() and a.kind = 'user' and a.status <> 'closed';
    return query
        select a.* from ledger.accounts a where a.id = change_account.id and a.owner_id = ledger.moves_for() and a.kind = 'user';
end $$;

-- Closes an account of the user for whom the caller acts, if it is open, and returns the status that it had; null if the user has none of
-- this id. A main account is not closed, because each later payment would need it.
create function ledger.close_account(id uuid) returns text language plpgsql security definer set search_path = '' as $$
declare
    account ledger.accounts;
begin
    select * into account from ledger.accounts a
    where a.id = close_account.id and a.owner_id = ledger.moves_for() and a.kind = 'user' for no key update;
    if account.status = 'open' and account.name = 'main' then
        raise exception 'account % is a main account', close_account.id using errcode = 'check_violation', constraint = 'accounts_main_stays_open';
    end if;
    if account.status = 'open' then
        update ledger.accounts a set status = 'closed' where a.id = close_account.id;
    end if;
    return account.status;
end $$;

create function ledger.open_house_account(id uuid, name text, currency text, credit_limit bigint) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not identity.is_operator(ledger.caller()) then
        raise exception '% opens no house account', ledger.caller() using errcode = 'insufficient_privilege';
    end if;
    insert into ledger.accounts (id, kind, name, currency, credit_limit)
    values (open_house_account.id, 'house', open_house_account.name, open_house_account.currency, open_house_account.credit_limit);
end $$;

-- Sets the credit limit of an account and returns the previous one; null if there is no such account. The check of the table refuses a
-- limit below what is used.
create function ledger.set_credit_limit(id uuid, credit_limit bigint) returns bigint language plpgsql security definer set search_path = '' as $$
declare
    account ledger.accounts;
begin
    if not identity.is_operator(ledger.caller()) then
        raise exception '% sets no credit limit', ledger.caller() using errcode = 'insufficient_privilege';
    end if;
    select * into account from ledger.accounts a where a.id = set_credit_limit.id and a.shard is null for no key update;
    update ledger.accounts a set credit_limit = set_credit_limit.credit_limit where a.id = account.id;
    return account.credit_limit;
end $$;

-- Closes the books until a time in the past, and returns the time until which they were closed. It waits for batches with entries that
-- take effect before that; later ones are refused.
create function ledger.close_books(until timestamptz) returns timestamptz language plpgsql security definer set search_path = '' as $$
declare
    previous timestamptz;
begin
    if not identity.is_operator(ledger.caller()) then
        raise exception '% closes no books', ledger.caller() using errcode = 'insufficient_privilege';
    end if;
    if close_books.until > clock_timestamp() then
        raise exception 'the books are closed up to now at most' using errcode = 'check_violation', constraint = 'closing_not_in_future';
    end if;
    select c.closed_until into previous from ledger.closing c for update;
    update ledger.closing c set closed_until = close_books.until;
    return previous;
end $$;

revoke execute on function ledger.open_account(uuid, uuid, text, text, json), ledger.change_account(uuid, json), ledger.close_account(uuid),
    ledger.open_house_account(uuid, text, text, bigint), ledger.set_credit_limit(uuid, bigint), ledger.close_books(timestamptz) from public;
grant execute on function ledger.open_account(uuid, uuid, text, text, json), ledger.change_account(uuid, json), ledger.close_account(uuid),
    ledger.open_house_account(uuid, text, text, bigint), ledger.set_credit_limit(uuid, bigint), ledger.close_books(timestamptz) to ledger_api;
grant select on ledger.closing to ledger_api;

-- Users of external OpenID Connect providers. The API reads their logins, and makes them by these functions: it cannot give an existing
-- user another login, nor a role to a user with a password.
grant select on identity.user_logins to ledger_api;

-- The user of a provider's subject, which is made if there is none. An e-mail address that another user has stays with that user.
create function identity.add_login(provider text, subject text, new_id uuid, new_email text, new_key text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    holder uuid;
begin
    insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, security_stamp)
    values (new_id, new_email, new_key, new_email, new_key, new_email is not null, pg_catalog.gen_random_uuid()::text)
    on conflict do nothing;
    if not found then
        insert into identity.users (id, security_stamp) values (new_id, pg_catalog.gen_random_uuid()::text);
    end if;
    -- Of two first requests at once one waits here, until the other has committed.
    insert into identity.user_logins (login_provider, provider_key, user_id) values (provider, subject, new_id) on conflict do nothing;
    if not found then
        delete from identity.users u where u.id = new_id;
    end if;
    select l.user_id into strict holder from identity.user_logins l where l.login_provider = provider and l.provider_key = subject;
    return holder;
end $$;

-- Gives a provider's user exactly the roles of a token, and writes audit entries of the differences. A token that is older than the
-- one that the roles come from changes nothing.
create function identity.set_roles_of_login(provider text, subject text, names text[], issued_at timestamptz) returns void
language plpgsql strict security definer set search_path = '' as $$
declare
    holder uuid;
begin
    -- In this order identity.close_user locks too.
    lock table identity.user_roles in row exclusive mode;
    update identity.user_logins l set roles_at = issued_at
    where l.login_provider = provider and l.provider_key = subject and coalesce(l.roles_at <= issued_at, true)
        and exists (select from identity.users u where u.id = l.user_id and u.password_hash is null)
    returning l.user_id into holder;
    if holder is null then
        return;
    end if;
    with taken as (
        delete from identity.user_roles ur using identity.roles r
        where ur.user_id = holder and r.id = ur.role_id and r.name <> all (names) returning r.name),
    given as (
        insert into identity.user_roles (user_id, role_id) select holder, r.id from identity.roles r where r.name = any (names)
        on conflict do nothing returning role_id)
    insert into identity.audit (actor_kind, action, subject, details)
    select 'identity_provider', changed.action, holder::text, json_build_object('role', changed.name, 'provider', provider)
    from (
        select 'role_revoked' as action, t.name from taken t
        union all select 'role_granted', r.name from given g join identity.roles r on r.id = g.role_id) changed;
end $$;
revoke execute on function identity.add_login(text, text, uuid, text, text), identity.set_roles_of_login(text, text, text[], timestamptz) from public;
grant execute on function identity.add_login(text, text, uuid, text, text), identity.set_roles_of_login(text, text, text[], timestamptz) to ledger_api;
