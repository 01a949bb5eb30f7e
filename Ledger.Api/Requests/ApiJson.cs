using System.Text.Json.Serialization;
using Ledger.Api.Accounts;
using Ledger.Api.Audit;
using Ledger.Api.Balances;
using Ledger.Api.Currencies;
using Ledger.Api.Identity;
using Ledger.Api.Journal;
using Ledger.Api.Periods;
using Ledger.Api.ServiceAccounts;
using Ledger.Api.Transactions;
using Ledger.Api.Users;
using Ledger.Api.Verification;
using Microsoft.AspNetCore.Mvc;

namespace Ledger.Api.Requests;

/// <summary>The JSON bodies of the API: camelCase; unknown and repeated fields are refused.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false,
    MaxDepth = 32)]
[JsonSerializable(typeof(DepositRequest))]
[JsonSerializable(typeof(MoneyRequest))]
[JsonSerializable(typeof(TransferRequest))]
[JsonSerializable(typeof(JournalRequest))]
[JsonSerializable(typeof(ExchangeRequest))]
[JsonSerializable(typeof(ReversalRequest))]
[JsonSerializable(typeof(AccountRequest))]
[JsonSerializable(typeof(AccountChange))]
[JsonSerializable(typeof(AccountList))]
[JsonSerializable(typeof(HouseAccountRequest))]
[JsonSerializable(typeof(CreditLimitRequest))]
[JsonSerializable(typeof(ExchangePositions))]
[JsonSerializable(typeof(PeriodsRequest))]
[JsonSerializable(typeof(PeriodsResponse))]
[JsonSerializable(typeof(TransactionResponse))]
[JsonSerializable(typeof(TransactionPage))]
[JsonSerializable(typeof(EventPage))]
[JsonSerializable(typeof(JournalProofResponse))]
[JsonSerializable(typeof(FailedCommandList))]
[JsonSerializable(typeof(BalancesResponse))]
[JsonSerializable(typeof(StatementPage))]
[JsonSerializable(typeof(CurrenciesResponse))]
[JsonSerializable(typeof(RegisterRequest))]
[JsonSerializable(typeof(RegisterResponse))]
[JsonSerializable(typeof(LoginRequest))]
[JsonSerializable(typeof(TokenResponse))]
[JsonSerializable(typeof(RefreshRequest))]
[JsonSerializable(typeof(LogoutRequest))]
[JsonSerializable(typeof(PasswordRequest))]
[JsonSerializable(typeof(MeResponse))]
[JsonSerializable(typeof(UserPage))]
[JsonSerializable(typeof(CreateUserRequest))]
[JsonSerializable(typeof(ChangeUserRequest))]
[JsonSerializable(typeof(UserDetailsPage))]
[JsonSerializable(typeof(FreezeRequest))]
[JsonSerializable(typeof(CurrencyRequest))]
[JsonSerializable(typeof(ServiceRequest))]
[JsonSerializable(typeof(ServiceResponse))]
[JsonSerializable(typeof(ServiceKeyRequest))]
[JsonSerializable(typeof(ServiceKeyResponse))]
[JsonSerializable(typeof(ServicePage))]
[JsonSerializable(typeof(VerificationResponse))]
[JsonSerializable(typeof(AuditPage))]
[JsonSerializable(typeof(ProblemDetails))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, string[]>))]
[JsonSerializable(typeof(Dictionary<string, string[]>))]
internal sealed partial class ApiJson : JsonSerializerContext;
