namespace Ledger.LocalHost;

/// <summary>Where the project's own programs are.</summary>
internal static class Binaries
{
    /// <summary>The environment variable that names another directory with <c>Ledger.Api/Ledger.Api.dll</c> and so on.</summary>
    private const string Override = "LEDGER_BINARIES";

    /// <summary>The directory with <c>Ledger.sln</c> above this program; null where there is none.</summary>
    public static string? RepositoryRoot { get; } = FindRoot();

    /// <summary>The program that runs a .dll: the one that runs this, where that is <c>dotnet</c>.</summary>
    public static string Dotnet { get; } =
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet";

    /// <summary>
    /// The path of <paramref name="project"/>'s <paramref name="assembly"/>, from the build of the same configuration as this
    /// program's (<c>Project/bin/Configuration/Framework/</c>).
    /// </summary>
    public static string Find(string project, string assembly)
    {
        var own = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var path = Environment.GetEnvironmentVariable(Override) is { Length: > 0 } elsewhere
            ? Path.Combine(elsewhere, project, assembly)
            : Path.GetFullPath(Path.Combine(own.FullName, "../../../..", project, "bin", own.Parent?.Name ?? "", own.Name, assembly));
        return File.Exists(path)
            ? path
            : throw new LocalSystemException($"{path} is missing: build {project} in the same configuration, or set {Override}.");
    }

    private static string? FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Ledger.sln")))
                return directory.FullName;
        }
        return null;
    }
}
