# Sourced by run.sh and test.sh: sets and exports AspirePackages (see Directory.Build.props), unless it is set.

# Asks NuGet for one package of Aspire, alone and without its dependencies, and keeps the answer under .ledger/ until
# the package versions change. Delete .ledger/aspire-packages to ask again.
find_out_aspire_packages() {
    local root=$1 answer=$1/.ledger/aspire-packages probe output status=0
    if [[ -n ${AspirePackages:-} ]]; then
        export AspirePackages
        return
    fi
    if [[ -s $answer && $answer -nt $root/Directory.Packages.props ]]; then
        AspirePackages=$(<"$answer")
        export AspirePackages
        return
    fi

    # Inside the repository, so that its NuGet.config and its version of Aspire hold for the probe too.
    probe=$root/.ledger/aspire-probe
    mkdir -p "$probe"
    cat >"$probe/probe.csproj" <<'PROJECT'
<Project Sdk="Microsoft.NET.Sdk">
  <ItemGroup>
    <PackageDownload Include="Aspire.RabbitMQ.Client" Version="[$(AspireVersion)]" />
  </ItemGroup>
</Project>
PROJECT
    # One attempt and a limit: without a network this must not stand in the way for long.
    output=$(NUGET_ENHANCED_MAX_NETWORK_TRY_COUNT=1 timeout 20 \
        dotnet restore "$probe/probe.csproj" --disable-parallel -p:AspirePackages=true 2>&1) || status=$?
    rm -rf "$probe"
    if ((status == 0)); then
        AspirePackages=true
        echo true >"$answer"
    else
        AspirePackages=false
        # Kept only when the feed itself said that it has none: a network that is down may be up the next time.
        if [[ $output == *NU1101* || $output == *NU1102* ]]; then echo false >"$answer"; fi
    fi
    export AspirePackages
}
