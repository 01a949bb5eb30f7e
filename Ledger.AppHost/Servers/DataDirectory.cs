using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Ledger.AppHost.Servers;

/// <summary>The passwords of one data directory, generated when it is created.</summary>
internal sealed record Passwords(string PostgresPassword, string RabbitMqPassword);

/// <summary>Where native PostgreSQL and RabbitMQ keep everything, locked for as long as the AppHost runs.</summary>
internal sealed class DataDirectory : IDisposable
{
    private const string TemporaryPrefix = "ledger-run-";

    // PostgreSQL's account must pass through to its own directory; other accounts may not list this one.
    private const UnixFileMode PassThrough =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream @lock, bool isEphemeral)
    {
        Root = path;
        _lock = @lock;
        IsEphemeral = isEphemeral;
        Passwords = LoadPasswords(path);
    }

    /// <summary>The directory's path, without symbolic links.</summary>
    public string Root { get; }

    /// <summary>Whether it is deleted at the end.</summary>
    public bool IsEphemeral { get; }

    public Passwords Passwords { get; }

    public string In(string name) => Path.Combine(Root, name);

    /// <summary>Creates and locks the directory, and ends what an earlier run over it left behind.</summary>
    /// <exception cref="DistributedApplicationException">Another run uses it, it cannot be written, or PostgreSQL's account cannot reach it.</exception>
    public static DataDirectory Open(RunOptions options, string repository)
    {
        if (options.IsEphemeral)
            DeleteAbandoned();
        var path = options switch
        {
            { IsEphemeral: true } => Path.Combine(Path.GetTempPath(), TemporaryPrefix + Guid.NewGuid().ToString("N")[..12]),
            { DataDirectory: { } chosen } => Path.GetFullPath(chosen),
            _ => Default(repository),
        };
        try
        {
            Create(path);
            // The kernel knows a process's working directory by this path.
            path = RealPath(path);
            // RabbitMQ's disk monitor passes its path to df without quotes.
            if (path.Any(char.IsWhiteSpace))
                throw new DistributedApplicationException($"RabbitMQ cannot keep its data in {path} because of the space: choose another place with --data.");
            if (!PostgresCanReach(path))
                throw new DistributedApplicationException($"the account 'postgres', under which root must run PostgreSQL, cannot reach {path}: choose another place with --data.");
            var directory = new DataDirectory(path, Lock(path), options.IsEphemeral);
            Leftovers.End(path);
            return directory;
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new DistributedApplicationException($"cannot write to {path}: {e.Message} Choose another place with --data.", e);
        }
    }

    /// <summary>Ends what still runs over it, deletes it if it is ephemeral, and unlocks it.</summary>
    public void Dispose()
    {
        Leftovers.End(Root);
        if (IsEphemeral && Directory.Exists(Root))
            Directory.Delete(Root, recursive: true);
        _lock.Dispose();
    }

    // A home directory is often closed to other accounts, root's always is: then the data goes to a place that is open.
    private static string Default(string repository)
    {
        var own = new DirectoryInfo(Path.Combine(repository, ".ledger", "run"));
        var existing = own;
        while (!existing.Exists)
            existing = existing.Parent!;
        if (PostgresCanReach(existing.FullName))
            return own.FullName;
        return Path.Combine("/var/lib/ledger", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(repository)))[..8]);
    }

    private static bool PostgresCanReach(string path) =>
        !Environment.IsPrivilegedProcess || Shell.Run("setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", "test", "-x", path) == 0;

    private static void Create(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, PassThrough);
    }

    private static string RealPath(string path)
    {
        var real = Path.GetPathRoot(path)!;
        foreach (var part in path[real.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
            real = new DirectoryInfo(Path.Combine(real, part)).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? Path.Combine(real, part);
        return real;
    }

    private static FileStream Lock(string path)
    {
        try
        {
            // The kernel holds the lock, so a run that was killed holds nothing.
            return new FileStream(Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new DistributedApplicationException($"another run uses {path}: stop it, or choose another place with --data.", e);
        }
    }

    private static Passwords LoadPasswords(string path)
    {
        var file = Path.Combine(path, "secrets.json");
        if (File.Exists(file))
            return ReadPasswords(file);

        // Letters and digits: they are parts of connection strings and URIs.
        var passwords = new Passwords(RandomNumberGenerator.GetHexString(32, lowercase: true), RandomNumberGenerator.GetHexString(32, lowercase: true));
        WriteOwnerOnly(file, JsonSerializer.Serialize(passwords));
        return passwords;
    }

    private static Passwords ReadPasswords(string file)
    {
        try
        {
            if (JsonSerializer.Deserialize<Passwords>(File.ReadAllText(file)) is { PostgresPassword: { Length: > 0 }, RabbitMqPassword: { Length: > 0 } } passwords)
                return passwords;
        }
        catch (JsonException)
        {
            // The exception's message may quote a password.
        }
        // New passwords would not help: the servers keep the ones that their data was made with.
        throw new DistributedApplicationException($"{file}, which holds the passwords of this data, is damaged: restore it, or start with another directory by --data.");
    }

    // Whole or not at all.
    private static void WriteOwnerOnly(string file, string text)
    {
        var draft = file + ".new";
        File.Delete(draft);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerOnly;
        using (var stream = new FileStream(draft, options))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(draft, file, overwrite: true);
    }

    // Temporary directories of runs that were killed: their locks are free. The age protects one that is being made.
    private static void DeleteAbandoned()
    {
        foreach (var path in Directory.EnumerateDirectories(Path.GetTempPath(), TemporaryPrefix + "*"))
        {
            try
            {
                if (Directory.GetCreationTimeUtc(path) > DateTime.UtcNow.AddMinutes(-1))
                    continue;
                using (Lock(path))
                {
                    Leftovers.End(path);
                    Directory.Delete(path, recursive: true);
                }
            }
            catch (Exception e) when (e is DistributedApplicationException or UnauthorizedAccessException or IOException)
            {
                // In use, or of another account.
            }
        }
    }
}
