using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Ledger.ServiceDefaults;

namespace Ledger.Tests.AppHost;

/// <summary>The app model as the AppHost builds it; nothing is started.</summary>
public sealed class AppModelTests
{
    private static readonly TimeSpan BuildTimeout = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task A_developer_gets_the_system_its_passwords_and_a_load_generator()
    {
        await using var model = await BuildAsync();

        Assert.Equal(
            [
                ResourceNames.Api, ResourceNames.Database, ResourceNames.Load, ResourceNames.Messaging, ResourceNames.MessagingPassword,
                ResourceNames.Migrations, ResourceNames.Postgres, ResourceNames.PostgresPassword, ResourceNames.Worker,
            ],
            NamesIn(model));
    }

    [Fact]
    public async Task The_passwords_are_secret_parameters_that_differ()
    {
        await using var model = await BuildAsync();

        var passwords = model.Resources.OfType<ParameterResource>().ToArray();
        Assert.Equal(2, passwords.Length);
        Assert.All(passwords, password => Assert.True(password.Secret));

        var postgres = Resource<PostgresServerResource>(model, ResourceNames.Postgres);
        var messaging = Resource<RabbitMQServerResource>(model, ResourceNames.Messaging);
        Assert.Equal(ResourceNames.PostgresPassword, postgres.PasswordParameter.Name);
        Assert.Equal(ResourceNames.MessagingPassword, messaging.PasswordParameter.Name);
    }

    [Theory]
    [InlineData(ResourceNames.Postgres, "library/postgres", "17.6")]
    [InlineData(ResourceNames.Messaging, "library/rabbitmq", "4.3-management")]
    public async Task Images_are_pinned(string name, string image, string tag)
    {
        await using var model = await BuildAsync();

        var annotation = Assert.Single(Annotations<ContainerImageAnnotation>(model, name));
        Assert.Equal(image, annotation.Image);
        Assert.Equal(tag, annotation.Tag);
    }

    [Theory]
    [InlineData(ResourceNames.Api)]
    [InlineData(ResourceNames.Worker)]
    public async Task A_service_references_database_and_broker_and_waits_for_migrations_and_broker(string service)
    {
        await using var model = await BuildAsync();

        Assert.Equal([ResourceNames.Database, ResourceNames.Messaging], ReferencesOf(model, service));
        Assert.Equal(
            [(ResourceNames.Messaging, WaitType.WaitUntilHealthy), (ResourceNames.Migrations, WaitType.WaitForCompletion)],
            WaitsOf(model, service));
        Assert.NotEmpty(Annotations<HealthCheckAnnotation>(model, service));
    }

    [Fact]
    public async Task The_migrations_need_the_database_alone()
    {
        await using var model = await BuildAsync();

        Assert.Equal([ResourceNames.Database], ReferencesOf(model, ResourceNames.Migrations));
        Assert.Equal(
            [(ResourceNames.Database, WaitType.WaitUntilHealthy), (ResourceNames.Postgres, WaitType.WaitUntilHealthy)],
            WaitsOf(model, ResourceNames.Migrations));
    }

    [Theory]
    [InlineData(ResourceNames.Api, true)]
    [InlineData(ResourceNames.Worker, false)]
    public async Task Only_the_API_is_reachable_from_outside(string service, bool isExternal)
    {
        await using var model = await BuildAsync();

        var endpoints = Annotations<EndpointAnnotation>(model, service);
        Assert.Equal(["http", "metrics"], endpoints.Select(endpoint => endpoint.Name).Order());
        Assert.Equal(isExternal, endpoints.Single(endpoint => endpoint.Name == "http").IsExternal);
        Assert.False(endpoints.Single(endpoint => endpoint.Name == "metrics").IsExternal);
    }

    [Theory]
    [InlineData(null, 2)]
    [InlineData("Worker:Replicas=5", 5)]
    [InlineData("Monitoring=true", 1)]
    public async Task The_number_of_workers_is_configuration(string? setting, int expected)
    {
        await using var model = await BuildAsync(setting is null ? [] : [setting]);

        Assert.Equal(expected, Assert.Single(Annotations<ReplicaAnnotation>(model, ResourceNames.Worker)).Replicas);
    }

    [Theory]
    [InlineData(ResourceNames.Postgres)]
    [InlineData(ResourceNames.Messaging)]
    public async Task Data_outlives_the_run_for_a_developer_and_not_in_tests(string server)
    {
        await using var developers = await BuildAsync();
        var volume = Assert.Single(Annotations<ContainerMountAnnotation>(developers, server));
        Assert.Equal(ContainerMountType.Volume, volume.Type);
        Assert.Equal($"ledger-{server}", volume.Source);
        Assert.Equal(ContainerLifetime.Persistent, Assert.Single(Annotations<ContainerLifetimeAnnotation>(developers, server)).Lifetime);

        await using var tests = await BuildAsync("UseVolumes=false");
        Assert.Empty(Annotations<ContainerMountAnnotation>(tests, server));
        Assert.Empty(Annotations<ContainerLifetimeAnnotation>(tests, server));
    }

    [Fact]
    public async Task The_load_generator_starts_by_hand_and_is_not_published()
    {
        await using var model = await BuildAsync();

        Assert.Single(Annotations<ExplicitStartupAnnotation>(model, ResourceNames.Load));
        Assert.Contains(ManifestPublishingCallbackAnnotation.Ignore, Annotations<ManifestPublishingCallbackAnnotation>(model, ResourceNames.Load));
    }

    [Theory]
    [InlineData("--monitoring")]
    [InlineData("Monitoring=true")]
    public async Task Monitoring_adds_Prometheus_and_Grafana(string setting)
    {
        await using var without = await BuildAsync();
        await using var with = await BuildAsync(setting);

        Assert.Equal([ResourceNames.Grafana, ResourceNames.Prometheus], NamesIn(with).Except(NamesIn(without)));
    }

    private static async Task<IDistributedApplicationTestingBuilder> BuildAsync(params string[] settings)
    {
        var token = TestContext.Current.CancellationToken;
        return await DistributedApplicationTestingBuilder.CreateAsync<Projects.Ledger_AppHost>(settings, token).WaitAsync(BuildTimeout, token);
    }

    /// <summary>The resources' names, sorted; not those that Aspire adds hidden beside each project to rebuild it.</summary>
    private static IEnumerable<string> NamesIn(IDistributedApplicationTestingBuilder model) =>
        model.Resources.Select(resource => resource.Name).Where(name => !name.EndsWith("-rebuilder", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    private static T Resource<T>(IDistributedApplicationTestingBuilder model, string name) where T : IResource =>
        model.Resources.OfType<T>().Single(resource => resource.Name == name);

    private static T[] Annotations<T>(IDistributedApplicationTestingBuilder model, string name) where T : IResourceAnnotation =>
        [.. Resource<IResource>(model, name).Annotations.OfType<T>()];

    private static IEnumerable<string> ReferencesOf(IDistributedApplicationTestingBuilder model, string name) =>
        Annotations<ResourceRelationshipAnnotation>(model, name)
            .Where(relationship => relationship.Type == "Reference")
            .Select(relationship => relationship.Resource.Name)
            .Order(StringComparer.Ordinal);

    private static IEnumerable<(string Resource, WaitType Wait)> WaitsOf(IDistributedApplicationTestingBuilder model, string name) =>
        Annotations<WaitAnnotation>(model, name)
            .Select(wait => (wait.Resource.Name, wait.WaitType))
            .OrderBy(wait => wait.Name, StringComparer.Ordinal);
}
