namespace Ledger.Core.Posting;

/// <summary>Money that moves from one account to another of the same currency.</summary>
/// <param name="From">The debited account's place among the batch's accounts.</param>
/// <param name="To">The credited account's place.</param>
/// <param name="Amount">Minor units of the accounts' currency, 1 to <see cref="Currencies.Currency.MaxAmount"/>.</param>
public readonly record struct Movement(int From, int To, long Amount);

/// <summary>A change of what holds set aside on an account.</summary>
/// <param name="Account">The account's place among the batch's accounts.</param>
/// <param name="Amount">Minor units: positive sets aside what must be available, negative releases what is held.</param>
public readonly record struct HoldEffect(int Account, long Amount);

/// <summary>
/// What a command does if it is posted: hold effects, then movements, in order, all or none. A capture releases before it
/// moves, so that it can spend what it held.
/// </summary>
/// <remarks>A plan refers to memory of its caller, so that a plan of one movement costs no allocation.</remarks>
public readonly ref struct Plan
{
    /// <summary>The most movements that one command makes.</summary>
    public const int MaxMovements = 64;

    /// <exception cref="ArgumentException">The plan does nothing, or has more than <see cref="MaxMovements"/> movements.</exception>
    public Plan(ReadOnlySpan<Movement> movements, ReadOnlySpan<HoldEffect> holdEffects = default)
    {
        if (movements.Length > MaxMovements || movements.Length + holdEffects.Length == 0)
            throw new ArgumentException($"A plan has 1 to {MaxMovements} movements or hold effects, not {movements.Length} movements.", nameof(movements));
        Movements = movements;
        HoldEffects = holdEffects;
    }

    public ReadOnlySpan<Movement> Movements { get; }

    public ReadOnlySpan<HoldEffect> HoldEffects { get; }
}
