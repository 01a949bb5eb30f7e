using System.Text.RegularExpressions;

namespace Ledger.AppHost.Output;

/// <summary>Writes the processes' lines to the console, each after the name of its process.</summary>
internal static partial class LogPrinter
{
    private static readonly int[] s_colours = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];
    private static readonly bool s_isColoured = !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
    private static readonly Dictionary<string, int> s_colourOf = [];
    private static readonly Lock s_gate = new();

    public static void Print(string process, string line)
    {
        lock (s_gate)
        {
            if (!s_isColoured)
            {
                Console.WriteLine($"{process,-10}| {Colours().Replace(line, "")}");
                return;
            }
            if (!s_colourOf.TryGetValue(process, out var colour))
                s_colourOf[process] = colour = s_colours[s_colourOf.Count % s_colours.Length];
            Console.WriteLine($"\e[{colour}m{process,-10}|\e[0m {line}");
        }
    }

    /// <summary>Several lines with nothing in between.</summary>
    public static void Print(string text)
    {
        lock (s_gate)
            Console.WriteLine(text);
    }

    // The services write colours although their output is redirected: Aspire asks them to, for its dashboard.
    [GeneratedRegex(@"\e\[[0-9;]*m")]
    private static partial Regex Colours();
}
