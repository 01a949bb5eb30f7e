using System.Text.RegularExpressions;
using Ledger.Api.Audit;
using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Accounts;

/// <summary>The accounts of the house, the credit limits of any account, and the positions of the exchange.</summary>
public static partial class HouseAccountEndpoints
{
    public static void MapHouseAccounts(this IEndpointRouteBuilder routes)
    {
        var reading = routes.MapAdministration(Policies.Staff);
        reading.MapGet("/accounts", ListAsync).WithName("ListHouseAccounts")
            .WithSummary("List the house accounts");
        reading.MapGet("/accounts/{id:guid}", GetAsync).WithName("GetAnyAccount")
            .WithSummary("Get an account of a user or of the house")
            .ProducesProblem(StatusCodes.Status404NotFound);
        reading.MapGet("/exchange", ListPositionsAsync).WithName("ListExchangePositions")
            .WithSummary("List the positions of the exchange")
            .WithDescription("What the exchange has gained or lost in each currency: positive is what it holds, negative what it owes.");

        var acting = routes.MapAdministration(Policies.Operator);
        acting.MapPost("/accounts", OpenAsync).WithName("OpenHouseAccount")
            .WithSummary("Open a house account")
            .WithDescription("Postings name it as `house:<name>`. 409 `account_exists` if the name is taken in this currency.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status422UnprocessableEntity);
        acting.MapPut("/accounts/{id:guid}/limit", SetLimitAsync).WithName("SetCreditLimit")
            .WithSummary("Set the credit limit of an account of a user or of the house")
            .WithDescription("The account may go down to minus the limit. 409 `limit_in_use` if it uses more than that now.")
            .ProducesProblem(StatusCodes.Status400BadRequest).ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);
    }

    private static async Task<Ok<AccountList>> ListAsync(HttpContext context, AccountQueries accounts, CancellationToken cancellationToken) =>
        TypedResults.Ok(new AccountList(await accounts.ListHouseAsync(context.Caller().Id, cancellationToken)));

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> GetAsync(
        Guid id, HttpContext context, AccountQueries accounts, CancellationToken cancellationToken) =>
        await accounts.FindEverywhereAsync(context.Caller().Id, id, cancellationToken) is { } account ? TypedResults.Ok(account) : Problem.NotFound(context);

    private static async Task<Ok<ExchangePositions>> ListPositionsAsync(
        HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog, CancellationToken cancellationToken)
    {
        var positions = new List<(string Currency, long Posted)>();
        await using (var reader = await database.ReadEverythingAsync(context.Caller().Id, cancellationToken, new NpgsqlBatchCommand("""
            select currency, sum(posted)::bigint from ledger.accounts where kind = 'exchange'
            group by currency having max(last_posted_at) > '-infinity' order by currency
            """)))
        {
            while (await reader.ReadAsync(cancellationToken))
                positions.Add((reader.GetString(0), reader.GetInt64(1)));
        }
        var currencies = await catalog.GetAsync(positions.Select(position => position.Currency), cancellationToken);
        return TypedResults.Ok(new ExchangePositions(
            [.. positions.Select(p => new ExchangePosition(p.Currency, currencies.Named(p.Currency).FormatAmount(p.Posted)))]));
    }

