use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lot::send;
use super::{PublisherOptions, Waiting};
use crate::client::Client;

/// The most payload in one batch, in bytes; a single event may have more.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The task behind a publisher: sorts what is queued by stream, and sends it in batches.
pub(super) struct Batcher {
    client: Client,
    queue: mpsc::Receiver<Waiting>,
    options: PublisherOptions,
    closing: CancellationToken,
    tasks: TaskTracker,
    slots: Arc<Semaphore>,
    /// The streams that have something to send, the next to be sent first.
    streams: VecDeque<VecDeque<Waiting>>,
    /// How much that is in all.
    sorted: usize,
}

impl Batcher {
    pub(super) fn new(
        client: Client,
        queue: mpsc::Receiver<Waiting>,
        options: PublisherOptions,
        closing: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let options = PublisherOptions {
            batch: options.batch.max(1),
            ..options
        };
        let in_flight = options.in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            client,
            queue,
            options,
            closing,
            tasks,
            slots: Arc::new(Semaphore::new(in_flight)),
            streams: VecDeque::new(),
            sorted: 0,
        }
    }

    /// Works until all publishers are dropped or one is closed, and everything is sent.
    pub(super) async fn run(mut self) {
        let (mut open, mut closing) = (true, false);
        while open || !self.streams.is_empty() {
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !closing => {
                    closing = true;
                    self.queue.close();
                }
                slot = Arc::clone(&self.slots).acquire_owned(), if !self.streams.is_empty() => {
                    match slot {
                        Ok(slot) => self.send(slot),
                        // Never: nobody closes it.
                        Err(_) => return,
                    }
                }
                waiting = self.queue.recv(), if open && self.sorted < self.options.batch => {
                    match waiting {
                        Some(waiting) => self.sort(waiting),
                        None => open = false,
                    }
                }
            }
        }
    }

    fn sort(&mut self, waiting: Waiting) {
        self.sorted += 1;
        let stream = self.streams.iter_mut().find(|stream| {
            let first = stream.front();
            first.is_some_and(|first| first.message.stream == waiting.message.stream)
        });
        match stream {
            Some(stream) => stream.push_back(waiting),
            None => self.streams.push_back([waiting].into()),
        }
    }

    /// Sends what there is of the stream whose turn it is.
    fn send(&mut self, slot: OwnedSemaphorePermit) {
        // What came meanwhile goes along.
        while self.sorted < self.options.batch
            && let Ok(waiting) = self.queue.try_recv()
        {
            self.sort(waiting);
        }
        let Some(mut stream) = self.streams.pop_front() else {
            return;
        };
        let mut bytes = 0;
        let fits = stream.iter().take_while(|waiting| {
            let before = bytes;
            bytes += waiting.message.payload.get().len();
            before == 0 || bytes <= MAX_BYTES
        });
        let many = fits.count().min(self.options.batch);
        let lot: Vec<Waiting> = stream.drain(..many).collect();
        self.sorted -= lot.len();
        if !stream.is_empty() {
            self.streams.push_back(stream);
        }
        let client = self.client.clone();
        self.tasks.spawn(async move {
            send(&client, lot).await;
            drop(slot);
        });
    }
}
