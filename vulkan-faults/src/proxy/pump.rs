use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Toxics;

/// The end of a request of the extended protocol: a Sync.
const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];
/// A COMMIT, which goes as a simple query.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// How long a server that got a request may go on after its connection is reset, at most.
const GOES_ON: Duration = Duration::from_millis(20);

/// A session whose connection fell silent is ended by the server's kernel, as `Client::connect` has it set up: of one that
/// is idle keepalives get no answer. The kernel of this machine would answer them for us.
const KEPT_ALIVE: Duration = Duration::from_secs(50);

/// How a connection ended.
#[derive(Clone, Copy)]
pub(super) enum Ended {
    /// By one of its ends.
    Closed,
    /// After as many bytes as it may carry.
    Cut,
    /// With a reset, at the end of a request.
    Reset { commit: bool },
    /// Not, as far as its ends know.
    Silent,
}

/// Forwards until either side ends. Returns how.
pub(super) async fn forward(
    mut client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    number: usize,
    toxics: watch::Receiver<Toxics>,
) -> Ended {
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let mut up = pin!(pump(from_client, to_server, toxics.clone(), true));
        let mut down = pin!(pump(from_server, to_client, toxics.clone(), false));
        let mut silence = toxics.clone();
        let ended = tokio::select! {
            biased;
            () = silent(&mut silence, number) => Ended::Silent,
            ended = &mut up => ended,
            ended = &mut down => ended,
        };
        if matches!(ended, Ended::Silent) {
            // Nothing passes any more, and for this long neither end learns of it.
            sleep(KEPT_ALIVE).await;
        }
        ended
    };
    match ended {
        Ended::Reset { .. } => _ = client.set_zero_linger(),
        // The client's kernel knows of nothing.
        Ended::Silent => pending().await,
        Ended::Closed | Ended::Cut => {
            let late = toxics.borrow().slow_close;
            sleep(late).await;
        }
    }
    ended
}

async fn silent(toxics: &mut watch::Receiver<Toxics>, number: usize) {
    if toxics
        .wait_for(|now| number < now.silent_below)
        .await
        .is_err()
    {
        pending().await
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    toxics: watch::Receiver<Toxics>,
    up: bool,
) -> Ended {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0_u64;
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            let _ = to.shutdown().await;
            return Ended::Closed;
        };
        let now = toxics.borrow().clone();
        let commit = buffer[..read].ends_with(COMMIT);
        let is_request = commit || buffer[..read].ends_with(&SYNC);
        let reset = up && is_request && hits(now.reset_percent);
        if reset && hits(33) {
            return Ended::Reset { commit };
        }
        sleep(travel(&now)).await;
        for piece in buffer[..read].chunks(now.slice.unwrap_or(usize::MAX)) {
            if let Some(rate) = now.bandwidth {
                sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
            }
            if to.write_all(piece).await.is_err() {
                return Ended::Closed;
            }
        }
        if reset {
            // The request is on its way, or done, or about to be.
            let rest = match hits(50) {
                true => GOES_ON.mul_f64(rand::random()),
                false => Duration::ZERO,
            };
            sleep(rest).await;
            return Ended::Reset { commit };
        }
        passed += u64::try_from(read).unwrap_or_default();
        if now.limit.is_some_and(|limit| passed >= limit) {
            return Ended::Cut;
        }
    }
}

fn hits(percent: u32) -> bool {
    percent > 0 && rand::rng().random_range(0..100) < percent
}

fn travel(toxics: &Toxics) -> Duration {
    let jitter = toxics.jitter.mul_f64(rand::rng().random_range(0.0..2.0));
    (toxics.latency + jitter).saturating_sub(toxics.jitter)
}
