//! The process that outlives us for as long as it takes to clean up.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::account::Account;

const SCRIPT: &str = include_str!("watchdog.sh");

/// A shell that owns a cluster directory and the server in it.
///
/// It lives until its standard input ends. We hold the only write end, which the
/// kernel closes when this process dies, so no destructor has to run: a
/// SIGKILL is enough for the server to stop and its files to go.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What a [`Watchdog`] can be told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Make the data directory.
    Create,
    /// Start the server and wait until it takes connections.
    Start,
    /// Stop the server at once, as a crash would.
    Crash,
    /// Stop the server in order, without waiting for those who are connected.
    Stop,
}

impl Watchdog {
    /// Starts the watchdog of `directory`, as `account` where that is not our own.
    ///
    /// `log` becomes the standard error of the watchdog and of the server, so a
    /// lock on it is held for as long as either of them lives.
    pub(crate) fn spawn(
        bin_dir: &Path,
        directory: &Path,
        log: File,
        account: Option<Account>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "vulkan-devpg"])
            .args([bin_dir, directory])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Out of the terminal's foreground group: ctrl-c is for our owner.
            .process_group(0)
            .env("LC_ALL", "C");
        // PGDATA, PGPORT and their like would point the tools elsewhere.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn()?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new);
        let answers = answers.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            commands,
            answers,
        })
    }

    /// Gives an order and waits for the answer: whether it was carried out.
    pub(crate) fn obey(&mut self, order: Order) -> io::Result<bool> {
        let commands = self.commands.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        commands.write_all(order.line().as_bytes())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer == "done\n")
    }

    /// Has the server stopped and the directory removed, and waits for both.
    ///
    /// Dropping a watchdog does the same without the wait.
    pub(crate) fn dismiss(&mut self) -> io::Result<()> {
        self.commands = None;
        self.child.wait().map(drop)
    }
}

impl Order {
    fn line(self) -> &'static str {
        match self {
            Self::Create => "create\n",
            Self::Start => "start\n",
            Self::Crash => "crash\n",
            Self::Stop => "stop\n",
        }
    }
}
