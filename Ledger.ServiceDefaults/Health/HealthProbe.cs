namespace Ledger.ServiceDefaults;

/// <summary>
/// <c>dotnet Ledger.Api.dll health http://localhost:8080/health</c>: sends one health request. Compose and Docker run a command inside
/// the container for that, and the images contain neither a shell nor curl.
/// </summary>
internal static class HealthProbe
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(4);

    /// <returns>The exit code: 0 if the answer is a success, 1 if it is an error or none arrives within 4 s.</returns>
    public static async Task<int> RunAsync(string address)
    {
        using var http = new HttpClient { Timeout = Timeout };
        try
        {
            using var answer = await http.GetAsync(new Uri(address));
            // Docker stores the output: it names the failing checks.
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
