namespace Ledger.ServiceDefaults;

/// <summary>
/// <c>dotnet Ledger.Api.dll health http://localhost:8080/health</c>: asks an address once. The images have neither a shell nor
/// curl, so where a container's health is found out by a command inside it (Compose, Docker), the service is that command.
/// </summary>
internal static class HealthProbe
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(4);

    /// <summary>0 if the answer is a success, 1 if it is not or does not come in time.</summary>
    public static async Task<int> RunAsync(string address)
    {
        using var http = new HttpClient { Timeout = Timeout };
        try
        {
            using var answer = await http.GetAsync(new Uri(address));
            // Docker keeps what a check wrote: the names of what is not ready.
            Console.WriteLine(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or UriFormatException or NotSupportedException)
        {
            Console.WriteLine(e.Message);
            return 1;
        }
    }
}
