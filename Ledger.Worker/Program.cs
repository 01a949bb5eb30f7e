WebApplication.CreateSlimBuilder(args).Build().Run();
