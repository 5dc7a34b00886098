//! A TCP proxy in front of the cluster, which can go deaf.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards connections to the cluster's Unix socket, until told to stop: then the connections that
/// there are stay open, and nothing passes any more, as behind a firewall that forgot them.
pub(crate) struct Proxy {
    port: u16,
    deaf: watch::Sender<Deaf>,
    accepted: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

/// Where the server listens.
enum Server {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// Which connections carry nothing.
#[derive(Clone, Copy, Default)]
struct Deaf {
    /// Those with a lower number …
    below: usize,
    /// … and of them perhaps only those that listen for notifications.
    only_listeners: bool,
}

/// One connection, as both its directions know it.
#[derive(Clone)]
struct Connection {
    number: usize,
    listens: Arc<AtomicBool>,
    deaf: watch::Receiver<Deaf>,
}

impl Proxy {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_to(Server::Socket(directory.join(".s.PGSQL.5432"))).await
    }

    /// In front of a server that listens on TCP.
    pub(crate) async fn start_to_tcp(server: SocketAddr) -> Self {
        Self::start_to(Server::Tcp(server)).await
    }

    async fn start_to(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let deaf = watch::Sender::new(Deaf::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let (numbers, told) = (Arc::clone(&accepted), deaf.subscribe());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let connection = Connection {
                    number: numbers.fetch_add(1, Ordering::SeqCst),
                    listens: Arc::default(),
                    deaf: told.clone(),
                };
                match &server {
                    Server::Socket(path) => {
                        let server = UnixStream::connect(path).await.unwrap().into_split();
                        connections.spawn(forward(client, server, connection));
                    }
                    Server::Tcp(address) => {
                        let server = TcpStream::connect(address).await.unwrap().into_split();
                        connections.spawn(forward(client, server, connection));
                    }
                }
            }
        });
        Self {
            port,
            deaf,
            accepted,
            _task: task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on the connections that there are carry nothing; new ones do.
    pub(crate) fn go_deaf(&self) {
        self.deafen(false);
    }

    /// The same for those of them that listen for notifications.
    pub(crate) fn go_deaf_for_listeners(&self) {
        self.deafen(true);
    }

    fn deafen(&self, only_listeners: bool) {
        self.deaf.send_replace(Deaf {
            below: self.accepted.load(Ordering::SeqCst),
            only_listeners,
        });
    }
}

impl Connection {
    /// Waits until it carries nothing any more.
    async fn deaf(&mut self) {
        let Self {
            number,
            listens,
            deaf,
        } = self;
        let is_deaf = |told: &Deaf| {
            *number < told.below && (!told.only_listeners || listens.load(Ordering::SeqCst))
        };
        let _ = deaf.wait_for(is_deaf).await;
    }
}

async fn forward(
    client: TcpStream,
    (from_server, to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    connection: Connection,
) {
    let (from_client, to_client) = client.into_split();
    tokio::join!(
        pump(from_client, to_server, connection.clone()),
        pump(from_server, to_client, connection),
    );
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut connection: Connection,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            // Neither end learns of it.
            () = connection.deaf() => return std::future::pending().await,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let bytes = &buffer[..read];
        if bytes.windows(7).any(|text| text == b"LISTEN ") {
            connection.listens.store(true, Ordering::SeqCst);
        }
        if read == 0 || to.write_all(bytes).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
