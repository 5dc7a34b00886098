//! What stands between the adapter and the database, and can forget connections.

use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) struct Proxy {
    port: u16,
    forgotten: watch::Sender<u32>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// In front of the private cluster in this directory.
    pub(super) async fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = directory.join(".s.PGSQL.5432");
        let forgotten = watch::Sender::new(0);
        let told = forgotten.subscribe();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = UnixStream::connect(&socket).await.unwrap();
                let mut told = told.clone();
                told.mark_unchanged();
                connections.spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both stay open, and neither learns of it.
                        _ = told.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self {
            port,
            forgotten,
            _task: task,
        }
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// From now on the connections that there are carry nothing; new ones do.
    pub(super) fn forget(&self) {
        self.forgotten.send_modify(|times| *times += 1);
    }
}
