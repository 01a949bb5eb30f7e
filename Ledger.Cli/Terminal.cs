using Spectre.Console;

namespace Ledger.Cli;

/// <summary>The console for tables. In a pipe they are plain text and wider than the 80 columns of the default.</summary>
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
