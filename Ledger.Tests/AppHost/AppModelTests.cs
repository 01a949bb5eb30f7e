using System.Net.Sockets;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Ledger.AppHost.Servers;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.DependencyInjection;

namespace Ledger.Tests.AppHost;

/// <summary>The app model as the AppHost builds it; nothing is started.</summary>
public sealed class AppModelTests
{
    private const string Containers = "containers";
    private const string Native = "native";
    private static readonly TimeSpan s_buildTimeout = TimeSpan.FromMinutes(1);

    public static TheoryData<string> BothKindsOfServers { get; } = [Containers, Native];

    [Theory]
    [MemberData(nameof(BothKindsOfServers))]
    public async Task A_developer_gets_the_system_its_passwords_and_a_load_generator(string servers)
    {
        await using var model = await BuildAsync(servers);

        Assert.Equal(
            [
                ResourceNames.Api, ResourceNames.Database, ResourceNames.Load, ResourceNames.Messaging, ResourceNames.MessagingPassword,
                ResourceNames.Migrations, ResourceNames.Postgres, ResourceNames.PostgresPassword, ResourceNames.Worker,
            ],
            NamesIn(model));
    }

    [Theory]
    [MemberData(nameof(BothKindsOfServers))]
    public async Task The_passwords_are_secret_parameters(string servers)
    {
        await using var model = await BuildAsync(servers);

        var passwords = model.Resources.OfType<ParameterResource>().ToArray();
        Assert.Equal([ResourceNames.MessagingPassword, ResourceNames.PostgresPassword], passwords.Select(password => password.Name).Order());
        Assert.All(passwords, password => Assert.True(password.Secret));
    }

    [Fact]
    public async Task The_servers_have_passwords_of_their_own()
    {
        await using var model = await BuildAsync(Containers);

        Assert.Equal(ResourceNames.PostgresPassword, Resource<PostgresServerResource>(model, ResourceNames.Postgres).PasswordParameter.Name);
        Assert.Equal(ResourceNames.MessagingPassword, Resource<RabbitMQServerResource>(model, ResourceNames.Messaging).PasswordParameter.Name);
    }

    [Theory]
    [InlineData(ResourceNames.Postgres, "library/postgres", "17.6")]
    [InlineData(ResourceNames.Messaging, "library/rabbitmq", "4.3-management")]
    public async Task Images_are_pinned(string name, string image, string tag)
    {
        await using var model = await BuildAsync(Containers);

        var annotation = Assert.Single(Annotations<ContainerImageAnnotation>(model, name));
        Assert.Equal(image, annotation.Image);
        Assert.Equal(tag, annotation.Tag);
    }

    [Theory]
    [InlineData(Containers, ResourceNames.Api)]
    [InlineData(Containers, ResourceNames.Worker)]
    [InlineData(Native, ResourceNames.Api)]
    [InlineData(Native, ResourceNames.Worker)]
    public async Task A_service_references_database_and_broker_and_waits_for_migrations_and_broker(string servers, string service)
    {
        await using var model = await BuildAsync(servers);

        Assert.Equal([ResourceNames.Database, ResourceNames.Messaging], ReferencesOf(model, service));
        Assert.Equal(
            [(ResourceNames.Messaging, WaitType.WaitUntilHealthy), (ResourceNames.Migrations, WaitType.WaitForCompletion)],
            WaitsOf(model, service));
        Assert.NotEmpty(Annotations<HealthCheckAnnotation>(model, service));
    }

    [Theory]
    [MemberData(nameof(BothKindsOfServers))]
    public async Task The_migrations_need_the_database_alone(string servers)
    {
        await using var model = await BuildAsync(servers);

        Assert.Equal([ResourceNames.Database], ReferencesOf(model, ResourceNames.Migrations));
        Assert.Equal((ResourceNames.Database, WaitType.WaitUntilHealthy), WaitsOf(model, ResourceNames.Migrations).First());
        Assert.DoesNotContain(WaitsOf(model, ResourceNames.Migrations), wait => wait.Resource == ResourceNames.Messaging);
    }

    [Theory]
    [InlineData(ResourceNames.Api, true)]
    [InlineData(ResourceNames.Worker, false)]
    public async Task Only_the_API_is_reachable_from_outside(string service, bool isExternal)
    {
        await using var model = await BuildAsync(Native);

        var endpoints = Annotations<EndpointAnnotation>(model, service);
        Assert.Equal(["http", "metrics"], endpoints.Select(endpoint => endpoint.Name).Order());
        Assert.Equal(isExternal, endpoints.Single(endpoint => endpoint.Name == "http").IsExternal);
        Assert.False(endpoints.Single(endpoint => endpoint.Name == "metrics").IsExternal);
    }

