//! A streaming replica of a server. It can be read, and paused.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Postgres;

impl Postgres {
    /// Starts a replica of this server with all of its databases. It can be read while this server is stopped, and can
    /// be stopped and started again.
    ///
    /// # Panics
    /// When it cannot be created or does not start; the message shows why.
    #[must_use]
    pub fn start_replica(&self) -> Self {
        static SLOTS: AtomicU32 = AtomicU32::new(0);
        let mut replica = Self::without_files();
        // The slot keeps the log that the replica has not received, however long the replica is stopped.
        let slot = format!("replica_{}", SLOTS.fetch_add(1, Ordering::Relaxed));
        let mut backup = Command::new(replica.programs.join("pg_basebackup"));
        backup
            .arg("-D")
            .arg(replica.cluster())
            .args(["--dbname", &self.url("postgres")])
            .args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"])
            .args(["--create-slot", "--slot", &slot]);
        replica.as_account(&mut backup);
        let output = backup.output().expect("pg_basebackup can be run");
        assert!(output.status.success(), "pg_basebackup failed:\n{}", String::from_utf8_lossy(&output.stderr));
        replica.start_somewhere();
        replica
    }

    /// Pauses the replay on this replica. It still answers reads.
    pub fn pause_replay(&self) {
        let url = self.url("postgres");
        self.query(&url, "SELECT pg_wal_replay_pause()");
        crate::eventually("the pause of the replay", super::START_BOUND, || {
            self.query(&url, "SELECT pg_get_wal_replay_pause_state()") == "paused"
        });
    }

    /// Continues the replay.
    pub fn resume_replay(&self) {
        self.query(&self.url("postgres"), "SELECT pg_wal_replay_resume()");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    #[test]
    fn a_replica_follows_stays_when_told_to_and_comes_back() {
        const COUNT: &str = "SELECT count(*) FROM t";

        let primary = Postgres::start();
        let url = primary.create_database();
        let mut replica = primary.start_replica();
        let replica_url = replica.url("dormouse_0");
        let shows = |replica: &Postgres, count: &str| {
            eventually("its following", super::super::START_BOUND, || {
                let output = replica.psql(&replica_url, COUNT);
                String::from_utf8_lossy(&output.stdout).trim_end() == count
            });
        };
        primary.query(&url, "CREATE TABLE t AS SELECT 1 AS n");
        shows(&replica, "1");
        replica.pause_replay();
        primary.query(&url, "INSERT INTO t VALUES (2)");
        assert_eq!(replica.query(&replica_url, COUNT), "1");
        replica.resume_replay();
        shows(&replica, "2");
        replica.stop_immediate();
        primary.query(&url, "INSERT INTO t VALUES (3)");
        replica.start_again();
        shows(&replica, "3");
        assert!(!replica.psql(&replica_url, "INSERT INTO t VALUES (4)").status.success());
    }
}
