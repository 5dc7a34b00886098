//! F24 and F33: what stands between a program and its server, a pooler, and transaction ids that begin anew.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Result;
use crate::clock::mono_us;
use crate::server::Stop;
use crate::stand::{Outcome, Plan, Setup, Stand};

/// F24.
pub(super) async fn pooler(plan: Plan) -> Result<Outcome> {
    let mut setup = Setup::base();
    setup.listen = false;
    // A session each, where that is what it pools.
    setup.connections = Some(8);
    let mut stand = Stand::start(&plan, "f24", setup).await?;
    let (mut pooler, port) = start_pooler(&stand).await?;
    stand.url = stand.server.url_at(port);
    stand.load().await?;
    stand.run_for(plan.of(8.0, 300.0)).await?;
    let before = stand.measured(plan.of(3.0, 60.0)).await?;
    // The pooler goes, too, and comes back.
    pooler.kill().await?;
    stand.gone("the pooler");
    stand.run_for(2.0).await?;
    let mut pooler = restart_pooler(&stand).await?;
    stand.back("the pooler");
    let flows = stand.until_flows(30).await?;
    let keeps = keeps_statements().await?;
    let mode = match keeps {
        true => "transaction",
        false => "session: this pgbouncer keeps no account of prepared statements",
    };
    stand.inflicted(
        "pool mode",
        mode,
        "transaction, from pgbouncer 1.21 on",
        keeps,
    );
    stand.expect(
        "throughput by polling alone",
        format!("{before:.0} messages/s"),
        "> 0",
        before > 0.0,
    );
    stand.expect_flow("after the pooler is back", flows, 5.0);
    let outcome = stand.finish().await;
    pooler.kill().await?;
    outcome
}

/// Starts pgbouncer in transaction mode in front of the server's socket.
async fn start_pooler(stand: &Stand) -> Result<(Child, u16)> {
    // A port that was free a moment ago; pgbouncer cannot choose one.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let directory = stand.server.directory()?.join("data");
    let socket = stand.server.directory()?;
    // Statements stay prepared in a session that a transaction pooler gives to somebody else: it has to keep account of
    // them, which pgbouncer does from 1.21 on.
    let mode = match keeps_statements().await? {
        true => "transaction\nmax_prepared_statements = 200",
        false => "session",
    };
    let configuration = format!(
        "[databases]\n* = host={} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = {mode}\nmax_client_conn = 500\ndefault_pool_size = 60\nignore_startup_parameters = extra_float_digits,options\n\
         logfile = {}/pgbouncer.log\npidfile =\n",
        socket.display(),
        directory.display(),
    )
    .replace("* = ", &format!("{} = user=postgres ", stand.server.database()));
    std::fs::write(directory.join("pgbouncer.ini"), configuration)?;
    Ok((restart_pooler(stand).await?, port))
}

/// Whether this pgbouncer keeps account of prepared statements.
async fn keeps_statements() -> Result<bool> {
    let told = Command::new("pgbouncer")
        .arg("--version")
        .env("PATH", PATH)
        .output()
        .await;
    let told = told.map_err(|error| {
        format!("pgbouncer cannot be started ({error}): apt-get install pgbouncer")
    })?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let version = told.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or_default());
    Ok((numbers.next(), numbers.next()) >= (Some(1), Some(21)))
}

/// Where it is on a system with apt, which is not on everybody's path.
const PATH: &str = "/usr/sbin:/usr/bin:/bin:/usr/local/bin";

async fn restart_pooler(stand: &Stand) -> Result<Child> {
    use std::os::unix::fs::MetadataExt;
    let directory = stand.server.directory()?.join("data");
    let owner = std::fs::metadata(&directory)?;
    let mut command = Command::new("pgbouncer");
    command
        .arg("-q")
        .arg(directory.join("pgbouncer.ini"))
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let child = command.spawn().map_err(|error| {
        format!("pgbouncer cannot be started ({error}): apt-get install pgbouncer")
    })?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(child)
}

/// F33.
pub(super) async fn wraparound(plan: Plan) -> Result<Outcome> {
    let mut stand = Stand::under_load(&plan, "f33", Setup::base()).await?;
    stand.run_for(2.0).await?;
    stand.quiet().await?;
    stand.drain().await?;
    // What has transaction ids of before must have none when they are about to begin anew.
    let mut freeze = stand.server.command("vacuumdb")?;
    freeze
        .args(["--all", "--freeze", "-q", "-U", "postgres", "-h"])
        .arg(stand.server.directory()?);
    crate::server::succeed(freeze).await?;
    stand.gone("the server");
    stand.server.stop(Stop::Fast).await?;
    let data = stand.server.directory()?.join("data");
    let mut reset = stand.server.command("pg_resetwal")?;
    reset.args(["-x", "4294967000", "-D"]).arg(&data);
    crate::server::succeed(reset).await?;
    let segment = data.join("pg_xact").join("0FFF");
    std::fs::write(&segment, vec![0_u8; 256 * 1024])?;
    own(&segment, &data)?;
    stand.server.restart().await?;
    stand.back("the server");
    let before: i64 = stand.server.value(XID).await?;
    stand.add_publisher()?;
    let flows = stand.until_flows(60).await?;
    let limit = mono_us() + 60_000_000;
    let mut after = before;
    while after < 1 << 32 && mono_us() < limit {
        stand.run_for(0.2).await?;
        after = stand.server.value(XID).await?;
    }
    stand.run_for(plan.of(5.0, 60.0)).await?;
    stand.until_flows(60).await?;
    stand.inflicted(
        "transaction ids",
        format!("{before} to {after}"),
        "beyond 2^32",
        after >= 1 << 32,
    );
    stand.expect_flow("after the restart", flows, 5.0);
    stand.finish().await
}

/// The next transaction id, its epoch included.
const XID: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

fn own(file: &std::path::Path, like: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let owner = std::fs::metadata(like)?;
    Ok(chown(file, Some(owner.uid()), Some(owner.gid()))?)
}
