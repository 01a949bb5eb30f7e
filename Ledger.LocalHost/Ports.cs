using System.Collections.Concurrent;
using System.Net.NetworkInformation;

namespace Ledger.LocalHost;

/// <summary>TCP ports of this machine.</summary>
internal static class Ports
{
    // Below the range from which the kernel takes ports for outgoing connections (32768 and up): a server that is
    // started again must find its port free, whatever connections were opened meanwhile.
    private const int First = 20000;
    private const int Last = 32000;

    private static readonly ConcurrentDictionary<int, bool> s_given = new();

    /// <summary><paramref name="port"/> if nothing listens there, or any free port for 0.</summary>
    /// <param name="port">A port, or 0.</param>
    /// <param name="user">Who wants it, for the message.</param>
    /// <param name="option">The option that chooses another one, for the message.</param>
    /// <exception cref="LocalSystemException">Something listens there.</exception>
    public static int Claim(int port, string user, string option)
    {
        if (port == 0)
            return Free();
        if (IsListenedOn(port))
            throw new LocalSystemException($"port {port} for {user} is in use: stop what listens there or choose another with {option}.");
        s_given[port] = true;
        return port;
    }

    /// <summary>A port that nothing listens on and that this process has not given out before.</summary>
    public static int Free()
    {
        for (var attempt = 0; attempt < 1000; attempt++)
        {
            var port = Random.Shared.Next(First, Last);
            if (!IsListenedOn(port) && s_given.TryAdd(port, true))
                return port;
        }
        throw new LocalSystemException($"found no free port between {First} and {Last}.");
    }

    // By the kernel's table of listeners and not by binding: a bind also fails on connections that linger in TIME_WAIT
    // after a run that has just ended, which a server does not mind.
    private static bool IsListenedOn(int port) =>
        IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(listener => listener.Port == port);
}
