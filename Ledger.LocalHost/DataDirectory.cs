using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Ledger.LocalHost.Processes;
using Ledger.LocalHost.Servers;

namespace Ledger.LocalHost;

/// <summary>The passwords of one data directory, made up when it is created.</summary>
internal sealed record Secrets(string PostgresPassword, string RabbitMqPassword);

/// <summary>Where one system keeps everything, locked for as long as it runs.</summary>
internal sealed class DataDirectory : IDisposable
{
    private const string TemporaryPrefix = "ledger-run-";

    // The account that PostgreSQL runs under must get through to its own directory; nobody may list this one.
    private const UnixFileMode PassThrough =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly FileStream _lock;
    private readonly bool _ephemeral;

    private DataDirectory(string path, FileStream @lock, bool ephemeral)
    {
        Path = path;
        Secrets = LoadSecrets(path);
        _lock = @lock;
        _ephemeral = ephemeral;
    }

    public string Path { get; }

    public Secrets Secrets { get; }

    public string In(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Creates and locks the directory and ends whatever an earlier run over it left behind.</summary>
    /// <exception cref="LocalSystemException">Another run uses it, or it cannot be written.</exception>
    public static async Task<DataDirectory> OpenAsync(LocalSystemOptions options, CancellationToken cancellationToken)
    {
        if (options is { Ephemeral: true, DataDirectory: not null })
            throw new LocalSystemException("a data directory and a fresh one that is deleted at the end exclude each other.");
        if (options.Ephemeral)
            await DeleteAbandonedAsync(cancellationToken);

        var path = options switch
        {
            { Ephemeral: true } => System.IO.Path.Combine(System.IO.Path.GetTempPath(), TemporaryPrefix + Guid.NewGuid().ToString("N")[..12]),
            { DataDirectory: { } chosen } => System.IO.Path.GetFullPath(chosen),
            _ => await DefaultAsync(cancellationToken),
        };
        try
        {
            Directory.CreateDirectory(path, PassThrough);
            // Without symbolic links: by this path the kernel knows who works in it.
            if (await Launcher.RunAsync(new Command("realpath", path), cancellationToken) is { ExitCode: 0, Output: [var real] })
                path = real;
            // RabbitMQ's disk monitor hands its path to df without quotes.
            if (path.Any(char.IsWhiteSpace))
                throw new LocalSystemException($"RabbitMQ cannot keep its data in {path}, because of the space: choose another place with --data.");
            if (!await PostgresAccount.CanReachAsync(path, cancellationToken))
            {
                throw new LocalSystemException(
                    $"the account '{PostgresAccount.Name}', under which root must run PostgreSQL, cannot reach {path}: choose another place with --data.");
            }
            var directory = new DataDirectory(path, Lock(path), options.Ephemeral);
            await Leftovers.EndAsync(path, cancellationToken);
            return directory;
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw new LocalSystemException($"cannot write to {path}: {exception.Message} Choose another place with --data.", exception);
        }
    }

    /// <summary>Unlocks it; deletes it if it was a temporary one.</summary>
    public void Dispose()
    {
        if (_ephemeral)
            Delete(Path);
        _lock.Dispose();
    }

    // Somebody's home is often closed to other accounts, root's always: then the data of this repository goes where an
    // account of the system can get to.
    private static async Task<string> DefaultAsync(CancellationToken cancellationToken)
    {
        var repository = Binaries.RepositoryRoot ?? Directory.GetCurrentDirectory();
        var own = new DirectoryInfo(System.IO.Path.Combine(repository, ".ledger", "run"));
        var existing = own;
        while (!existing.Exists)
            existing = existing.Parent!;
        if (await PostgresAccount.CanReachAsync(existing.FullName, cancellationToken))
            return own.FullName;
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(repository)))[..8];
        return System.IO.Path.Combine("/var/lib/ledger", name);
    }

    private static FileStream Lock(string path)
    {
        try
        {
            // Locked by the kernel (flock), so a run that was killed holds nothing.
            return new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw new LocalSystemException($"another run uses {path}: stop it or choose another place with --data.", exception);
        }
    }

    private static Secrets LoadSecrets(string path)
    {
        var file = System.IO.Path.Combine(path, "secrets.json");
        if (File.Exists(file))
            return ReadSecrets(file);

        // Letters and digits only: they go into connection strings and URIs as they are.
        var secrets = new Secrets(RandomNumberGenerator.GetHexString(32, lowercase: true), RandomNumberGenerator.GetHexString(32, lowercase: true));
        WriteOwnerOnly(file, JsonSerializer.Serialize(secrets));
        return secrets;
    }

    private static Secrets ReadSecrets(string file)
    {
        try
        {
            if (JsonSerializer.Deserialize<Secrets>(File.ReadAllText(file)) is { PostgresPassword: { Length: > 0 }, RabbitMqPassword: { Length: > 0 } } secrets)
                return secrets;
        }
        catch (JsonException)
        {
            // Its reason may quote a password.
        }
        // New ones would not help: the servers keep those that their data was made with.
        throw new LocalSystemException($"{file}, with the passwords of this data, is damaged: restore it, or start afresh with another directory by --data.");
    }

    /// <summary>Writes a file that only its owner can read, whole or not at all.</summary>
    public static void WriteOwnerOnly(string file, string text)
    {
        var draft = file + ".new";
        File.Delete(draft);
        using (var stream = new FileStream(draft, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = OwnerOnly,
        }))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(draft, file, overwrite: true);
    }

    // Temporary directories of runs that were killed: their locks are free. The age keeps off one that is just being made.
    private static async Task DeleteAbandonedAsync(CancellationToken cancellationToken)
    {
        foreach (var path in Directory.EnumerateDirectories(System.IO.Path.GetTempPath(), TemporaryPrefix + "*"))
        {
            try
            {
                if (Directory.GetCreationTimeUtc(path) > DateTime.UtcNow.AddMinutes(-1))
                    continue;
                using (Lock(path))
                {
                    await Leftovers.EndAsync(path, cancellationToken);
                    Delete(path);
                }
            }
            catch (Exception exception) when (exception is LocalSystemException or UnauthorizedAccessException or IOException)
            {
                // In use, or another account's.
            }
        }
    }

    private static void Delete(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
    }
}
