using System.ComponentModel;
using System.Globalization;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Requests;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Services = Ledger.Core.Identity.ServiceAccounts;

namespace Ledger.Api.ServiceAccounts;

/// <summary>Service accounts, the backends that act for users, and their API keys.</summary>
internal static class ServiceEndpoints
{
    public static void MapServices(this IEndpointRouteBuilder routes)
    {
        routes.MapAdministration(Policies.Staff).MapGet("/services", ListAsync).WithName("ListServices")
            .WithSummary("List service accounts with their keys, newest first")
            .WithDescription("Keys are listed without their secrets. `lastUsedAt` is exact to the minute.")
            .ProducesProblem(StatusCodes.Status400BadRequest);

        var operators = routes.MapAdministration(Policies.Operator);
        operators.MapPost("/services", CreateAsync).WithName("CreateService")
            .WithSummary("Create a service account")
            .WithDescription(
                "Scopes: `read` (read any user's data and the feed), `users` (create, change and close users), `transactions` (move any user's money), "
                + "`webhooks` (manage webhooks). A service account owns no money and administers nothing else. 409 `service_exists` if the name is taken.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict);
        operators.MapDelete("/services/{serviceId:guid}", CloseAsync).WithName("CloseService")
            .WithSummary("Close a service account for good")
            .WithDescription("All of its keys are refused within two seconds.")
            .ProducesProblem(StatusCodes.Status404NotFound);
        operators.MapPost("/services/{serviceId:guid}/keys", CreateKeyAsync).WithName("CreateServiceKey")
            .WithSummary("Create an API key of a service account")
            .WithDescription(
                "The key is shown once: the database stores its hash. Send it as `Authorization: Bearer lk_…`. Idempotency keys and audit entries belong to the "
                + "service account, so that a new key can retry what an old one sent.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        operators.MapDelete("/services/{serviceId:guid}/keys/{keyId:guid}", RevokeKeyAsync).WithName("RevokeServiceKey")
            .WithSummary("Revoke an API key for good")
            .WithDescription("The key is refused within two seconds.")
            .ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static async Task<Results<Ok<ServicePage>, ProblemHttpResult>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellationToken, string? cursor = null, string? limit = null)
    {
        var query = new QueryReader();
        var before = query.Cursor<Guid>("cursor", cursor, QueryReader.TryParseId);
        var pageSize = query.PageSize(limit);
        if (query.Errors.Count > 0)
            return Problem.Invalid(context, query.Errors);

        var services = await Services.ListAsync(database, before, pageSize + 1, cancellationToken);
        var page = services.Take(pageSize).ToList();
        return TypedResults.Ok(new ServicePage(page, services.Count > pageSize ? page[^1].Id.ToString() : null));
    }

    private static async Task<Results<Created<ServiceResponse>, ProblemHttpResult>> CreateAsync(
        ServiceRequest request, HttpContext context, NpgsqlDataSource database)
    {
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(request.Name))
            errors["name"] = [$"Is required: text of at most {Services.MaxName} characters."];
        else if (Sent.TextError(request.Name, Services.MaxName) is { } error)
            errors["name"] = [error];
        if (request.Scopes is not { Count: > 0 })
            errors["scopes"] = [$"Is required: one or more of {string.Join(", ", Scopes.All)}."];
        // Null is possible here, although the type excludes it.
        else if (request.Scopes.FirstOrDefault(scope => scope is null || !Scopes.All.Contains(scope)) is { } unknown)
            errors["scopes"] = [$"{Sent.Quoted(unknown)} is not a scope. Must be of {string.Join(", ", Scopes.All)}."];
        else if (request.Scopes.Contains(null!))
            errors["scopes"] = [$"A scope is null. Must be of {string.Join(", ", Scopes.All)}."];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);

        var service = new ServiceResponse(Guid.CreateVersion7(), request.Name!, [.. Scopes.All.Where(request.Scopes!.Contains)]);
        try
        {
            await ChangeAsync(
                context, database, Services.Create(service.Id, service.Name, [.. service.Scopes]),
                AuditTrail.Entry(context, AuditActions.ServiceCreated, service.Id.ToString(), new Dictionary<string, string>
                {
                    ["name"] = service.Name,
                    ["scopes"] = string.Join(' ', service.Scopes),
                }));
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return Problem.Of(context, StatusCodes.Status409Conflict, "service_exists", "A service account with this name exists.");
        }
        return TypedResults.Created($"{context.Request.PathBase}/api/v1/admin/services", service);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> CloseAsync(Guid serviceId, HttpContext context, NpgsqlDataSource database) =>
        await ChangeAsync(
            context, database, Services.Close(serviceId), AuditTrail.Entry(context, AuditActions.ServiceClosed, serviceId.ToString()))
            ? TypedResults.NoContent()
            : Problem.NotFound(context);

    private static async Task<Results<Created<ServiceKeyResponse>, ProblemHttpResult>> CreateKeyAsync(
        Guid serviceId, ServiceKeyRequest? request, HttpContext context, NpgsqlDataSource database)
    {
        var days = request?.ExpiresInDays ?? Services.DefaultKeyDays;
        if (days is < 1 or > Services.MaxKeyDays)
        {
            return Problem.Invalid(context, new Dictionary<string, string[]>
            {
                ["expiresInDays"] = [$"{days} was sent. Must be a whole number of days from 1 to {Services.MaxKeyDays}."],
            });
        }

        var (id, key) = (Guid.CreateVersion7(), Secrets.New(ApiKey.Prefix));
        DateTime expiresAt = default;
        var isCreated = await ChangeAsync(
            context, database, Services.CreateKey(id, serviceId, key, days),
            AuditTrail.Entry(context, AuditActions.ServiceKeyCreated, serviceId.ToString(), new Dictionary<string, string>
            {
                ["key"] = id.ToString(),
                ["days"] = days.ToString(CultureInfo.InvariantCulture),
            }),
            row => expiresAt = row.GetDateTime(0));
        return isCreated
            ? TypedResults.Created($"{context.Request.PathBase}/api/v1/admin/services", new ServiceKeyResponse(id, key, expiresAt))
            : Problem.NotFound(context);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> RevokeKeyAsync(Guid serviceId, Guid keyId, HttpContext context, NpgsqlDataSource database) =>
        await ChangeAsync(
            context, database, Services.RevokeKey(serviceId, keyId),
            AuditTrail.Entry(context, AuditActions.ServiceKeyRevoked, serviceId.ToString(), new Dictionary<string, string> { ["key"] = keyId.ToString() }))
            ? TypedResults.NoContent()
            : Problem.NotFound(context);

    /// <summary>Runs a change for the calling operator, and its audit entry if a row was changed, in one transaction.</summary>
    private static async Task<bool> ChangeAsync(
        HttpContext context, NpgsqlDataSource database, NpgsqlBatchCommand change, NpgsqlBatchCommand entry, Action<NpgsqlDataReader>? read = null)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        await using (var batch = new NpgsqlBatch(connection, transaction) { BatchCommands = { DatabaseRoles.ActFor(context.Caller().Id), change } })
        await using (var reader = await batch.ExecuteReaderAsync(CancellationToken.None))
        {
            await reader.NextResultAsync(CancellationToken.None);
            if (read is not null && await reader.ReadAsync(CancellationToken.None))
                read(reader);
        }
        if (change.RecordsAffected == 0)
            return false;
        await using (var audit = new NpgsqlBatch(connection, transaction) { BatchCommands = { entry } })
            await audit.ExecuteNonQueryAsync(CancellationToken.None);
        await transaction.CommitAsync(CancellationToken.None);
        return true;
    }
}

public sealed record ServiceRequest(
    [property: Description("A unique name, up to 100 characters.")] string? Name,
    [property: Description("One or more of read, users, transactions, webhooks.")] IReadOnlyList<string>? Scopes);

/// <summary>A new service account.</summary>
public sealed record ServiceResponse(Guid Id, string Name, IReadOnlyList<string> Scopes);

public sealed record ServiceKeyRequest(
    [property: Description("Days until the key expires: 1 to 3650, by default 90.")] int? ExpiresInDays = null);

/// <summary>A new API key of a service account.</summary>
/// <param name="Key">The key itself, shown once: <c>lk_…</c>.</param>
public sealed record ServiceKeyResponse(Guid Id, string Key, DateTime ExpiresAt);

/// <summary>A page of service accounts, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record ServicePage(IReadOnlyList<ServiceAccount> Items, string? NextCursor);
