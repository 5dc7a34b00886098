use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The payload of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) deed: Deed,
    #[serde(default)]
    pub(crate) pad: String,
}

/// What a handler does with a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deed {
    /// A little waiting, as the group has it.
    #[default]
    Work,
    /// Waits for so many milliseconds.
    Wait(u64),
    /// Blocks its thread for so many milliseconds, at the first attempt.
    Block(u64),
    /// Returns an error at each attempt.
    Fail,
    /// Returns an error at so many attempts of a hundred.
    Flaky(u32),
    /// Panics at each attempt.
    Panic,
    /// Takes the process with it.
    Abort,
    /// Asks for more memory than there is.
    Devour,
    /// Overflows the stack.
    Overflow,
    /// Never ends, and never awaits.
    Spin,
}

impl Deed {
    pub(crate) async fn run(self, id: u64, millis: u64, attempt: u32) -> vulkan::Result {
        match self {
            Self::Work => {
                // One in ten takes long, so that whatever happens happens to somebody.
                let longer = if id.is_multiple_of(10) { 50 } else { 1 };
                tokio::time::sleep(Duration::from_millis(id % (millis + 1) * longer)).await;
            }
            Self::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Self::Block(_) if attempt > 1 => {}
            Self::Block(millis) => std::thread::sleep(Duration::from_millis(millis)),
            Self::Flaky(percent) if rand::random_range(0..100) < percent => {
                return Err("this message fails now and then".into());
            }
            Self::Flaky(_) => {}
            Self::Fail => return Err("this message always fails".into()),
            Self::Panic => std::panic::panic_any("this message always panics"),
            Self::Abort => std::process::abort(),
            Self::Devour => devour(),
            Self::Overflow => _ = overflow(&[0; 1024]),
            Self::Spin => loop {
                std::hint::spin_loop();
            },
        }
        Ok(())
    }
}

/// Takes memory until there is none, which ends the process.
fn devour() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![1; 16 << 20]);
        std::hint::black_box(&all);
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn overflow(below: &[u8; 1024]) -> u64 {
    let mut here = *below;
    here[usize::from(here[0])] = here[1].wrapping_add(1);
    overflow(std::hint::black_box(&here)) + u64::from(here[2])
}
