using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Ledger.Core.Persistence;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Accounts;

/// <summary>The accounts of a user: the main one of each currency, and those that the user opened by name.</summary>
public static class AccountEndpoints
{
    private const int MaxName = 100;

    public static void AddAccounts(this IHostApplicationBuilder builder) => builder.Services.AddSingleton<AccountQueries>();

    public static void MapAccounts(this IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/accounts").RequireAuthorization(Policies.User).RequireRateLimiting(RateLimits.PerUser).WithTags("Accounts")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapGet("", ListAsync).WithName("ListAccounts")
            .WithSummary("List the caller's accounts, closed ones too");
        group.MapPost("", OpenAsync).WithName("OpenAccount")
            .WithSummary("Open an account by name")
            .WithDescription("Each user has an account `main` per currency, which is opened on first use. 409 `account_exists` if the name is taken in this currency, also by a closed account; 409 `too_many_accounts` beyond 100 accounts.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status422UnprocessableEntity);
        routes.MapGet("/accounts/{id:guid}", GetAsync).WithName("GetAccount")
            .RequireAuthorization(Policies.UserOrStaff).RequireRateLimiting(RateLimits.PerUser).WithTags("Accounts")
            .WithSummary("Get an account")
            .WithDescription("Another user's account is 404, except to operators and auditors.")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapPatch("/{id:guid}", ChangeAsync).WithName("ChangeAccount")
            .WithSummary("Replace an account's metadata")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        group.MapDelete("/{id:guid}", CloseAsync).WithName("CloseAccount")
            .WithSummary("Close an account for good")
            .WithDescription("It must be empty, without holds: otherwise 409 `balance_not_zero`. A frozen account stays frozen (409 `account_frozen`), and a main account stays open (409 `main_account`). Closing it again changes nothing.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Ok<AccountList>> ListAsync(HttpContext context, AccountQueries accounts, CancellationToken cancellationToken) =>
        TypedResults.Ok(new AccountList(await accounts.ListAsync(context.Caller().Id, cancellationToken)));

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, AccountQueries accounts, CancellationToken cancellationToken)
    {
        var caller = context.Caller();
        return await accounts.FindAsync(caller.Id, id, cancellationToken) is { } own ? TypedResults.Ok(own)
            : caller.Roles != CallerRoles.None && await accounts.FindEverywhereAsync(caller.Id, id, cancellationToken) is { } any ? TypedResults.Ok(any)
            : Problem.NotFound(context);
    }

    private static async Task<Results<Created<AccountResponse>, ProblemHttpResult>> OpenAsync(
        AccountRequest request, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog, AccountQueries accounts)
    {
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(request.Currency))
            errors["currency"] = ["Is required: an ISO 4217 code."];
        if (string.IsNullOrWhiteSpace(request.Name))
            errors["name"] = [$"Is required: text of at most {MaxName} characters."];
        else if (Sent.TextError(request.Name, MaxName) is { } nameError)
            errors["name"] = [nameError];
        if (request.Metadata is not null && CommandReader.MetadataError(request.Metadata) is { } metadataError)
            errors["metadata"] = [metadataError];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);
        if (await CurrencyProblemAsync(request.Currency!, context, catalog) is { } problem)
            return problem;

        var caller = context.Caller().Id;
        var id = Guid.CreateVersion7();
        try
        {
            await database.ExecuteAsync(DatabaseRoles.ActFor(caller), new NpgsqlBatchCommand("select ledger.open_account($1, $2, $3, $4, $5)")
            {
                Parameters =
                {
                    new() { Value = id }, new() { Value = caller }, new() { Value = request.Name! }, new() { Value = request.Currency! },
                    Json(request.Metadata),
                },
            });
        }
        catch (PostgresException e) when (ProblemOf(e, context) is { } refusal)
        {
            return refusal;
        }
        return TypedResults.Created($"{context.Request.PathBase}/api/v1/accounts/{id}", await accounts.FindAsync(caller, id, CancellationToken.None));
    }

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> ChangeAsync(
        Guid id, AccountChange request, HttpContext context, NpgsqlDataSource database, AccountQueries accounts)
    {
        if (request.Metadata is not null && CommandReader.MetadataError(request.Metadata) is { } error)
            return Problem.Invalid(context, new Dictionary<string, string[]> { ["metadata"] = [error] });

        var caller = context.Caller().Id;
        await database.ExecuteAsync(DatabaseRoles.ActFor(caller), new NpgsqlBatchCommand("select ledger.change_account($1, $2)")
        {
            Parameters = { new() { Value = id }, Json(request.Metadata) },
        });
        return await accounts.FindAsync(caller, id, CancellationToken.None) is { } account ? TypedResults.Ok(account) : Problem.NotFound(context);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> CloseAsync(Guid id, HttpContext context, NpgsqlDataSource database)
    {
        try
        {
            await using var reader = await database.ReadForAsync(
                context.Caller().Id, CancellationToken.None, new NpgsqlBatchCommand("select ledger.close_account($1)") { Parameters = { new() { Value = id } } });
            await reader.ReadAsync(CancellationToken.None);
            return reader.IsDBNull(0) ? Problem.NotFound(context)
                : reader.GetString(0) == "frozen" ? Problem.Of(context, StatusCodes.Status409Conflict, "account_frozen", "The account is frozen.")
                : TypedResults.NoContent();
        }
        catch (PostgresException e) when (ProblemOf(e, context) is { } refusal)
        {
            return refusal;
        }
    }

    /// <summary>The problem of a currency that no account can be opened in; null without one.</summary>
    internal static async Task<ProblemHttpResult?> CurrencyProblemAsync(string code, HttpContext context, CurrencyCatalog catalog)
    {
        var currencies = await catalog.GetAsync([code], context.RequestAborted);
        return !currencies.TryGetValue(code, out var currency) ? CommandProblems.CurrencyUnknown(context, code, currencies)
            : currency.Enabled ? null
            : CommandProblems.Rejected(context, Core.Transactions.RejectionCodes.CurrencyDisabled);
    }

    /// <summary>What a refusal of the database's means to the client; null if it is not the client's doing.</summary>
    internal static ProblemHttpResult? ProblemOf(PostgresException refusal, HttpContext context) => refusal.ConstraintName switch
    {
        "accounts_of_owner" or "accounts_of_house" => Conflict(context, "account_exists", "There is an account with this name and currency."),
        "accounts_per_user" => Conflict(context, "too_many_accounts", "The user has 100 accounts, which is the most that a user can have."),
        "accounts_closed_is_empty" => Conflict(context, "balance_not_zero", "The account has money or holds."),
        "accounts_main_stays_open" => Conflict(context, "main_account", "A main account stays open."),
        "accounts_within_limit" => Conflict(context, "limit_in_use", "The account owes more than this, or holds need it."),
        _ => null,
    };

    private static ProblemHttpResult Conflict(HttpContext context, string code, string detail) => Problem.Of(context, StatusCodes.Status409Conflict, code, detail);

    private static NpgsqlParameter Json(Dictionary<string, string>? metadata) => new()
    {
        Value = metadata is null or { Count: 0 } ? DBNull.Value : JsonSerializer.Serialize(metadata, ApiJson.Default.DictionaryStringString),
        NpgsqlDbType = NpgsqlDbType.Json,
    };
}
