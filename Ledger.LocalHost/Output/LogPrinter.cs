namespace Ledger.LocalHost.Output;

/// <summary>Writes the processes' lines to the console, each after the name of its process.</summary>
internal sealed class LogPrinter
{
    private static readonly int[] s_colours = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

    private readonly bool _coloured = !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
    private readonly Dictionary<string, int> _colourOf = [];
    private readonly Lock _gate = new();

    public void Print(string process, string line)
    {
        lock (_gate)
        {
            if (!_coloured)
            {
                Console.WriteLine($"{process,-10}| {line}");
                return;
            }
            if (!_colourOf.TryGetValue(process, out var colour))
                _colourOf[process] = colour = s_colours[_colourOf.Count % s_colours.Length];
            Console.WriteLine($"\e[{colour}m{process,-10}|\e[0m {line}");
        }
    }

    /// <summary>Several lines with nothing in between.</summary>
    public void Print(string text)
    {
        lock (_gate)
            Console.WriteLine(text);
    }
}
