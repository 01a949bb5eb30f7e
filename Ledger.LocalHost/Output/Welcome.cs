namespace Ledger.LocalHost.Output;

/// <summary>What is said when everything runs: where it is and how to try it.</summary>
internal static class Welcome
{
    public static string Text(LocalSystem system)
    {
        var (user, password) = system.ManagementLogin;
        var lines = new List<string> { "" };
        if (system.Apis.Count > 0)
        {
            lines.Add($"API         {string.Join("  ", system.Apis.Select(api => Address(api.Address!)))}");
            lines.Add($"OpenAPI     {Address(system.Apis[0].Address!)}/openapi/v1.json");
            lines.Add($"Scalar      {Address(system.Apis[0].Address!)}/scalar");
        }
        if (system.Apis.Concat(system.Workers).Select(service => service.Metrics).OfType<Uri>().ToList() is { Count: > 0 } metrics)
            lines.Add($"Metrics     {string.Join("  ", metrics)}");
        if (system.Dashboard is { } dashboard)
            lines.Add($"Dashboard   {Address(dashboard.Address!)}");
        lines.Add($"RabbitMQ    {Address(system.ManagementAddress)}  login {user} / {password}");
        lines.Add($"PostgreSQL  {system.PostgresConnectionString}");
        lines.Add($"Data        {system.DataDirectory}");
        if (system.Apis.Count > 0)
        {
            lines.Add("");
            lines.Add("To try it, paste this into another bash:");
            lines.Add("");
            lines.Add(CurlSession(Address(system.Apis[0].Address!)));
        }
        lines.Add("");
        lines.Add("Ctrl+C stops everything.");
        lines.Add("");
        return string.Join('\n', lines);
    }

    // Runs again and again: the addresses are new each time. No jq: bare machines have none.
    private static string CurlSession(string address) =>
        $$"""
        api={{address}}/api/v1 json='Content-Type: application/json'
        alice=alice-$RANDOM$RANDOM@example.com bob=bob-$RANDOM$RANDOM@example.com password=Correct-horse-7
        for email in $alice $bob; do curl -sS $api/identity/register -H "$json" -d '{"email":"'$email'","password":"'$password'"}'; echo; done
        token=$(curl -sS $api/identity/login -H "$json" -d '{"email":"'$alice'","password":"'$password'"}' | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')
        curl -sS $api/deposits -H "Authorization: Bearer $token" -H "$json" -d '{"currency":"USD","amount":"100.00"}'; echo
        curl -sS $api/transfers -H "Authorization: Bearer $token" -H "$json" -H "Idempotency-Key: first-$RANDOM" -d '{"to":"'$bob'","currency":"USD","amount":"25.50"}'; echo
        curl -sS $api/balances -H "Authorization: Bearer $token"; echo
        """;

    private static string Address(Uri address) => address.GetLeftPart(UriPartial.Authority);
}
