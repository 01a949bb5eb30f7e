using System.Runtime.InteropServices;

namespace Ledger.LocalHost.Processes;

/// <summary>kill(2).</summary>
internal static partial class Signals
{
    public const int Interrupt = 2;
    public const int Kill = 9;
    public const int Terminate = 15;
    // Linux's numbers; other systems have their own.
    public const int Continue = 18;
    public const int Stop = 19;

    /// <summary>Sends <paramref name="signal"/>; false where there is no such process any more, or it belongs to somebody else.</summary>
    public static bool Send(int pid, int signal) => pid > 1 && kill(pid, signal) == 0;

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int kill(int pid, int signal);
}
