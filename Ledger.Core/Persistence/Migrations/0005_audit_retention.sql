-- How long the audit trail is. What administrators did stays for ever; what users did to get in and out (the bulk, with
-- their network addresses) goes when it is old. Nobody changes an entry, and nothing removes one before its time.

alter table identity.audit add column sign_in boolean not null generated always as
    (action in ('signed_in', 'sign_in_failed', 'signed_out', 'refresh_token_reused', 'password_changed')) stored;
create index audit_of_sign_ins on identity.audit (at) where sign_in;

-- The floor is here, and not in the function below, so that it holds for whoever deletes, the owner too.
drop trigger append_only on identity.audit;
create trigger append_only before update or truncate on identity.audit
    for each statement execute function ledger.refuse_change();
create function identity.refuse_early_removal() returns trigger language plpgsql set search_path = '' as $$
begin
    if not old.sign_in or old.at > clock_timestamp() - interval '90 days' then
        raise exception 'identity.audit is append-only, but for sign-ins of more than 90 days ago' using errcode = 'restrict_violation';
    end if;
    return old;
end $$;
create trigger append_only_until_old before delete on identity.audit
    for each row execute function identity.refuse_early_removal();

-- Removes up to so many sign-ins that are older than an age, the oldest first; returns how many. The age is measured by
-- this server's clock, not by the caller's. "skip locked": workers that do it at the same moment do not wait for each other.
create function identity.remove_sign_ins(age interval, at_most integer) returns integer
language plpgsql strict security definer set search_path = '' as $$
declare
    removed integer;
begin
    if clock_timestamp() - age > clock_timestamp() - interval '90 days' then
        raise exception 'sign-ins are kept for 90 days at least, not %', age using errcode = 'restrict_violation';
    end if;
    delete from identity.audit where id in (
        select id from identity.audit where sign_in and at < clock_timestamp() - age order by at limit at_most for update skip locked);
    get diagnostics removed = row_count;
    return removed;
end $$;
revoke execute on function identity.remove_sign_ins(interval, integer) from public;
grant execute on function identity.remove_sign_ins(interval, integer) to ledger_worker;
