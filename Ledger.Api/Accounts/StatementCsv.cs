using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Ledger.Core.Currencies;
using Microsoft.AspNetCore.Http.Timeouts;

namespace Ledger.Api.Accounts;

/// <summary>
/// A statement as CSV (RFC 4180), written page by page: memory does not grow with the period, and no database connection waits for a
/// slow client.
/// </summary>
internal sealed class StatementCsv(StatementQueries statements, StatementReader reader, Statement statement, Currency currency) : IResult
{
    private const int PageSize = 1000;
    private const string Header = "postedAt,effectiveAt,transactionId,kind,amount,balanceAfter,currency,reference\r\n";

    // Starts a formula, in some spreadsheets also as a full-width character. An apostrophe is doubled, so that the text can be had back.
    private const string Dangerous = "=+-@'\uFF1D\uFF0B\uFF0D\uFF20";
    // Some spreadsheets split at semicolons and tabs instead of commas, and do not know these quotes then.
    private const string Separators = ";\t\r\n";

    public async Task ExecuteAsync(HttpContext context)
    {
        // Kestrel's minimum rate ends the request of a client that does not read.
        context.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        context.Response.ContentType = "text/csv; charset=utf-8; header=present";
        context.Response.Headers.ContentDisposition = $"attachment; filename=\"statement-{statement.Account}.csv\"";
        if (HttpMethods.IsHead(context.Request.Method))
            return;

        var body = context.Response.BodyWriter;
        Write(body, Header);
        Write(body, BalanceRow("opening_balance", statement.Opening));
        var (place, balance) = (statement.Start, statement.Reached);
        while (true)
        {
            var entries = await statements.ReadAsync(reader, statement, place, balance, PageSize, context.RequestAborted);
            foreach (var entry in entries)
            {
                Write(body, Row(entry));
                place = entry.Place;
                balance = balance is null ? null : entry.BalanceAfter;
            }
            if (entries.Count < PageSize)
                break;
            if ((await body.FlushAsync(context.RequestAborted)).IsCompleted)
                return;
        }
        Write(body, BalanceRow("closing_balance", statement.Closing));
        await body.FlushAsync(context.RequestAborted);
    }

    /// <summary>A cell of a client's text, in quotes, that no spreadsheet takes for a formula.</summary>
    internal static string Cell(string text)
    {
        var cell = new StringBuilder(text.Length + 4).Append('"');
        var isStart = true;
        foreach (var character in text)
        {
            var isSeparator = Separators.Contains(character);
            if (isStart && (Dangerous.Contains(character) || (isSeparator && character != ';' && cell.Length == 1)))
                cell.Append('\'');
            isStart = isSeparator || (isStart && IsSkipped(character));
            cell.Append(character);
            if (character == '"')
                cell.Append('"');
        }
        return cell.Append('"').ToString();
    }

    // Spreadsheets strip these, so that the character behind them may start the cell too.
    private static bool IsSkipped(char character) =>
        character == '"' || char.IsWhiteSpace(character) || char.GetUnicodeCategory(character) is UnicodeCategory.Control or UnicodeCategory.Format;

    // Without an amount, so that a sum over the column is that of the entries.
    private string BalanceRow(string kind, long balance) => $",,,{kind},,{currency.FormatAmount(balance)},{currency.Code},\r\n";

    private string Row(StatementEntry entry) =>
        $"{Time(entry.Place.PostedAt)},{Time(entry.EffectiveAt)},{entry.TransactionId},{entry.Kind},{currency.FormatAmount(entry.Amount)},"
        + $"{currency.FormatAmount(entry.BalanceAfter)},{currency.Code},{(entry.Reference is null ? "" : Cell(entry.Reference))}\r\n";

    private static string Time(DateTime time) => time.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    private static void Write(PipeWriter body, string text) => Encoding.UTF8.GetBytes(text, body);
}
