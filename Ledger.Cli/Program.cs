using System.CommandLine;
using Ledger.Cli.Migrate;

var root = new RootCommand("The operator's tool of Ledger.") { MigrateCommand.Create() };
return await root.Parse(args).InvokeAsync();
