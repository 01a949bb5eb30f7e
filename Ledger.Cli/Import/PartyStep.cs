using Ledger.Cli.Export;
using Ledger.Core.Identity;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Cli.Import;

/// <summary>
/// Writes currencies, users, accounts and idempotency keys. The lines of users and accounts also gather in temporary tables, from which
/// <see cref="EndAsync"/> takes what holds at the end: of several lines of one id the last.
/// </summary>
internal sealed class PartyStep(NpgsqlConnection connection, LineCheck check, NpgsqlDataSource database)
{
    public Task BeginAsync(CancellationToken cancellationToken) => ExecuteAsync("""
        create temporary table import_users (line bigint, id uuid, external_id text, email text, email_key text, name text, metadata json,
            created_at timestamptz, frozen_at timestamptz, closed_at timestamptz, providers text[], subjects text[]);
        create temporary table import_accounts (line bigint, id uuid, kind text, owner_id uuid, name text, currency text, status text, credit_limit bigint,
            metadata json, opened_at timestamptz);
        create temporary table import_keys (line bigint, principal_id uuid, key text, request_hash bytea, transaction_id uuid);
        """, cancellationToken);

    /// <returns>How many were not there.</returns>
    public async Task<int> WriteCurrenciesAsync(List<(long Number, CurrencyLine Line)> lines, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var added = 0;
        foreach (var (number, line) in lines)
        {
            added += await ExecuteAsync(
                "insert into ledger.currencies (code, name, exponent, enabled) values ($1, $2, $3, $4) on conflict do nothing", cancellationToken,
                new() { Value = line.Code }, new() { Value = line.Name }, new() { Value = (short)line.Exponent }, new() { Value = line.Enabled });
            await ExecuteAsync(
                "update ledger.currencies set name = $2, enabled = $3 where code = $1 and (name, enabled) is distinct from ($2, $3)", cancellationToken,
                new() { Value = line.Code }, new() { Value = line.Name }, new() { Value = line.Enabled });
            await TakeShardsAsync(number, line.Code, "settlement", line.Settlement, cancellationToken);
            await TakeShardsAsync(number, line.Code, "exchange", line.Exchange, cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return added;
    }

    // Entries name the shards that they stand on, and digests cover it. A shard without entries is named by nothing else.
    private async Task TakeShardsAsync(long number, string code, string kind, Guid[]? ids, CancellationToken cancellationToken)
    {
        if (ids is null)
            return;
        NpgsqlParameter[] parameters = [new() { Value = code }, new() { Value = kind }, new() { Value = ids }];
        await ExecuteAsync("""
            update ledger.accounts a set id = w.id from unnest($3) with ordinality w(id, place)
            where a.kind = $2 and a.currency = $1 and a.shard = w.place - 1 and a.id <> w.id and a.last_posted_at = '-infinity'
            """, cancellationToken, parameters);
        await using var find = new NpgsqlCommand("""
            select exists (select from ledger.accounts a join unnest($3) with ordinality w(id, place) on a.shard = w.place - 1
                where a.kind = $2 and a.currency = $1 and a.id <> w.id)
            """, connection);
        find.Parameters.AddRange(parameters.Select(parameter => parameter.Clone()).ToArray());
        if (await find.ExecuteScalarAsync(cancellationToken) is true)
            throw new ImportException(number, $"the {kind} accounts of {code} have entries under other ids. Only an empty ledger takes an import.");
    }

    /// <inheritdoc cref="WriteCurrenciesAsync"/>
    public async Task<int> WriteUsersAsync(List<(long Number, UserLine Line)> lines, CancellationToken cancellationToken)
    {
        var emails = new List<string?>(lines.Count);
        foreach (var (number, line) in lines)
        {
            var email = line.Email is null ? null : await RegisteredEmail.CanonicalAsync(database, line.Email, cancellationToken);
            if (email is not null && !RegisteredEmail.IsEmail(email))
                throw new ImportException(number, $"email: \"{line.Email}\" is no e-mail address.");
            emails.Add(email);
        }
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (var copy = await connection.BeginBinaryImportAsync("""
            copy import_users (line, id, external_id, email, email_key, name, metadata, created_at, frozen_at, closed_at, providers, subjects) from stdin binary
            """, cancellationToken))
        {
            foreach (var (place, (number, line)) in lines.Index())
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(number, cancellationToken);
                await copy.WriteAsync(line.Id, cancellationToken);
                await copy.WriteOrNullAsync(line.ExternalId, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteOrNullAsync(emails[place], NpgsqlDbType.Text, cancellationToken);
                await copy.WriteOrNullAsync(emails[place] is { } email ? RegisteredEmail.KeyOf(email) : null, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteOrNullAsync(line.Name, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteOrNullAsync(line.Metadata?.Text, NpgsqlDbType.Json, cancellationToken);
                await copy.WriteOrNullAsync(line.CreatedAt, NpgsqlDbType.TimestampTz, cancellationToken);
                await copy.WriteOrNullAsync(line.FrozenAt, NpgsqlDbType.TimestampTz, cancellationToken);
                await copy.WriteOrNullAsync(line.ClosedAt, NpgsqlDbType.TimestampTz, cancellationToken);
                await copy.WriteAsync((line.Logins ?? []).Select(login => login.Provider).ToArray(), cancellationToken);
                await copy.WriteAsync((line.Logins ?? []).Select(login => login.Subject).ToArray(), cancellationToken);
            }
            await copy.CompleteAsync(cancellationToken);
        }
        // Not closed yet: a closed user gets no account.
        var added = await ExecuteAsync("""
            insert into identity.users (id, external_id, user_name, email, normalized_user_name, normalized_email, name, metadata, created_at)
            select distinct on (i.id) i.id, i.external_id, i.email, i.email, i.email_key, i.email_key, i.name, i.metadata, coalesce(i.created_at, now())
            from import_users i where i.line between $1 and $2 and not exists (select from identity.users u where u.id = i.id)
            order by i.id, i.line desc
            """, cancellationToken, new() { Value = lines[0].Number }, new() { Value = lines[^1].Number });
        await ExecuteAsync("""
            insert into identity.user_logins (login_provider, provider_key, user_id)
            select l.provider, l.subject, i.id from import_users i cross join unnest(i.providers, i.subjects) l(provider, subject)
            where i.line between $1 and $2 and not exists (
                select from identity.user_logins u where u.login_provider = l.provider and u.provider_key = l.subject and u.user_id = i.id)
            """, cancellationToken, new() { Value = lines[0].Number }, new() { Value = lines[^1].Number });
        await transaction.CommitAsync(cancellationToken);
        return added;
    }

    /// <inheritdoc cref="WriteCurrenciesAsync"/>
    public async Task<int> WriteAccountsAsync(List<(long Number, AccountLine Line)> lines, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using (var copy = await connection.BeginBinaryImportAsync(
            "copy import_accounts (line, id, kind, owner_id, name, currency, status, credit_limit, metadata, opened_at) from stdin binary", cancellationToken))
        {
            foreach (var (number, line) in lines)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(number, cancellationToken);
                await copy.WriteAsync(line.Id, cancellationToken);
                await copy.WriteAsync(line.Kind, cancellationToken);
                await copy.WriteOrNullAsync(line.OwnerId, NpgsqlDbType.Uuid, cancellationToken);
                await copy.WriteAsync(line.Name, cancellationToken);
                await copy.WriteAsync(line.Currency, cancellationToken);
                await copy.WriteAsync(line.Status, cancellationToken);
                await copy.WriteAsync(check.CreditLimit(number, line), cancellationToken);
                await copy.WriteOrNullAsync(line.Metadata?.Text, NpgsqlDbType.Json, cancellationToken);
                await copy.WriteOrNullAsync(line.OpenedAt, NpgsqlDbType.TimestampTz, cancellationToken);
            }
            await copy.CompleteAsync(cancellationToken);
        }
        await using (var find = new NpgsqlCommand("""
            select i.line, i.owner_id from import_accounts i
            where i.line between $1 and $2 and i.owner_id is not null and not exists (select from identity.users u where u.id = i.owner_id)
            order by i.line limit 1
            """, connection) { Parameters = { new() { Value = lines[0].Number }, new() { Value = lines[^1].Number } } })
        await using (var row = await find.ExecuteReaderAsync(cancellationToken))
        {
            if (await row.ReadAsync(cancellationToken))
                throw new ImportException(row.GetInt64(0), $"ownerId: there is no user {row.GetGuid(1)}. A line of type user before it adds the user.");
        }
        // Frozen: a ledger that is imported in part moves no money. Limits of the past may have been higher than the last one.
        var added = await ExecuteAsync("""
            insert into ledger.accounts (id, kind, owner_id, name, currency, status, credit_limit, metadata, opened_at)
            select distinct on (i.id) i.id, i.kind, i.owner_id, i.name, i.currency, 'frozen', 999999999999999999, i.metadata, coalesce(i.opened_at, now())
            from import_accounts i where i.line between $1 and $2 and not exists (select from ledger.accounts a where a.id = i.id)
            order by i.id, i.line desc
            """, cancellationToken, new() { Value = lines[0].Number }, new() { Value = lines[^1].Number });
        await transaction.CommitAsync(cancellationToken);
        return added;
    }

    /// <inheritdoc cref="WriteCurrenciesAsync"/>
    public async Task<int> WriteKeysAsync(List<(long Number, KeyLine Line)> lines, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync("truncate import_keys", cancellationToken);
        await using (var copy = await connection.BeginBinaryImportAsync(
            "copy import_keys (line, principal_id, key, request_hash, transaction_id) from stdin binary", cancellationToken))
        {
            foreach (var (number, line) in lines)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(number, cancellationToken);
                await copy.WriteAsync(line.PrincipalId, cancellationToken);
                await copy.WriteAsync(line.Key, cancellationToken);
                await copy.WriteAsync(line.RequestHash, cancellationToken);
                await copy.WriteAsync(line.TransactionId, cancellationToken);
            }
            await copy.CompleteAsync(cancellationToken);
        }
        await using (var find = new NpgsqlCommand("""
            select i.line, i.transaction_id from import_keys i
            where not exists (select from ledger.transactions t where t.id = i.transaction_id and t.principal_id = i.principal_id) order by i.line limit 1
            """, connection))
        await using (var row = await find.ExecuteReaderAsync(cancellationToken))
        {
            if (await row.ReadAsync(cancellationToken))
                throw new ImportException(row.GetInt64(0), $"transactionId: there is no transaction {row.GetGuid(1)} of this principal before the line.");
        }
        var added = await ExecuteAsync("""
            insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id)
            select principal_id, key, request_hash, transaction_id from import_keys on conflict do nothing
            """, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return added;
    }

    /// <summary>Gives users and accounts what their last lines say, in one transaction with the record of the import.</summary>
    public async Task EndAsync(DateTime? closedUntil, NpgsqlBatchCommand record, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync("""
            create temporary table last_users on commit drop as select distinct on (id) * from import_users order by id, line desc;
            create temporary table last_accounts on commit drop as select distinct on (id) * from import_accounts order by id, line desc;
            analyze last_users; analyze last_accounts
            """, cancellationToken);
        await using (var find = new NpgsqlCommand("""
            select i.line, case
                when a.kind <> i.kind or a.currency <> i.currency or a.owner_id is distinct from i.owner_id
                    then format('account %s is of kind %s in %s of owner %s in the ledger', a.id, a.kind, a.currency, coalesce(a.owner_id::text, 'none'))
                when a.posted - a.held < -i.credit_limit then format('creditLimit: account %s has %s minor units at the end of the file, and the limit is %s', a.id, a.posted - a.held, i.credit_limit)
                else format('status: account %s has %s minor units at the end of the file. A closed account is empty', a.id, a.posted) end
            from last_accounts i join ledger.accounts a on a.id = i.id
            where a.kind <> i.kind or a.currency <> i.currency or a.owner_id is distinct from i.owner_id
                or a.posted - a.held < -i.credit_limit or (i.status = 'closed' and (a.posted <> 0 or a.held <> 0))
            order by i.line limit 1
            """, connection) { CommandTimeout = 0 })
        await using (var row = await find.ExecuteReaderAsync(cancellationToken))
        {
            if (await row.ReadAsync(cancellationToken))
                throw new ImportException(row.GetInt64(0), row.GetString(1) + ".");
        }
        await ExecuteAsync("""
            update ledger.accounts a set status = i.status, credit_limit = i.credit_limit, name = i.name, metadata = i.metadata
            from last_accounts i
            where a.id = i.id and (a.status, a.credit_limit, a.name, a.metadata::text) is distinct from (i.status, i.credit_limit, i.name, i.metadata::text);
            update identity.users u set external_id = i.external_id, user_name = i.email, email = i.email, normalized_user_name = i.email_key,
                normalized_email = i.email_key, name = i.name, metadata = i.metadata, frozen_at = i.frozen_at, closed_at = i.closed_at,
                password_hash = case when i.closed_at is null then u.password_hash end
            from last_users i
            where u.id = i.id and (u.external_id, u.email, u.name, u.metadata::text, u.frozen_at, u.closed_at)
                is distinct from (i.external_id, i.email, i.name, i.metadata::text, i.frozen_at, i.closed_at)
            """, cancellationToken);
        if (closedUntil is { } time)
            await ExecuteAsync("update ledger.closing set closed_until = $1 where closed_until < $1", cancellationToken, new NpgsqlParameter { Value = time, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        await using (var batch = new NpgsqlBatch(connection) { BatchCommands = { record } })
            await batch.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    private async Task<int> ExecuteAsync(string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        command.Parameters.AddRange(parameters);
        var rows = await command.ExecuteNonQueryAsync(cancellationToken);
        command.Parameters.Clear();
        return rows;
    }
}
