//! A TCP proxy in front of the server, which does to connections what networks do.

mod pump;
mod toxics;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use toxics::Toxics;

use crate::Result;
use crate::server::Target;

/// Forwards connections to the server, with the toxics that are set at the moment.
pub(crate) struct Proxy {
    port: u16,
    toxics: watch::Sender<Toxics>,
    target: watch::Sender<Target>,
    counts: Arc<Counts>,
    _task: JoinSet<()>,
}

/// What a proxy has seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    accepted: AtomicUsize,
    resets: AtomicUsize,
    /// Of the resets, those at a COMMIT.
    commits: AtomicUsize,
    /// Ended in mid-message.
    cuts: AtomicUsize,
    refusals: AtomicUsize,
}

impl Counts {
    /// Counts how a connection ended.
    fn note(&self, ended: pump::Ended) {
        let one = |counter: &AtomicUsize| _ = counter.fetch_add(1, Ordering::SeqCst);
        match ended {
            pump::Ended::Closed | pump::Ended::Silent => {}
            pump::Ended::Cut => one(&self.cuts),
            pump::Ended::Reset { commit } => {
                one(&self.resets);
                if commit {
                    one(&self.commits);
                }
            }
        }
    }
}

impl Proxy {
    pub(crate) async fn start(target: Target) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let target = watch::Sender::new(target);
        let current = target.subscribe();
        let toxics = watch::Sender::new(Toxics::default());
        let counts = Arc::new(Counts::default());
        let mut task = JoinSet::new();
        let (told, counted) = (toxics.subscribe(), Arc::clone(&counts));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                let number = counted.accepted.fetch_add(1, Ordering::SeqCst);
                if told.borrow().refuse {
                    counted.refusals.fetch_add(1, Ordering::SeqCst);
                    let _ = client.set_zero_linger();
                    continue;
                }
                let _ = client.set_nodelay(true);
                let (toxics, counts) = (told.clone(), Arc::clone(&counted));
                let target = current.borrow().clone();
                connections.spawn(async move {
                    counts.note(connect(client, target, number, toxics).await);
                });
            }
        });
        Ok(Self {
            port,
            toxics,
            target,
            counts,
            _task: task,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on new connections go there.
    pub(crate) fn point_to(&self, target: Target) {
        self.target.send_replace(target);
    }

    /// From now on connections go like this.
    pub(crate) fn set(&self, toxics: Toxics) {
        self.toxics.send_replace(toxics);
    }

    /// The connections that there are carry nothing any more; neither end learns of it. New ones do.
    pub(crate) fn black_hole(&self) {
        let below = self.counts.accepted.load(Ordering::SeqCst);
        self.toxics
            .send_modify(|toxics| toxics.silent_below = below);
    }

    /// How many connections it has reset.
    pub(crate) fn resets(&self) -> usize {
        self.counts.resets.load(Ordering::SeqCst)
    }

    /// How many of these at a COMMIT.
    pub(crate) fn commits(&self) -> usize {
        self.counts.commits.load(Ordering::SeqCst)
    }

    /// How many connections it has ended after a number of bytes.
    pub(crate) fn cuts(&self) -> usize {
        self.counts.cuts.load(Ordering::SeqCst)
    }

    /// How many connections it has not let in.
    pub(crate) fn refusals(&self) -> usize {
        self.counts.refusals.load(Ordering::SeqCst)
    }
}

/// Forwards one connection to its end. Returns how it ended.
async fn connect(
    client: TcpStream,
    target: Target,
    number: usize,
    toxics: watch::Receiver<Toxics>,
) -> pump::Ended {
    match target {
        Target::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                let _ = server.set_nodelay(true);
                return pump::forward(client, server, number, toxics).await;
            }
        }
        Target::Unix(socket) => {
            if let Ok(server) = UnixStream::connect(socket).await {
                return pump::forward(client, server, number, toxics).await;
            }
        }
    }
    // As a server that is not there.
    let _ = client.set_zero_linger();
    pump::Ended::Closed
}
