//! The program in a terminal, which presses keys and reads the screen.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use vt100::Parser;

use crate::support::{Place, kill, until};

const CHAOS: &str = env!("CARGO_BIN_EXE_chaos");

struct Terminal {
    screen: Arc<Mutex<Parser>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    closed: Arc<AtomicBool>,
    reading: JoinHandle<()>,
}

impl Terminal {
    /// A terminal of 80 by 24 with a program in it.
    fn start(place: &Place, program: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            ..PtySize::default()
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program[0]);
        command.args(&program[1..]);
        command.env("TMPDIR", place.path());
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut output = pair.master.try_clone_reader().unwrap();
        let at = |many| NonZeroU16::new(many).unwrap();
        let screen = Arc::new(Mutex::new(Parser::new(at(24), at(80), 0)));
        let seen = Arc::clone(&screen);
        let closed = Arc::new(AtomicBool::new(false));
        let no_longer = Arc::clone(&closed);
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(many @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..many]);
                if no_longer.load(SeqCst) {
                    break;
                }
            }
        });
        Self {
            screen,
            keys: pair.master.take_writer().unwrap(),
            child,
            master: pair.master,
            closed,
            reading,
        }
    }

    fn resize(&self, rows: u16, cols: u16) {
        let size = PtySize {
            rows,
            cols,
            ..PtySize::default()
        };
        self.master.resize(size).unwrap();
        let at = |many| NonZeroU16::new(many).unwrap();
        let mut parser = self.screen.lock().unwrap();
        parser.screen_mut().set_size(at(rows), at(cols));
    }

    /// Closes the window, and returns what was in it.
    fn close(self) -> Box<dyn Child + Send + Sync> {
        self.closed.store(true, SeqCst);
        drop((self.keys, self.master));
        // It has the terminal open until it has read once more. The clock on the screen sees to that.
        self.reading.join().unwrap();
        self.child
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn shows(&self, text: &str) {
        until(&format!("the screen to show {text:?}"), || {
            let screen = self.text();
            match screen.contains(text) {
                true => Ok(()),
                false => Err(screen),
            }
        });
    }

    /// Waits until the board has it so: the group, and a number by its column.
    fn number(&self, group: &str, column: usize, holds: impl Fn(i64) -> bool) {
        until(&format!("a number of {group}"), || {
            let screen = self.text();
            let row = screen.lines().find(|line| line.starts_with(group));
            let number = row.and_then(|row| row.split_whitespace().nth(column)?.parse().ok());
            match number {
                Some(number) if holds(number) => Ok(()),
                _ => Err(screen),
            }
        });
    }

    /// The terminal belongs to the user again.
    fn is_restored(&self) {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
    }
}

#[test]
fn keys_attack_and_the_board_tells() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place, &["bash", "--norc", "--noprofile", "-i"], &[]);
    // A shell, as people have it, can stop the program and let it go on.
    terminal.press(&format!("{CHAOS} --messages 500; echo \"code=$?\"\n"));
    terminal.shows("try to lose a message");
    terminal.shows("LOST is:");
    terminal.number("emails", 1, |produced| produced >= 500);
    terminal.number("payments", 2, |processed| processed > 0);

    terminal.press("k");
    terminal.shows("kill -9: worker");
    terminal.shows("is dead of signal 9; another comes");
    terminal.press("\x1b[C");
    terminal.shows("rerun is:");
    terminal.press("h");
    terminal.shows("wait behind it. h: let go");
    terminal.press("h");
    terminal.shows("is committed at last");
    terminal.press("z");
    terminal.shows("is frozen for");
    terminal.number("emails", 9, |repeated| repeated > 0);

    terminal.press("\x1a");
    terminal.shows("Stopped");
    terminal.is_restored();
    // The shell has given up the rest of the line.
    terminal.press("fg; echo \"code=$?\"\n");
    terminal.shows("LOST  rerun repeated");
    terminal.press("u");
    terminal.shows("Postgres was away for");
    terminal.number("payments", 7, |lost| lost == 0);

    terminal.press("q");
    terminal.shows("nothing was lost, and no payment was booked twice");
    terminal.shows("code=0");
    terminal.is_restored();
    place.until_nothing_is_left();
    terminal.press("exit\n");
    terminal.child.wait().unwrap();
}

#[test]
fn without_colour_and_ended_from_outside() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place, &[CHAOS, "--messages", "100"], &[("NO_COLOR", "1")]);
    terminal.number("emails", 1, |produced| produced >= 100);
    {
        let parser = terminal.screen.lock().unwrap();
        for (row, column) in (0..24).flat_map(|row| (0..80).map(move |column| (row, column))) {
            if let Some(cell) = parser.screen().cell(row, column) {
                let colours = [cell.fgcolor(), cell.bgcolor()];
                assert_eq!(colours, [vt100::Color::Default; 2], "{row}, {column}");
            }
        }
    }
    terminal.resize(10, 40);
    terminal.shows("has 40x10");
    terminal.resize(24, 80);
    terminal.shows("LOST is:");
    kill("TERM", terminal.child.process_id().unwrap());
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 143);
    until("the terminal to be restored", || {
        let restored = !terminal.screen.lock().unwrap().screen().alternate_screen();
        restored.then_some(()).ok_or_else(|| terminal.text())
    });
    terminal.is_restored();
    place.until_nothing_is_left();
}

#[test]
fn a_window_that_is_closed_leaves_nothing() {
    let place = Place::new();
    let terminal = Terminal::start(&place, &[CHAOS, "--messages", "100"], &[]);
    terminal.number("emails", 1, |produced| produced >= 100);
    let status = terminal.close().wait().unwrap();
    assert_eq!(status.exit_code(), 129, "{status}");
    place.until_nothing_is_left();
}

#[test]
fn a_panic_is_told_on_a_terminal_that_works_and_leaves_nothing() {
    for (in_what, said) in [("here", "on demand, here"), ("beside", "on demand, beside")] {
        let place = Place::new();
        let mut terminal = Terminal::start(&place, &[CHAOS, "--panics", in_what], &[]);
        terminal.shows("LOST is:");
        terminal.press("!");
        terminal.shows(said);
        assert_eq!(terminal.child.wait().unwrap().exit_code(), 2);
        terminal.is_restored();
        place.until_nothing_is_left();
    }
}