    private static async Task<Results<Created<AccountResponse>, ProblemHttpResult>> OpenAsync(
        HouseAccountRequest request, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog, AccountQueries accounts)
    {
        var errors = new Dictionary<string, string[]>();
        if (string.IsNullOrEmpty(request.Currency))
            errors["currency"] = ["Is required: an ISO 4217 code."];
        if (string.IsNullOrEmpty(request.Name) || !Name().IsMatch(request.Name))
            errors["name"] = [$"{(string.IsNullOrEmpty(request.Name) ? "Is required" : Sent.Quoted(request.Name) + " was sent")}: 1 to 100 letters, digits, dots, hyphens and underscores."];
        if (errors.Count > 0)
            return Problem.Invalid(context, errors);
        if (await AccountEndpoints.CurrencyProblemAsync(request.Currency!, context, catalog) is { } problem)
            return problem;
        var currency = (await catalog.GetAsync([request.Currency!], context.RequestAborted))[request.Currency!];
        if (!TryParseLimit(request.CreditLimit ?? "0", currency, out var limit))
            return InvalidLimit(context, request.CreditLimit, currency);

        var caller = context.Caller().Id;
        var id = Guid.CreateVersion7();
        try
        {
            await database.ExecuteAsync(
                DatabaseRoles.ActFor(caller),
                new NpgsqlBatchCommand("select ledger.open_house_account($1, $2, $3, $4)")
                {
                    Parameters = { new() { Value = id }, new() { Value = request.Name! }, new() { Value = currency.Code }, new() { Value = limit } },
                },
                AuditTrail.Entry(context, AuditActions.HouseAccountOpened, id.ToString(), new Dictionary<string, string>
                {
                    ["name"] = request.Name!,
                    ["currency"] = currency.Code,
                    ["creditLimit"] = currency.FormatAmount(limit),
                }));
        }
        catch (PostgresException e) when (AccountEndpoints.ProblemOf(e, context) is { } refusal)
        {
            return refusal;
        }
        return TypedResults.Created($"{context.Request.PathBase}/api/v1/admin/accounts/{id}", await accounts.FindEverywhereAsync(caller, id, CancellationToken.None));
    }

    private static async Task<Results<Ok<AccountResponse>, ProblemHttpResult>> SetLimitAsync(
        Guid id, CreditLimitRequest request, HttpContext context, NpgsqlDataSource database, CurrencyCatalog catalog, AccountQueries accounts)
    {
        var caller = context.Caller().Id;
        if (await accounts.FindEverywhereAsync(caller, id, context.RequestAborted) is not { } account)
            return Problem.NotFound(context);
        var currency = (await catalog.GetAsync([account.Currency], context.RequestAborted))[account.Currency];
        if (!TryParseLimit(request.CreditLimit, currency, out var limit))
            return InvalidLimit(context, request.CreditLimit, currency);

        var before = 0L;
        try
        {
            await AuditTrail.ChangeAsync(
                context, database,
                new NpgsqlBatchCommand("select ledger.set_credit_limit($1, $2)") { Parameters = { new() { Value = id }, new() { Value = limit } } },
                () => AuditTrail.Entry(context, AuditActions.CreditLimitSet, id.ToString(), new Dictionary<string, string>
                {
                    ["from"] = currency.FormatAmount(before),
                    ["to"] = currency.FormatAmount(limit),
                }),
                row => before = row.GetInt64(0));
        }
        catch (PostgresException e) when (AccountEndpoints.ProblemOf(e, context) is { } refusal)
        {
            return refusal;
        }
        return TypedResults.Ok((await accounts.FindEverywhereAsync(caller, id, CancellationToken.None))!);
    }

    // An amount, or zero.
    private static bool TryParseLimit(string? text, Currency currency, out long limit)
    {
        if (currency.ParseAmount(text, out limit) is AmountError.None)
            return true;
        limit = 0;
        return Zero().IsMatch(text ?? "");
    }

    private static ProblemHttpResult InvalidLimit(HttpContext context, string? sent, Currency currency) => Problem.Invalid(context, new Dictionary<string, string[]>
    {
        ["creditLimit"] = [$"{(string.IsNullOrEmpty(sent) ? "Is required" : Sent.Quoted(sent) + " was sent")}: a decimal string from 0 to {currency.FormatAmount(Currency.MaxAmount)} with at most {currency.Exponent} decimal places."],
    });

    [GeneratedRegex(@"^[A-Za-z0-9._-]{1,100}\z")]
    private static partial Regex Name();

    [GeneratedRegex(@"^0(\.0{1,12})?\z")]
    private static partial Regex Zero();
}

/// <summary>The positions of the exchange, by currency.</summary>
public sealed record ExchangePositions(IReadOnlyList<ExchangePosition> Positions);

/// <summary>What the exchange holds or owes in a currency, in major units.</summary>
public sealed record ExchangePosition(string Currency, string Position);
