//! A second server that follows the first, and may take over.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use super::{PATIENT, Server, Target, succeed};
use crate::Result;

/// Where the standby's socket ends.
const STANDBY: u16 = 5433;
const LOOK: Duration = Duration::from_millis(50);

impl Server {
    /// Starts a second server that follows the first.
    pub(crate) async fn add_standby(&mut self) -> Result<()> {
        let (directory, data) = (self.directory()?, self.directory()?.join("standby"));
        let mut backup = self.command("pg_basebackup")?;
        backup.args(["-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-h"]);
        backup.arg(&directory).arg("-D").arg(&data);
        succeed(backup).await?;
        let file = data.join("postgresql.conf");
        let settings = std::fs::read_to_string(&file)?;
        std::fs::write(&file, format!("{settings}\nport = {STANDBY}\n"))?;
        let mut start = self.command("pg_ctl")?;
        start
            .args(["start", "-s", "-w", "-l"])
            .arg(data.join("standby.log"))
            .arg("-D")
            .arg(&data);
        self.standby = Some(data);
        succeed(start).await?;
        while !self.has_standby("streaming").await? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// From now on commits wait for the standby.
    pub(crate) async fn wait_for_standby(&self) -> Result<()> {
        self.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await?;
        self.run("SELECT pg_reload_conf()").await?;
        while !self.has_standby("sync").await? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn has_standby(&self, how: &str) -> Result<bool> {
        self.value(&format!(
            "SELECT count(*) = 1 FROM pg_stat_replication WHERE '{how}' IN (state, sync_state)"
        ))
        .await
    }

    /// From now on the standby gets nothing more.
    pub(crate) async fn cut_off_standby(&self) -> Result<()> {
        let mut standby = PgConnection::connect_with(&self.at_standby()).await?;
        sqlx::raw_sql("ALTER SYSTEM SET primary_conninfo = ''")
            .execute(&mut standby)
            .await?;
        sqlx::raw_sql("SELECT pg_reload_conf()")
            .execute(&mut standby)
            .await?;
        standby.close().await?;
        while self.has_standby("streaming").await? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn at_standby(&self) -> PgConnectOptions {
        let options = self.database.connect_options().port(STANDBY);
        options.application_name("faults").options(PATIENT)
    }

    /// Makes the standby the server. Returns where it is.
    pub(crate) async fn promote(&mut self) -> Result<Target> {
        let data = self.standby.clone().ok_or("there is no standby")?;
        let mut promote = self.command("pg_ctl")?;
        promote.args(["promote", "-s", "-w", "-D"]).arg(data);
        succeed(promote).await?;
        self.pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(self.at_standby())
            .await?;
        self.target(STANDBY)
    }

    /// The transactions whose commits stand in the WAL of the server that was, and not in that of the one which has
    /// taken over: by their ids, those of savepoints included.
    pub(crate) async fn not_replicated(&self) -> Result<HashSet<u32>> {
        let history: String = self
            .value("SELECT pg_read_file('pg_wal/00000002.history')")
            .await?;
        // Timeline, where it was left, why.
        let fork = history.split_whitespace().nth(1);
        let fork = fork.ok_or("the history of the new timeline is empty")?;
        let mut dump = self.command("pg_waldump")?;
        dump.args(["--rmgr=Transaction", "-t", "1", "-s", fork, "-p"])
            .arg(self.directory()?.join("data").join("pg_wal"));
        // It complains at the end of the WAL, where it has come to an end.
        let told = String::from_utf8(dump.output().await?.stdout)?;
        Ok(told.lines().flat_map(committed).collect())
    }

    /// Starts the server that was, which only the run itself looks at.
    pub(crate) async fn look_back(&mut self) -> Result<PgConnection> {
        self.postgres.restart().await?;
        let options = self.database.connect_options().application_name("faults");
        Ok(PgConnection::connect_with(&options).await?)
    }
}

/// The transactions that a line of `pg_waldump` says are committed.
fn committed(line: &str) -> Vec<u32> {
    let Some((before, what)) = line.split_once("desc: COMMIT ") else {
        return Vec::new();
    };
    let own = before.split_once("tx:").map(|(_, rest)| rest);
    let own = own.and_then(|rest| rest.split(',').next());
    let savepoints = what.split_once("subxacts:").map(|(_, rest)| rest);
    let savepoints = savepoints.and_then(|rest| rest.split(';').next());
    (own.into_iter().chain(savepoints))
        .flat_map(str::split_whitespace)
        .filter_map(|id| id.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_with_their_savepoints() {
        let line = |desc: &str| {
            format!(
                "rmgr: Transaction len (rec/tot):     46/    46, tx:        753, lsn: 0/0300, prev 0/02F8, desc: {desc}"
            )
        };
        let at = "2026-01-01 00:00:00.000000 UTC";
        assert_eq!(committed(&line(&format!("COMMIT {at}"))), [753]);
        assert_eq!(
            committed(&line(&format!(
                "COMMIT {at}; subxacts: 754 755; inval msgs: catcache 1"
            ))),
            [753, 754, 755]
        );
        assert!(committed(&line(&format!("ABORT {at}"))).is_empty());
    }
}
