using System.Reflection;
using Ledger.Core.Messaging;
using Ledger.Tests.Harness;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Ledger.Tests.Messaging;

/// <summary>A process's one connection to RabbitMQ, over all the connections that it has one after the other.</summary>
public sealed class BrokerConnectionTests(LedgerSystem system)
{
    private readonly RecordedLog _log = new();

    [Fact]
    public async Task Late_notice_of_an_old_connection_does_not_block_the_new_one()
    {
        var factory = Intercepted<IConnectionFactory>.Around(await FactoryAsync());
        await using var broker = new BrokerConnection((IConnectionFactory)factory, _log.Of<BrokerConnection>());
        var told = 0;
        broker.Blocked += () => told++;
        var first = (Intercepted<IConnection>)await broker.OpenAsync(TestContext.Current.CancellationToken);
        await ((IConnection)first).CloseAsync(TestContext.Current.CancellationToken);
        var second = (Intercepted<IConnection>)await broker.OpenAsync(TestContext.Current.CancellationToken);
        Assert.NotSame(first, second);

        await first.RaiseAsync("ConnectionBlockedAsync", new ConnectionBlockedEventArgs("low on memory"));

        Assert.Equal((false, (object)second, 0), (broker.IsBlocked, broker.Ready, told));

        // But what the new one says counts, until it takes it back itself.
        await second.RaiseAsync("ConnectionBlockedAsync", new ConnectionBlockedEventArgs("low on memory"));
        await first.RaiseAsync("ConnectionUnblockedAsync", new AsyncEventArgs());
        Assert.Equal((true, null, 1), (broker.IsBlocked, broker.Ready, told));
        await second.RaiseAsync("ConnectionUnblockedAsync", new AsyncEventArgs());
        Assert.Equal((false, (object)second), (broker.IsBlocked, broker.Ready));
    }

    [Fact]
    public async Task Refused_login_names_the_option()
    {
        var factory = await FactoryAsync();
        factory.Password = "wrong";
        await using var broker = new BrokerConnection(factory, _log.Of<BrokerConnection>());

        var refused = await Assert.ThrowsAsync<IOException>(() => broker.OpenAsync(TestContext.Current.CancellationToken));

        Assert.Contains("ConnectionStrings__messaging: ACCESS_REFUSED", refused.Message, StringComparison.Ordinal);
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task Missing_virtual_host_is_named_and_used_once_it_exists()
    {
        var factory = await FactoryAsync();
        factory.VirtualHost = $"test-{Guid.NewGuid():N}";
        await using var broker = new BrokerConnection(factory, _log.Of<BrokerConnection>());
        for (var i = 0; i < 3; i++)
        {
            var refused = await Assert.ThrowsAsync<IOException>(() => broker.OpenAsync(TestContext.Current.CancellationToken));
            Assert.Contains($"ConnectionStrings__messaging: NOT_ALLOWED - vhost {factory.VirtualHost}", refused.Message, StringComparison.Ordinal);
        }
        Assert.Empty(_log.Lines);

        await system.ControlRabbitMqAsync("add_vhost", factory.VirtualHost);
        try
        {
            await system.ControlRabbitMqAsync("set_permissions", "--vhost", factory.VirtualHost, factory.UserName, ".*", ".*", ".*");
            for (var i = 0; i < 3; i++)
                Assert.True((await broker.OpenAsync(TestContext.Current.CancellationToken)).IsOpen);
            Assert.Contains("Connected", Assert.Single(_log.Lines), StringComparison.Ordinal);
        }
        finally
        {
            await system.ControlRabbitMqAsync("delete_vhost", factory.VirtualHost);
        }
    }

    [Fact]
    public async Task Connection_with_a_call_that_timed_out_is_not_used_again()
    {
        await using var broker = new BrokerConnection(await FactoryAsync(), _log.Of<BrokerConnection>());
        var connection = await broker.OpenAsync(TestContext.Current.CancellationToken);

        // Whoever is to stop does not wait for it, and blames nobody.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            BrokerConnection.InTimeAsync(connection, Task.FromCanceled(new CancellationToken(true)), new CancellationToken(true)));
        Assert.Same(connection, broker.Ready);

        // As the client lets those know whose time is over.
        foreach (var late in (Task[])[Task.FromCanceled(new CancellationToken(true)), Task.FromException(new TimeoutException())])
        {
            var silent = await Assert.ThrowsAsync<IOException>(() => BrokerConnection.InTimeAsync(connection, late, CancellationToken.None));
            Assert.Equal("RabbitMQ did not answer in time", silent.Message);
            Assert.Null(broker.Ready);
            Assert.NotSame(connection, connection = await broker.OpenAsync(TestContext.Current.CancellationToken));
        }
    }

    private async Task<ConnectionFactory> FactoryAsync() => new() { Uri = await system.BrokerAsync(), AutomaticRecoveryEnabled = false };

    /// <summary>Passes everything on, hands out connections that do so too, and can raise an event by itself.</summary>
#pragma warning disable CA1852 // What it makes of itself inherits from it.
    private class Intercepted<T> : DispatchProxy where T : class
#pragma warning restore CA1852
    {
        private readonly Dictionary<string, Delegate> _handlers = [];
        private T? _inner;

        public static Intercepted<T> Around(T inner)
        {
            var proxy = Create<T, Intercepted<T>>();
            var intercepted = (Intercepted<T>)(object)proxy;
            intercepted._inner = inner;
            return intercepted;
        }

        public Task RaiseAsync<TArguments>(string name, TArguments arguments) where TArguments : AsyncEventArgs =>
            ((AsyncEventHandler<TArguments>)_handlers[name])(this, arguments);

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        {
            if (targetMethod!.Name.StartsWith("add_", StringComparison.Ordinal))
                _handlers[targetMethod.Name[4..]] = (Delegate)args![0]!;
            var result = targetMethod.Invoke(_inner, args);
            return result is Task<IConnection> connecting ? ConnectedAsync(connecting) : result;
        }

        private static async Task<IConnection> ConnectedAsync(Task<IConnection> connecting) => (IConnection)(object)Intercepted<IConnection>.Around(await connecting);
    }
}
