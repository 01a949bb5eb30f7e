using System.Text.Json;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Api.Limits;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Api.Accounts;

/// <summary>The accounts of a user: the main one of each currency, and those that the user opened by name.</summary>
public static class AccountEndpoints
{
    private const int MaxName = 100;

    private const string OfUser = "The user is the caller, or the one in `onBehalfOf`.";

    public static void AddAccounts(this IHostApplicationBuilder builder) => builder.Services.AddSingleton<AccountQueries>();

    public static void MapAccounts(this IEndpointRouteBuilder routes)
    {
        var accounts = routes.MapGroup("/accounts").RequireRateLimiting(RateLimits.PerUser).WithTags("Accounts")
            .ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden).ProducesProblem(StatusCodes.Status429TooManyRequests);

        var reading = accounts.MapGroup("").RequireAuthorization(Policies.Read)
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        reading.MapGet("", ListAsync).WithName("ListAccounts")
            .WithSummary("List a user's accounts, closed ones too")
            .WithDescription(OfUser);
        reading.MapGet("/{id:guid}", GetAsync).WithName("GetAccount")
            .WithSummary("Get an account")
            .WithDescription("Another user's account is 404, except to operators and auditors. " + OfUser);

        var changing = accounts.MapGroup("").RequireAuthorization(Policies.Move)
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound);
        changing.MapPost("", OpenAsync).WithName("OpenAccount")
            .WithSummary("Open an account by name")
            .WithDescription("Each user has an account `main` per currency, which is opened on first use. 409 `account_exists` if the name is taken in this currency, also by a closed account; 409 `too_many_accounts` beyond 100 accounts. " + OfUser)
            .ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status422UnprocessableEntity);
        changing.MapPatch("/{id:guid}", ChangeAsync).WithName("ChangeAccount")
            .WithSummary("Replace an account's metadata")
            .WithDescription("A closed account stays as it is. " + OfUser);
        changing.MapDelete("/{id:guid}", CloseAsync).WithName("CloseAccount")
            .WithSummary("Close an account for good")
            .WithDescription("An account with money or holds gets 409 `balance_not_zero`, a frozen one 409 `account_frozen`, and a main account 409 `main_account`. Closing it again changes nothing. " + OfUser)
            .ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Results<Ok<AccountList>, ProblemHttpResult>> ListAsync(
        HttpContext context, OnBehalfOf users, AccountQueries accounts, CancellationToken cancellationToken, string? onBehalfOf = null)
    {
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        return problem is not null ? problem : TypedResults.Ok(new AccountList(await accounts.ListAsync(acting, cancellationToken)));
    }

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, OnBehalfOf users, AccountQueries accounts, CancellationToken cancellationToken, string? onBehalfOf = null)
    {
        var (acting, problem) = await users.ReadAsync(context, onBehalfOf);
        if (problem is not null)
            return problem;
        var caller = context.Caller();
        return await accounts.FindAsync(acting, id, cancellationToken) is { } own ? TypedResults.Ok(own)
            : onBehalfOf is null && caller.Roles != CallerRoles.None && await accounts.FindEverywhereAsync(caller.Id, id, cancellationToken) is { } any ? TypedResults.Ok(any)
            : Problem.NotFound(context);
    }

    private static async Task<Results<Created<AccountResponse>, ProblemHttpResult>> OpenAsync(
        AccountRequest request, HttpContext context, OnBehalfOf users, CurrencyCatalog catalog, AccountQueries accounts)
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
        var (acting, problem) = await users.ChangeAsync(context, request.OnBehalfOf);
        if (problem is not null)
            return problem;
        if (await CurrencyProblemAsync(request.Currency!, context, catalog) is { } unusable)
            return unusable;

        var id = Guid.CreateVersion7();
        try
        {
            var account = await accounts.ReadOneAsync(
                acting,
                new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.open_account($1, $2, $3, $4, $5) a")
                {
                    Parameters =
                    {
                        new() { Value = id }, new() { Value = acting.User }, new() { Value = request.Name! }, new() { Value = request.Currency! },
                        Json(request.Metadata),
                    },
                },
                CancellationToken.None);
            return TypedResults.Created($"{context.Request.PathBase}/api/v1/accounts/{id}", account);
        }
        catch (PostgresException e) when (ProblemOf(e, context) is { } refusal)
        {
            return refusal;
        }
    }

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> ChangeAsync(
        Guid id, AccountChange request, HttpContext context, OnBehalfOf users, AccountQueries accounts)
    {
        if (request.Metadata is not null && CommandReader.MetadataError(request.Metadata) is { } error)
            return Problem.Invalid(context, new Dictionary<string, string[]> { ["metadata"] = [error] });
        var (acting, problem) = await users.ChangeAsync(context, request.OnBehalfOf);
        if (problem is not null)
            return problem;

        var account = await accounts.ReadOneAsync(
            acting,
            new NpgsqlBatchCommand($"select {AccountResponse.Columns} from ledger.change_account($1, $2) a")
            {
                Parameters = { new() { Value = id }, Json(request.Metadata) },
            },
            CancellationToken.None);
        return account is null ? Problem.NotFound(context) : TypedResults.Ok(account);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> CloseAsync(
        Guid id, HttpContext context, OnBehalfOf users, NpgsqlDataSource database, string? onBehalfOf = null)
    {
        var (acting, problem) = await users.ChangeAsync(context, onBehalfOf);
        if (problem is not null)
            return problem;
        try
        {
            await using var reader = await database.ReadForAsync(
                acting, CancellationToken.None, new NpgsqlBatchCommand("select ledger.close_account($1)") { Parameters = { new() { Value = id } } });
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

    /// <summary>The problem of an unknown or disabled currency; null if accounts can be opened in it.</summary>
    internal static async Task<ProblemHttpResult?> CurrencyProblemAsync(string code, HttpContext context, CurrencyCatalog catalog)
    {
        var currencies = await catalog.GetAsync([code], context.RequestAborted);
        return !currencies.TryGetValue(code, out var currency) ? CommandProblems.CurrencyUnknown(context, code, currencies)
            : currency.Enabled ? null
            : CommandProblems.Rejected(context, RejectionCodes.CurrencyDisabled);
    }

    /// <summary>The problem that the client gets for a refusal of the database; null if the client did not cause it.</summary>
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
