using System.Text.Json;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Users;

/// <summary>Users as a resource: made without a password, read, changed, listed and closed.</summary>
internal static class UserResource
{
    private const string Columns = "u.id, u.external_id, u.email, u.name, u.metadata, u.frozen_at is not null, u.created_at";

    public static void MapUserResource(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/users").RequireAuthorization(Policies.Users).RequireRateLimiting(RateLimits.PerUser).WithTags("Users")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden)
            .ProducesProblem(StatusCodes.Status429TooManyRequests);

        group.MapPost("", CreateAsync).WithName("CreateUser")
            .WithSummary("Create a user without a password")
            .WithDescription("Every field is optional. The user cannot log in; its e-mail address and external id belong to it alone: 409 `email_taken`, `external_id_taken`.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict);
        group.MapGet("", ListAsync).WithName("ListUserResources")
            .WithSummary("List users, newest first")
            .WithDescription("`email` and `externalId` match exactly. Closed users are not listed.")
            .ProducesProblem(StatusCodes.Status400BadRequest);
        group.MapGet("/{userId:guid}", GetAsync).WithName("GetUserResource")
            .WithSummary("Get a user")
            .WithDescription("A closed user is 404.")
            .ProducesProblem(StatusCodes.Status404NotFound);
        group.MapPatch("/{userId:guid}", ChangeAsync).WithName("ChangeUser")
            .WithSummary("Change a user")
            .WithDescription("JSON Merge Patch (RFC 7396): a field that is absent stays, null removes it. In `metadata`, so does each entry. A user with a password logs in with the new e-mail address.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);
        group.MapDelete("/{userId:guid}", CloseAsync).WithName("CloseUser")
            .WithSummary("Close a user for good")
            .WithDescription("Ends the user's sessions, closes its accounts, and erases its e-mail address, external id, name, metadata, password and roles. Transactions and entries stay, under the user's id. "
                + "409 `balance_not_zero` while an account has money or holds, or a command of the user is not decided. A repeated call changes nothing.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Results<Created<UserDetails>, ProblemHttpResult>> CreateAsync(
        CreateUserRequest request, HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        var (fields, errors) = await UserFields.OfAsync(database, request.ExternalId, request.Email, request.Name, request.Metadata, cancellationToken);
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var id = Guid.CreateVersion7();
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        try
        {
            await using var insert = new NpgsqlCommand("""
                insert into identity.users (id, external_id, user_name, email, normalized_user_name, normalized_email, name, metadata)
                values ($1, $2, $3, $3, $4, $4, $5, $6) returning created_at
                """, connection);
            fields.AddTo(insert.Parameters, id);
            var createdAt = (DateTime)(await insert.ExecuteScalarAsync(CancellationToken.None))!;
            await RecordAsync(connection, AuditTrail.Entry(context, AuditActions.UserCreated, id.ToString()));
            await transaction.CommitAsync(CancellationToken.None);
            return TypedResults.Created(
                $"{context.Request.PathBase}/api/v1/users/{id}",
                new UserDetails(id, fields.ExternalId, fields.Email, fields.Name, fields.MetadataJson(), Frozen: false, createdAt));
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return Taken(context, e);
        }
    }

    private static async Task<Results<Ok<UserDetailsPage>, ProblemHttpResult>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken, string? email = null, string? externalId = null,
        string? cursor = null, string? limit = null)
    {
        var query = new QueryReader();
        var before = query.Cursor<Guid>("cursor", cursor, QueryReader.TryParseId);
        var pageSize = query.PageSize(limit);
        var key = email is null ? null : await RegisteredEmail.KeyAsync(database, email, cancellationToken);
        if (email is not null && !RegisteredEmail.IsEmail(email))
            query.Errors["email"] = [IdentityEndpoints.NotAnEmail(email)];
        if (externalId is not null && UserFields.ExternalIdError(externalId) is { } error)
            query.Errors["externalId"] = [error];
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        await using var command = database.CreateCommand($"""
            select {Columns} from identity.users u
            where u.closed_at is null
                and ($1::uuid is null or u.id < $1)
                and ($2::text is null or u.normalized_email = $2)
                and ($3::text is null or u.external_id = $3)
            order by u.id desc limit $4
            """);
        command.Parameters.Add(new() { Value = before ?? (object)DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
        command.Parameters.Add(new() { Value = (object?)key ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = (object?)externalId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new() { Value = pageSize + 1 });
        var users = new List<UserDetails>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            users.Add(Read(reader));
        var page = users.Take(pageSize).ToList();
        return TypedResults.Ok(new UserDetailsPage(page, users.Count > pageSize ? page[^1].Id.ToString() : null));
    }

    private static async Task<Results<Ok<UserDetails>, ProblemHttpResult>> GetAsync(
        Guid userId, HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await FindAsync(connection, userId, "", cancellationToken) is { } user ? TypedResults.Ok(user) : Problem.NotFound(context);
    }

    private static async Task<Results<Ok<UserDetails>, ProblemHttpResult>> ChangeAsync(
        Guid userId, ChangeUserRequest request, HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        // Locked, so that of two changes at once the second merges into the first.
        if (await FindAsync(connection, userId, "for no key update", cancellationToken) is not { } user)
            return Problem.NotFound(context);
        var (fields, errors) = await UserFields.OfAsync(
            database,
            request.IsSet(nameof(request.ExternalId)) ? request.ExternalId : user.ExternalId,
            request.IsSet(nameof(request.Email)) ? request.Email : user.Email,
            request.IsSet(nameof(request.Name)) ? request.Name : user.Name,
            request.IsSet(nameof(request.Metadata)) ? UserFields.Merge(user.Metadata, request.Metadata) : UserFields.Merge(user.Metadata, []),
            cancellationToken);
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        try
        {
            await using var update = new NpgsqlCommand("select identity.change_user($1, $2, $3, $4, $5, $6, $7)", connection);
            fields.AddTo(update.Parameters, userId);
            update.Parameters.Add(new() { Value = context.Caller().Id });
            if (await update.ExecuteScalarAsync(CancellationToken.None) is not true)
                return HasRoles(context);
            // The names of the fields only: the audit trail keeps no personal data that closing the user would have to erase.
            await RecordAsync(connection, AuditTrail.Entry(
                context, AuditActions.UserChanged, userId.ToString(), new Dictionary<string, string> { ["fields"] = string.Join(", ", request.SetFields) }));
            await transaction.CommitAsync(CancellationToken.None);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return Taken(context, e);
        }
        return TypedResults.Ok(user with { ExternalId = fields.ExternalId, Email = fields.Email, Name = fields.Name, Metadata = fields.MetadataJson() });
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> CloseAsync(
        Guid userId, HttpContext context, NpgsqlDataSource database, Sessions sessions)
    {
        var outcome = "";
        await DatabaseCalls.AgainAfterDeadlockAsync(() => sessions.CloseAllAfterAsync(userId, except: null, async connection =>
        {
            await using var close = new NpgsqlCommand("select identity.close_user($1, $2)", connection)
            {
                Parameters =
                {
                    new() { Value = userId },
                    new() { Value = context.Caller().Id },
                },
            };
            outcome = (string)(await close.ExecuteScalarAsync(CancellationToken.None))!;
            if (outcome == "changed")
                await RecordAsync(connection, AuditTrail.Entry(context, AuditActions.UserClosed, userId.ToString()));
            return outcome == "changed";
        }));
        return outcome switch
        {
            "unknown" => Problem.NotFound(context),
            "forbidden" => HasRoles(context),
            "last_operator" => UserEndpoints.LastOperator(context),
            "balance_not_zero" => Problem.Of(
                context, StatusCodes.Status409Conflict, "balance_not_zero", "The user has money, holds, or a command that is not decided."),
            _ => TypedResults.NoContent(),
        };
    }

    private static async Task<UserDetails?> FindAsync(NpgsqlConnection connection, Guid userId, string locking, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand($"select {Columns} from identity.users u where u.id = $1 and u.closed_at is null {locking}", connection)
        {
            Parameters = { new() { Value = userId } },
        };
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    private static UserDetails Read(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.IsDBNull(1) ? null : row.GetString(1), row.IsDBNull(2) ? null : row.GetString(2), row.IsDBNull(3) ? null : row.GetString(3),
        row.IsDBNull(4) ? null : JsonElement.Parse(row.GetString(4)), row.GetBoolean(5), row.GetDateTime(6));

    private static async Task RecordAsync(NpgsqlConnection connection, NpgsqlBatchCommand entry)
    {
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { entry } };
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    private static ProblemHttpResult HasRoles(HttpContext context) => Problem.Of(
        context, StatusCodes.Status403Forbidden, "forbidden", "Only operators change or close a user with a role.");

    private static ProblemHttpResult Taken(HttpContext context, PostgresException violation) => violation.ConstraintName == "users_external_id"
        ? Problem.Of(context, StatusCodes.Status409Conflict, "external_id_taken", "Another user has this external id.")
        : IdentityEndpoints.EmailTaken(context);
}
