using System.ComponentModel;
using Ledger.Api.Audit;
using Ledger.Api.Balances;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Users;

/// <summary>Users as operators and auditors see them: accounts, transactions, freezing, roles.</summary>
internal static class UserEndpoints
{
    private const int MaxReason = 500;
    private const string Columns = """
        u.id, u.email, u.created_at, u.frozen_at,
        array(select r.name from identity.user_roles ur join identity.roles r on r.id = ur.role_id where ur.user_id = u.id order by r.name)
        """;

    public static void MapUsers(this IEndpointRouteBuilder routes)
    {
        var reading = routes.MapAdministration(Policies.Staff);
        reading.MapGet("/users", ListAsync).WithName("ListUsers")
            .WithSummary("List users, newest first")
            .WithDescription("`query` matches a user id, or e-mail addresses by prefix.")
            .ProducesProblem(StatusCodes.Status400BadRequest);
        reading.MapGet("/users/{userId:guid}", GetAsync).WithName("GetUser")
            .WithSummary("Get a user")
            .ProducesProblem(StatusCodes.Status404NotFound);
        reading.MapGet("/users/{userId:guid}/balances", ListBalancesAsync).WithName("ListUserBalances")
            .WithSummary("List a user's balances")
            .ProducesProblem(StatusCodes.Status404NotFound);
        reading.MapGet("/users/{userId:guid}/transactions", ListTransactionsAsync).WithName("ListUserTransactions")
            .WithSummary("List a user's transactions, newest first")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        reading.MapGet("/users/{userId:guid}/transactions/{id:guid}", GetTransactionAsync).WithName("GetUserTransaction")
            .WithSummary("Get a user's transaction")
            .ProducesProblem(StatusCodes.Status404NotFound);

        var acting = routes.MapAdministration(Policies.Operator);
        acting.MapPost("/users/{userId:guid}/freeze", FreezeAsync).WithName("FreezeUser")
            .WithSummary("Freeze a user: no payments, no receipts, no login")
            .WithDescription("Ends the user's sessions within seconds. A repeated freeze changes nothing.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        acting.MapPost("/users/{userId:guid}/unfreeze", UnfreezeAsync).WithName("UnfreezeUser")
            .WithSummary("Unfreeze a user")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        acting.MapPut("/users/{userId:guid}/roles/{role}", GrantRoleAsync).WithName("GrantRole")
            .WithSummary("Give a user a role: operator or auditor")
            .WithDescription("The user has the role with its next login or refresh. A repeated call changes nothing.")
            .ProducesProblem(StatusCodes.Status404NotFound);
        acting.MapDelete("/users/{userId:guid}/roles/{role}", RevokeRoleAsync).WithName("RevokeRole")
            .WithSummary("Take a role away from a user")
            .WithDescription("The role has no effect within seconds, also in existing access tokens. 409 `last_operator` if a user takes it from the last operator; API keys and `ledger operator revoke` may. A repeated call changes nothing.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Results<Ok<UserPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken, string? query = null, string? cursor = null, string? limit = null)
    {
        var reader = new QueryReader();
        var before = reader.Cursor<Guid>("cursor", cursor, QueryReader.TryParseId);
        var pageSize = reader.PageSize(limit);
        if (query is { Length: > RegisteredEmail.MaxLength } || query?.Contains('\0') == true)
            reader.Errors["query"] = [$"Must be a user id, or at most {RegisteredEmail.MaxLength} characters of an e-mail address."];
        if (reader.Errors.Count > 0)
            return Problem.Invalid(context, reader.Errors);

        // starts_with has no wildcards that a caller could inject.
        await using var command = database.CreateCommand($"""
            select {Columns} from identity.users u
            where ($1::uuid is null or u.id < $1)
                and ($2::uuid is null or u.id = $2)
                and ($3::text is null or starts_with(u.normalized_email, $3))
            order by u.id desc limit $4
            """);
        var id = Guid.TryParseExact(query, "D", out var parsed) ? parsed : (Guid?)null;
        command.Parameters.Add(new() { Value = before ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new() { Value = id ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new()
        {
            Value = string.IsNullOrEmpty(query) || id is not null ? DBNull.Value : await RegisteredEmail.KeyAsync(database, query, cancellationToken),
            NpgsqlDbType = NpgsqlDbType.Text,
        });
        command.Parameters.Add(new() { Value = pageSize + 1 });
        var users = await ReadAsync(command, cancellationToken);
        var page = users.Take(pageSize).ToList();
        return TypedResults.Ok(new UserPage(page, users.Count > pageSize ? page[^1].UserId.ToString() : null));
    }

    private static async Task<Results<Ok<UserResponse>, ProblemHttpResult>> GetAsync(
        Guid userId, HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var command = database.CreateCommand($"select {Columns} from identity.users u where u.id = $1");
        command.Parameters.Add(new() { Value = userId });
        return await ReadAsync(command, cancellationToken) is [var user] ? TypedResults.Ok(user) : Problem.NotFound(context);
    }

    private static async Task<Results<Ok<BalancesResponse>, ProblemHttpResult>> ListBalancesAsync(
        Guid userId, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        (await GetAsync(userId, context, database, cancellationToken)).Result is ProblemHttpResult notFound
            ? notFound
            : await BalanceEndpoints.ListOfAsync(new Acting(context.Caller().Id, userId), database, catalog, cancellationToken);

    private static async Task<Results<Ok<TransactionPage>, ProblemHttpResult>> ListTransactionsAsync(
        Guid userId, [AsParameters] TransactionListQuery query, HttpContext context, NpgsqlDataSource database, TransactionQueries queries,
        CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        (await GetAsync(userId, context, database, cancellationToken)).Result is ProblemHttpResult notFound
            ? notFound
            : await TransactionEndpoints.ListOfAsync(new Acting(context.Caller().Id, userId), query, context, queries, catalog, cancellationToken);

    private static Task<Results<Ok<TransactionResponse>, ProblemHttpResult>> GetTransactionAsync(
        Guid userId, Guid id, HttpContext context, TransactionQueries queries, CurrencyCatalog catalog, CancellationToken cancellationToken) =>
        TransactionEndpoints.GetOfAsync(new Acting(context.Caller().Id, userId), id, context, queries, catalog, cancellationToken);

    private static Task<Results<Ok<UserResponse>, ProblemHttpResult>> FreezeAsync(
        Guid userId, FreezeRequest? request, HttpContext context, NpgsqlDataSource database, Sessions sessions, CancellationToken cancellationToken) =>
        SetFrozenAsync(userId, true, request, context, database, sessions, cancellationToken);

    private static Task<Results<Ok<UserResponse>, ProblemHttpResult>> UnfreezeAsync(
        Guid userId, FreezeRequest? request, HttpContext context, NpgsqlDataSource database, Sessions sessions, CancellationToken cancellationToken) =>
        SetFrozenAsync(userId, false, request, context, database, sessions, cancellationToken);

    private static async Task<Results<Ok<UserResponse>, ProblemHttpResult>> SetFrozenAsync(
        Guid userId, bool frozen, FreezeRequest? request, HttpContext context, NpgsqlDataSource database, Sessions sessions,
        CancellationToken cancellationToken)
    {
        if (request?.Reason is { } reason && (reason.Length > MaxReason || reason.Contains('\0')))
        {
            return Problem.Invalid(context, new Dictionary<string, string[]>
            {
                ["reason"] = [$"Has {reason.Length} characters. Must be text of at most {MaxReason} characters, without U+0000."],
            });
        }
        if ((await GetAsync(userId, context, database, cancellationToken)).Result is ProblemHttpResult notFound)
            return notFound;

        await DatabaseCalls.AgainAfterDeadlockAsync(() =>
        {
            var set = new NpgsqlBatchCommand("select identity.set_frozen($1, $2)") { Parameters = { new() { Value = userId }, new() { Value = frozen } } };
            var entry = AuditTrail.Entry(
                context, frozen ? AuditActions.UserFrozen : AuditActions.UserUnfrozen, userId.ToString(),
                request?.Reason is null ? null : new Dictionary<string, string> { ["reason"] = request.Reason });
            // Freeze first: a login that the freeze waits for opens a session, which must end too.
            return frozen ? sessions.CloseAllAfterAsync(userId, except: null, set, entry) : database.ExecuteAsync(set, entry);
        });
        return await GetAsync(userId, context, database, CancellationToken.None);
    }

    private static Task<Results<Ok<UserResponse>, ProblemHttpResult>> GrantRoleAsync(
        Guid userId, string role, HttpContext context, NpgsqlDataSource database) => SetRoleAsync(userId, role, true, context, database);

    private static Task<Results<Ok<UserResponse>, ProblemHttpResult>> RevokeRoleAsync(
        Guid userId, string role, HttpContext context, NpgsqlDataSource database) => SetRoleAsync(userId, role, false, context, database);

    private static async Task<Results<Ok<UserResponse>, ProblemHttpResult>> SetRoleAsync(
        Guid userId, string role, bool given, HttpContext context, NpgsqlDataSource database)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        await using var set = new NpgsqlCommand("select identity.set_role($1, $2, $3, $4)", connection, transaction)
        {
            Parameters =
            {
                new() { Value = userId },
                new() { Value = role },
                new() { Value = given },
                new() { Value = context.Caller().Id },
            },
        };
        switch ((string)(await set.ExecuteScalarAsync(CancellationToken.None))!)
        {
            case "unknown":
                return Problem.NotFound(context);
            case "forbidden":
                return Problem.Of(context, StatusCodes.Status403Forbidden, "forbidden", "The caller is not an operator any more.");
            case "last_operator":
                return LastOperator(context);
            case "changed":
                await using (var audit = new NpgsqlBatch(connection, transaction))
                {
                    audit.BatchCommands.Add(AuditTrail.Entry(
                        context, given ? AuditActions.RoleGranted : AuditActions.RoleRevoked, userId.ToString(), new Dictionary<string, string> { ["role"] = role }));
                    await audit.ExecuteNonQueryAsync(CancellationToken.None);
                }
                break;
        }
        await transaction.CommitAsync(CancellationToken.None);
        return await GetAsync(userId, context, database, CancellationToken.None);
    }

    internal static ProblemHttpResult LastOperator(HttpContext context) =>
        Problem.Of(context, StatusCodes.Status409Conflict, "last_operator", "The user is the last operator. Give the role to another user first.");

    private static async Task<List<UserResponse>> ReadAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        var users = new List<UserResponse>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            users.Add(new UserResponse(
                reader.GetGuid(0), reader.IsDBNull(1) ? null : reader.GetString(1), ["user", .. reader.GetFieldValue<string[]>(4)], !reader.IsDBNull(3),
                reader.GetDateTime(2), reader.IsDBNull(3) ? null : reader.GetDateTime(3)));
        }
        return users;
    }
}

/// <summary>A user as operators and auditors see it.</summary>
/// <param name="Email">Null if the user has none, or is closed.</param>
public sealed record UserResponse(Guid UserId, string? Email, IReadOnlyList<string> Roles, bool Frozen, DateTime CreatedAt, DateTime? FrozenAt);

/// <summary>A page of users, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record UserPage(IReadOnlyList<UserResponse> Items, string? NextCursor);

public sealed record FreezeRequest([property: Description("For the audit trail, up to 500 characters.")] string? Reason = null);
