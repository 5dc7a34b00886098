//! The two runs, the same for every queue.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, interval_at, sleep},
};

use crate::{
    load::Work,
    peer::{Peer, Setting},
    protocol::{self, Line},
};

/// Without an end to it, a queue that has lost a message would never report.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub struct Steady {
    pub seconds: f64,
    /// Single inserts per second; without it as many as the handlers can take.
    pub rate: Option<f64>,
}

/// Handles a backlog of `messages`.
pub async fn drain<P: Peer>(setting: Setting, messages: u64) -> Result<()> {
    let work = setting.work.clone();
    let peer = P::open(setting).await?;
    let from = Arc::new(AtomicU64::new(0));
    let mut loaders = JoinSet::new();
    for _ in 0..P::PRODUCERS {
        let (peer, from) = (peer.clone(), Arc::clone(&from));
        loaders.spawn(async move {
            loop {
                let start = from.fetch_add(P::BATCH, Ordering::Relaxed);
                if start >= messages {
                    return anyhow::Ok(());
                }
                peer.insert(start..messages.min(start + P::BATCH)).await?;
            }
        });
    }
    while let Some(ended) = loaders.join_next().await {
        ended??;
    }
    peer.loaded().await?;
    let before = ready::<P>(messages).await?;
    let begun = Instant::now();
    let worker = peer.start().await?;
    let wait = async {
        handled(&work, messages).await?;
        protocol::progress(work.handled())?;
        completed(&peer).await
    };
    reporting(&work, wait).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = protocol::cpu_seconds()? - before;
    P::stop(worker).await?;
    report(work.handled(), seconds, cpu_seconds)
}

/// Produces and handles at the same time.
pub async fn steady<P: Peer>(setting: Setting, steady: Steady) -> Result<()> {
    let work = setting.work.clone();
    let peer = P::open(setting).await?;
    let before = ready::<P>(0).await?;
    let begun = Instant::now();
    let worker = peer.start().await?;
    let produced = Arc::new(AtomicU64::new(0));
    let mut producers = JoinSet::new();
    match steady.rate {
        Some(rate) => {
            producers.spawn(at_rate(peer.clone(), rate, steady.seconds));
        }
        None => {
            let until = begun + Duration::from_secs_f64(steady.seconds);
            for _ in 0..P::PRODUCERS {
                producers.spawn(saturate(
                    peer.clone(),
                    work.clone(),
                    Arc::clone(&produced),
                    until,
                ));
            }
        }
    }
    let run = async {
        let mut end = pin!(sleep(Duration::from_secs_f64(steady.seconds)));
        let mut inserted = 0;
        loop {
            tokio::select! {
                () = &mut end => break,
                Some(ended) = producers.join_next() => inserted += ended??,
            }
        }
        let handled = work.handled();
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_seconds = protocol::cpu_seconds()? - before;
        protocol::progress(handled)?;
        while let Some(ended) = producers.join_next().await {
            inserted += ended??;
        }
        self::handled(&work, inserted).await?;
        completed(&peer).await?;
        anyhow::Ok((handled, seconds, cpu_seconds))
    };
    let (handled, seconds, cpu_seconds) = reporting(&work, run).await?;
    protocol::progress(work.handled())?;
    P::stop(worker).await?;
    report(handled, seconds, cpu_seconds)
}

/// Says that the run can begin, waits until it should, and reads the CPU meter.
async fn ready<P: Peer>(messages: u64) -> Result<f64> {
    Line::Ready {
        system: P::NAME,
        version: P::VERSION,
        messages,
    }
    .print()?;
    protocol::go().await?;
    protocol::cpu_seconds()
}

/// Waits until `messages` are handled, as long as there is progress.
async fn handled(work: &Work, messages: u64) -> Result<()> {
    let mut last = (work.handled(), Instant::now());
    while last.0 < messages {
        sleep(Duration::from_millis(1)).await;
        let now = work.handled();
        if now > last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            bail!("the worker stands still at {now} of {messages} messages");
        }
    }
    Ok(())
}

async fn completed<P: Peer>(peer: &P) -> Result<()> {
    let patience = Instant::now();
    while !peer.done().await? {
        if patience.elapsed() > PATIENCE {
            bail!("all messages were handled, but some are not completed");
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Does `run`, with a line of progress every second meanwhile.
async fn reporting<T>(work: &Work, run: impl Future<Output = Result<T>>) -> Result<T> {
    let second = Duration::from_secs(1);
    let mut ticks = interval_at(tokio::time::Instant::now() + second, second);
    let mut run = pin!(run);
    loop {
        tokio::select! {
            ended = &mut run => return ended,
            _ = ticks.tick() => protocol::progress(work.handled())?,
        }
    }
}

fn report(handled: u64, seconds: f64, cpu_seconds: f64) -> Result<()> {
    Line::Report {
        handled,
        seconds,
        cpu_seconds,
        peak_bytes: protocol::peak_bytes()?,
    }
    .print()
}

/// Inserts in bulk whenever the backlog has room for it. Returns how many it has inserted.
async fn saturate<P: Peer>(
    peer: P,
    work: Work,
    produced: Arc<AtomicU64>,
    until: Instant,
) -> Result<u64> {
    let mut inserted = 0;
    while Instant::now() < until {
        let start = produced.load(Ordering::Relaxed);
        if start.saturating_sub(work.handled()) + P::BATCH > P::AHEAD {
            sleep(Duration::from_millis(1)).await;
            continue;
        }
        let start = produced.fetch_add(P::BATCH, Ordering::Relaxed);
        peer.insert(start..start + P::BATCH).await?;
        inserted += P::BATCH;
    }
    Ok(inserted)
}

/// Inserts one at a time, each at its moment even where the one before is late.
async fn at_rate<P: Peer>(peer: P, rate: f64, seconds: f64) -> Result<u64> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut inserts = JoinSet::new();
    let mut inserted = 0;
    while Instant::now() < until {
        ticks.tick().await;
        let peer = peer.clone();
        inserts.spawn(async move { peer.insert_one(inserted).await });
        inserted += 1;
        while let Some(ended) = inserts.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = inserts.join_next().await {
        ended??;
    }
    Ok(inserted)
}
