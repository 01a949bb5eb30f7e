namespace Ledger.LocalHost;

/// <summary>The system cannot be started or kept as asked; the message says in one line what to do.</summary>
public sealed class LocalSystemException : Exception
{
    public LocalSystemException()
    {
    }

    public LocalSystemException(string message)
        : base(message)
    {
    }

    public LocalSystemException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The last lines of the process that caused it, oldest first; empty where none did.</summary>
    public IReadOnlyList<string> Tail { get; init; } = [];

    /// <summary>The message, followed by <see cref="Tail"/>.</summary>
    public override string ToString() =>
        Tail.Count == 0 ? base.ToString() : $"{base.ToString()}\n{string.Join('\n', Tail)}";
}