    [Theory]
    [MemberData(nameof(BothKindsOfServers))]
    public async Task Each_process_has_its_own_address_without_a_proxy_in_between(string servers)
    {
        await using var model = await BuildAsync(servers, "--apis", "3", "--workers", "2");

        string[] services = ["api", "api-2", "api-3", "worker", "worker-2"];
        Assert.Equal(services, model.Resources.OfType<ProjectResource>().Select(service => service.Name).Intersect(services).Order(StringComparer.Ordinal));
        var endpoints = services.SelectMany(service => Annotations<EndpointAnnotation>(model, service)).ToArray();
        Assert.Equal(2 * services.Length, endpoints.Select(endpoint => endpoint.Port).Distinct().Count());
        Assert.All(endpoints, endpoint => Assert.False(endpoint.IsProxied));
        Assert.All(endpoints, endpoint => Assert.Equal(ProtocolType.Tcp, endpoint.Protocol));
    }

    [Theory]
    [InlineData(ResourceNames.Postgres)]
    [InlineData(ResourceNames.Messaging)]
    public async Task Data_of_containers_outlives_the_run_unless_it_is_ephemeral(string server)
    {
        await using var kept = await BuildAsync(Containers);
        var volume = Assert.Single(Annotations<ContainerMountAnnotation>(kept, server));
        Assert.Equal(ContainerMountType.Volume, volume.Type);
        Assert.Equal($"ledger-{server}", volume.Source);

        await using var ephemeral = await BuildAsync(Containers, "--ephemeral");
        Assert.Empty(Annotations<ContainerMountAnnotation>(ephemeral, server));
    }

    [Fact]
    public async Task Native_servers_get_their_passwords_in_the_environment_and_not_as_arguments()
    {
        await using var model = await BuildAsync(Native);

        foreach (var (name, variable) in ((string, string)[])[(ResourceNames.Postgres, "POSTGRES_PASSWORD"), (ResourceNames.Messaging, "RABBITMQ_PASSWORD")])
        {
            var arguments = new List<object>();
            foreach (var annotation in Annotations<CommandLineArgsCallbackAnnotation>(model, name))
                await annotation.Callback(new CommandLineArgsCallbackContext(arguments, TestContext.Current.CancellationToken));
            var environment = new Dictionary<string, object>();
            foreach (var annotation in Annotations<EnvironmentCallbackAnnotation>(model, name))
                await annotation.Callback(new EnvironmentCallbackContext(model.ExecutionContext, environment));
            Assert.All(arguments, argument => Assert.IsType<string>(argument));
            Assert.IsType<ParameterResource>(environment[variable]);
        }
    }

    [Fact]
    public async Task The_load_generator_starts_by_hand()
    {
        await using var model = await BuildAsync(Containers);

        Assert.Single(Annotations<ExplicitStartupAnnotation>(model, ResourceNames.Load));
    }

    [Fact]
    public async Task Monitoring_adds_Prometheus_and_Grafana_as_containers()
    {
        await using var without = await BuildAsync(Containers);
        await using var with = await BuildAsync(Containers, "--monitoring");

        Assert.Equal([ResourceNames.Grafana, ResourceNames.Prometheus], NamesIn(with).Except(NamesIn(without)));
    }

    private static async Task<Model> BuildAsync(string servers, params string[] options)
    {
        var token = TestContext.Current.CancellationToken;
        string[] fresh = servers == Native ? ["--ephemeral"] : [];
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Ledger_AppHost>(
            ["--test", "--no-dashboard", "--servers", servers, "--port", "0", "--postgres-port", "0", "--rabbitmq-port", "0", "--management-port", "0", .. fresh, .. options],
            token).WaitAsync(s_buildTimeout, token);
        return new Model(builder);
    }

    /// <summary>The resources' names, sorted; not those that Aspire hides beside each project to rebuild it.</summary>
    private static IEnumerable<string> NamesIn(Model model) =>
        model.Resources.Select(resource => resource.Name).Where(name => !name.EndsWith("-rebuilder", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    private static T Resource<T>(Model model, string name) where T : IResource =>
        model.Resources.OfType<T>().Single(resource => resource.Name == name);

    private static T[] Annotations<T>(Model model, string name) where T : IResourceAnnotation =>
        [.. Resource<IResource>(model, name).Annotations.OfType<T>()];

    private static IEnumerable<string> ReferencesOf(Model model, string name) =>
        Annotations<ResourceRelationshipAnnotation>(model, name)
            .Where(relationship => relationship.Type == "Reference")
            .Select(relationship => relationship.Resource.Name)
            .Order(StringComparer.Ordinal);

    private static IEnumerable<(string Resource, WaitType Wait)> WaitsOf(Model model, string name) =>
        Annotations<WaitAnnotation>(model, name)
            .Select(wait => (wait.Resource.Name, wait.WaitType))
            .OrderBy(wait => wait.Name, StringComparer.Ordinal);

    /// <summary>A model that is not run. Building it opened a data directory, which only a run would close.</summary>
    private sealed class Model(IDistributedApplicationTestingBuilder builder) : IAsyncDisposable
    {
        public IEnumerable<IResource> Resources => builder.Resources;

        public global::Aspire.Hosting.DistributedApplicationExecutionContext ExecutionContext => builder.ExecutionContext;

        public async ValueTask DisposeAsync()
        {
            await using (var services = builder.Services.BuildServiceProvider())
                services.GetService<DataDirectory>();
            await builder.DisposeAsync();
        }
    }
}
