//! The terminal while it is ours, and what makes it the user's again.

use std::io;

use crossterm::execute;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, enable_raw_mode};
use ratatui::DefaultTerminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, kill_current_process_group};

/// The terminal in raw mode, with a screen of its own. Dropped, it is as it was; a panic restores it first, so that its
/// message can be read.
#[derive(Debug)]
pub(crate) struct Terminal(pub(crate) DefaultTerminal);

impl Terminal {
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self(ratatui::try_init()?))
    }

    /// Does what ctrl-z does elsewhere: stops us and whoever has started us, and returns when the shell lets us go on.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        self.0.show_cursor()?;
        ratatui::try_restore()?;
        kill_current_process_group(Signal::TSTP)?;
        self.resume()
    }

    /// Takes it again, in whatever state somebody else has left it.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        // A new one draws all of it. `clear()` would ask the terminal where its cursor is, and whoever reads the keys
        // takes the answer.
        self.0 = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        ratatui::restore();
    }
}
