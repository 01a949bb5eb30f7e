using System.ComponentModel;
using System.Diagnostics;

namespace Ledger.AppHost;

/// <summary>Runs a short command of this machine to its end.</summary>
internal static class Shell
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);

    /// <summary>The command's exit code; null if there is no such program or it does not end within 10 s.</summary>
    public static int? Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            // A pipe that is not drained would stop the command.
            process.OutputDataReceived += (_, _) => { };
            process.ErrorDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            if (process.WaitForExit(s_limit))
                return process.ExitCode;
            process.Kill(entireProcessTree: true);
            return null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
