using Spectre.Console;

namespace Ledger.Cli;

/// <summary>Where tables go. Into a pipe they are plain and as wide as they need to be, not the 80 columns of a terminal that is not there.</summary>
internal static class Terminal
{
    private const int PipeWidth = 160;

    public static IAnsiConsole Output { get; } = Create();

    public static bool IsInteractive => !Console.IsOutputRedirected;

    private static IAnsiConsole Create()
    {
        var console = AnsiConsole.Console;
        if (!IsInteractive)
        {
            console.Profile.Width = PipeWidth;
            console.Profile.Capabilities.Ansi = false;
            console.Profile.Capabilities.Interactive = false;
        }
        return console;
    }
}
