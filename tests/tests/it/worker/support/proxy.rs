//! A TCP proxy in front of the cluster, which can go deaf.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards connections to the cluster's Unix socket, until told to stop: then the connections that
/// there are stay open, and nothing passes any more, as behind a firewall that forgot them.
pub(crate) struct Proxy {
    port: u16,
    /// Connections with a lower number are deaf.
    deaf_below: watch::Sender<usize>,
    accepted: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = directory.join(".s.PGSQL.5432");
        let deaf_below = watch::Sender::new(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let (numbers, deaf) = (Arc::clone(&accepted), deaf_below.subscribe());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                let server = UnixStream::connect(&socket).await.unwrap();
                connections.spawn(forward(client, server, number, deaf.clone()));
            }
        });
        Self {
            port,
            deaf_below,
            accepted,
            _task: task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on the connections that there are carry nothing; new ones do.
    pub(crate) fn go_deaf(&self) {
        let many = self.accepted.load(Ordering::SeqCst);
        self.deaf_below.send_replace(many);
    }
}

async fn forward(
    client: TcpStream,
    server: UnixStream,
    number: usize,
    deaf: watch::Receiver<usize>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pump(from_client, to_server, number, deaf.clone()),
        pump(from_server, to_client, number, deaf),
    );
}

async fn deafness(deaf: &mut watch::Receiver<usize>, number: usize) {
    let _ = deaf.wait_for(|below| number < *below).await;
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    mut deaf: watch::Receiver<usize>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = deafness(&mut deaf, number) => {
                // Neither end learns of it.
                return std::future::pending().await;
            }
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
