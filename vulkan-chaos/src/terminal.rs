//! The terminal while it is ours, and what makes it the user's again.

use std::io::{self, stdout};
use std::mem::ManuallyDrop;
use std::panic;

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, enable_raw_mode};
use ratatui::DefaultTerminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, kill_current_process_group};

/// The terminal in raw mode, with a screen of its own. Dropped, it is as it was; a panic restores it first, so that its
/// message can be read.
///
/// Ratatui's own set-up and drop print what fails to the standard error, and panic where that is gone, too: in the window that was
/// closed. Ours stay silent, and the rest is cleaned up.
#[derive(Debug)]
pub(crate) struct Terminal(pub(crate) ManuallyDrop<DefaultTerminal>);

impl Terminal {
    pub(crate) fn take() -> io::Result<Self> {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            say(info);
        }));
        taken().inspect_err(|_| give_back()).map(Self)
    }

    /// Does what ctrl-z does elsewhere: stops us and whoever has started us, and returns when the shell lets us go on.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_current_process_group(Signal::TSTP)?;
        self.resume()
    }

    /// Takes it again, in whatever state somebody else has left it.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        // A new one draws all of it. `clear()` would ask the terminal where its cursor is, and whoever reads the keys
        // takes the answer.
        self.0 = taken()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn taken() -> io::Result<ManuallyDrop<DefaultTerminal>> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
    let terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout()))?;
    Ok(ManuallyDrop::new(terminal))
}

fn give_back() {
    // Nobody is left to be told what fails.
    let _ = execute!(stdout(), Show);
    let _ = ratatui::try_restore();
}
